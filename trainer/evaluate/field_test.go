package evaluate

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/dataset"
)

// A11: scores do not depend on the order of a data set's classes, and classes of other
// names are refused, in evaluating and in calibrating.
func TestFieldA11ScoresByName(t *testing.T) {
	m := formattest.Tiny(3)
	n := m.Classes()
	const images = 120
	d := &dataset.Dataset{Name: "noise", ClassNames: m.Labels, Height: 8, Width: 8, Channels: 3}
	rng := rand.New(rand.NewPCG(1, 2))
	for range images {
		for range 8 * 8 * 3 {
			d.Test.Pixels = append(d.Test.Pixels, byte(rng.Uint32()))
		}
		d.Test.Labels = append(d.Test.Labels, rng.IntN(n))
	}
	turned := *d
	turned.ClassNames = slices.Clone(m.Labels)
	slices.Reverse(turned.ClassNames)
	turned.Test.Labels = nil
	for _, y := range d.Test.Labels {
		turned.Test.Labels = append(turned.Test.Labels, n-1-y)
	}
	for _, e := range []Ensemble{{m}, {m, m}} {
		want, err := Evaluate(t.Context(), e, TestImages(d), nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Evaluate(t.Context(), e, TestImages(&turned), nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			if got[i].Accuracy != want[i].Accuracy || got[i].NLL != want[i].NLL || got[i].Accuracy == 0 {
				t.Errorf("%s: %+v, in the other order %+v", want[i].Mode, want[i].Metric, got[i].Metric)
			}
		}
	}
	straight, _, err := Calibrate(t.Context(), m, TestImages(d), 0.01)
	if err != nil {
		t.Fatal(err)
	}
	reversed, _, err := Calibrate(t.Context(), m, TestImages(&turned), 0.01)
	if err != nil || !slices.Equal(straight.Exits, reversed.Exits) {
		t.Errorf("exits %v, in the other order %v, %v", straight.Exits, reversed.Exits, err)
	}
	other := *d
	other.ClassNames = slices.Clone(m.Labels)
	other.ClassNames[0] = strings.ToUpper(other.ClassNames[0]) + "!"
	if _, err := Evaluate(t.Context(), Ensemble{m}, TestImages(&other), nil); err == nil || !strings.Contains(err.Error(), other.ClassNames[0]) {
		t.Errorf("evaluated with another class: %v", err)
	}
	if _, _, err := Calibrate(t.Context(), m, TestImages(&other), 0.01); err == nil || !strings.Contains(err.Error(), m.Labels[0]) {
		t.Errorf("calibrated with another class: %v", err)
	}
}

// B31: answers that are not finite have no score and no temperature, which is said in a line.
func TestFieldB31NotFinite(t *testing.T) {
	m := formattest.Tiny(3)
	for h := len(m.Weights) - 6; h < len(m.Weights); h += 2 {
		for i := range m.Weights[h] {
			m.Weights[h][i] = 3e38
		}
	}
	d := &dataset.Dataset{Name: "grey", ClassNames: m.Labels, Height: 8, Width: 8, Channels: 3}
	for i := range 120 {
		d.Test.Pixels, d.Test.Labels = append(d.Test.Pixels, bytes.Repeat([]byte{byte(i)}, 8*8*3)...), append(d.Test.Labels, i%m.Classes())
	}
	_, evaluated := Evaluate(t.Context(), Ensemble{m}, TestImages(d), nil)
	_, _, tempered := Temper(t.Context(), m, TestImages(d))
	_, _, calibrated := Calibrate(t.Context(), m, TestImages(d), 0.01)
	teacher, err := NewTeacher(m, d)
	if err != nil {
		t.Fatal(err)
	}
	taught := teacher.Logits(make([]float32, 2*m.Classes()), d.Test.Pixels[:2*8*8*3])
	for i, err := range []error{evaluated, tempered, calibrated, taught} {
		if !errors.Is(err, sla.ErrNotFinite) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%d: %v", i, err)
		}
	}
}
