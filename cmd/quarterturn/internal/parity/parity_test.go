package parity

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/format/pack"
)

func slabOf(t *testing.T, m *format.Model) []byte {
	t.Helper()
	slab, err := pack.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return slab
}

func TestAllTargetsAgree(t *testing.T) {
	targets := Targets
	if testing.Short() {
		targets = []string{"native", "wazero", "wazero-simd"}
	}
	for _, m := range []*format.Model{formattest.Tiny(1), formattest.Tiny(3), formattest.Odd()} {
		r, err := Check(t.Context(), slabOf(t, m), Synthetic(40), targets, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Equal || r.Images != 40 || len(r.Targets) != len(targets) || len(r.Modes) != len(m.Modes())+1 || r.Difference != "" {
			t.Errorf("%+v", r)
		}
		for _, d := range r.Targets {
			if d.Digest != r.Targets[0].Digest {
				t.Errorf("%s: %s", d.Name, d.Digest)
			}
		}
	}
}

// Nets of random layers, widths and sizes, in both builds of the module.
func TestBothBuildsAgreeOnRandomNets(t *testing.T) {
	targets := []string{"native", "wazero", "wazero-simd", "node-wasip1-simd"}
	if testing.Short() {
		targets = targets[:3]
	}
	rng := rand.New(rand.NewPCG(21, 1))
	for range 6 {
		dice := make(formattest.Dice, 200)
		for i := range dice {
			dice[i] = byte(rng.Uint32())
		}
		m := formattest.Random(&dice)
		r, err := Check(t.Context(), slabOf(t, m), Synthetic(8), targets, nil)
		if err != nil {
			t.Fatal(err)
		}
		if !r.Equal {
			t.Errorf("%+v: %s", m.Layers, r.Difference)
		}
	}
}

// With one layer's weights changed, the first layer that differs is that one,
// whatever the two targets are.
func TestLocateNamesTheFirstLayer(t *testing.T) {
	targets := []string{"wazero", "wazero-simd", "node-wasip1-simd", "node-js", "chromium"}
	if testing.Short() {
		targets = targets[:1]
	}
	good := formattest.Tiny(3)
	bad := formattest.Tiny(3)
	for i, tensor := range bad.TensorShapes() {
		if tensor.Name == "a.weight" {
			for k := range bad.Weights[i] {
				bad.Weights[i][k] += 1. / 64
			}
		}
	}
	ctx := t.Context()
	other := slabOf(t, bad)
	j := &job{slab: slabOf(t, good), images: Synthetic(3), modes: nil}
	var err error
	if j.model, err = format.Decode(j.slab); err != nil {
		t.Fatal(err)
	}
	j.modes = append(j.modes, 2, 3)
	for _, name := range targets {
		honest, err := find("native")
		if err != nil {
			t.Fatal(err)
		}
		run, err := find(name)
		if err != nil {
			t.Fatal(err)
		}
		altered := func(ctx context.Context, j *job) (*outcome, error) {
			changed := *j
			changed.slab = other
			return run(ctx, &changed)
		}
		a, err := honest(ctx, j)
		if err != nil {
			t.Fatal(err)
		}
		b, err := altered(ctx, j)
		if err != nil {
			t.Fatal(err)
		}
		got, err := locate(ctx, j, a, b, honest, altered, "native", name)
		if want := "native and " + name + " part on image 0 in mode single, first in view 0, layer a"; err != nil || got != want {
			t.Errorf("got %q (%v), want %q", got, err, want)
		}
	}
}

func TestCheckErrors(t *testing.T) {
	slab := slabOf(t, formattest.Tiny(1))
	if _, err := Check(t.Context(), slab[:99], nil, Targets, nil); !errors.Is(err, format.ErrCorrupt) {
		t.Errorf("a cut slab: %v", err)
	}
	if _, err := Check(t.Context(), slab, Synthetic(1), []string{"netscape"}, nil); err == nil || !strings.Contains(err.Error(), "the targets are native") {
		t.Errorf("an unknown target: %v", err)
	}
	t.Setenv("PATH", "")
	for _, name := range []string{"node-js", "chromium", "firefox-simd"} {
		if _, err := Check(t.Context(), slab, Synthetic(1), []string{name}, nil); err == nil || !strings.Contains(err.Error(), "leave this target out") {
			t.Errorf("%s not installed: %v", name, err)
		}
	}
}
