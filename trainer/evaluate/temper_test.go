package evaluate

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/internal/rows"
)

// noise is a data set whose labels are as probable as a mode of a model says.
func noise(t *testing.T, m *format.Model, mode sla.Mode, images int) *dataset.Dataset {
	t.Helper()
	d := &dataset.Dataset{Name: "noise", ClassNames: m.Labels, Height: 8, Width: 8, Channels: 3}
	rng := rand.New(rand.NewPCG(1, 2))
	for range images * 8 * 8 * 3 {
		d.Test.Pixels = append(d.Test.Pixels, byte(rng.Uint32()))
	}
	d.Test.Labels = make([]int, images)
	p := make([][]float64, images)
	err := EachImage(t.Context(), m, d, &d.Test, func(c *sla.Classifier, i int) error {
		r, err := c.Run(mode)
		if err == nil {
			p[i] = make([]float64, len(r.Logits))
			rows.Softmax(p[i], r.Logits, 1)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range p {
		for u := rng.Float64() - p[i][0]; u > 0 && d.Test.Labels[i] < len(p[i])-1; u -= p[i][d.Test.Labels[i]] {
			d.Test.Labels[i]++
		}
	}
	return d
}

// A head whose outputs are three times too large gets 3 as its temperature, and then says what is so.
func TestTemper(t *testing.T) {
	m := formattest.Tiny(3)
	last := len(m.Weights) - 2 // the distilled head
	for _, w := range m.Weights[last:] {
		for i := range w {
			w[i] *= 2 // so that there is something to be sure of
		}
	}
	d := noise(t, m, sla.Distilled, 4000)
	on := Images{Data: d, Split: &d.Test, Name: "validation"}
	right, _, err := Temper(t.Context(), m, on)
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range m.Weights[last:] {
		for i := range w {
			w[i] *= 3
		}
	}
	m.Metrics = append(m.Metrics, format.Metric{Mode: format.ModeDistilled, Split: "test", N: 9, Accuracy: .25, Temperature: 7})
	before, err := Evaluate(t.Context(), Ensemble{m}, on, nil)
	if err != nil {
		t.Fatal(err)
	}
	bold, scores, err := Temper(t.Context(), m, on)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := right.Temperature(format.ModeDistilled), bold.Temperature(format.ModeDistilled); math.Abs(float64(a)-1) > 0.1 || math.Abs(float64(b/a)-3) > 0.01 {
		t.Errorf("temperatures %v and %v, want 1 and 3", a, b)
	}
	k := slices.IndexFunc(scores, func(s Score) bool { return s.Mode == format.ModeDistilled })
	if got := scores[k]; got.ECE > 0.03 || got.ECE > before[k].ECE/3 || got.NLL > before[k].NLL || got.Accuracy != before[k].Accuracy {
		t.Errorf("%+v, before %+v", got.Metric, before[k].Metric)
	}
	// The first metric is that of distilled on validation images, the second that on test images.
	if x := bold.Metrics; len(x) != 2+3 || x[0] != scores[k].Metric || x[1].N != 9 || x[1].Temperature != 0 {
		t.Errorf("metrics %+v", x)
	}
	if len(m.Metrics) != 2 || m.Metrics[1].Temperature != 7 {
		t.Error("the model that was given has changed")
	}
	if _, err := EncodeWithSelfTest(bold); err != nil {
		t.Error(err)
	}
}

// A split without images, as of a folder whose pictures are all equal, is refused in words.
func TestFieldTemperWithoutImages(t *testing.T) {
	m := formattest.Tiny(3)
	on := Images{Data: &dataset.Dataset{Name: "same", ClassNames: m.Labels, Height: 8, Width: 8, Channels: 3}, Split: new(dataset.Split), Name: "test"}
	if _, _, err := Temper(t.Context(), m, on); err == nil || !strings.Contains(err.Error(), "the test split of same is empty") {
		t.Errorf("no images: %v", err)
	}
}
