package graph

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/nets"
)

// A link's first outputs are its inputs at the beginning.
func TestDiracInitialisation(t *testing.T) {
	g := fixtureGraph(t, "fast16", "baseline")
	fresh, err := New(Spec{Net: nets.Net{Stem: nets.Stem{Width: 16, Kernel: 3, Stride: 1}, Fast: []int{16, 32, 32}}, Input: format.Input{Channels: 1, Height: 8, Width: 8},
		Joint: sla.Joint{Classes: 3, Views: 1}, Images: 2, Method: methods[0], Rng: rand.New(rand.NewPCG(1, 2))})
	if err != nil {
		t.Fatal(err)
	}
	defer fresh.Close()
	for i, c := range fresh.convs[1:] {
		u := c.unit
		if len(c.weight.value) != len(g.convs[i+1].weight.value) {
			t.Fatal("other shapes")
		}
		var square float64
		for k, v := range c.weight.value {
			tap, in, out := k/(u.In*u.Out), k/u.Out%u.In, k%u.Out
			if out < u.In {
				want := float32(0)
				if tap == 4 && in == out {
					want = 1
				}
				if v != want {
					t.Fatalf("%s: weight %d is %v, want %v", c.layer.Name, k, v, want)
				}
				continue
			}
			square += float64(v) * float64(v)
		}
		if n := 9 * u.In * max(0, u.Out-u.In); n > 0 { // uniform up to 1/sqrt(fan-in)
			if got, want := square/float64(n), 1/float64(3*9*u.In); math.Abs(got/want-1) > 0.1 {
				t.Errorf("%s: the variance is %v, want %v", c.layer.Name, got, want)
			}
		}
	}
}
