package graph

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/quarterturn/quarterturn/format"
)

// A net that imports the slab of another computes of the batch what that other computes.
func TestImport(t *testing.T) {
	for _, name := range []string{"resnet8w8", "resnet8w8p", "conv4w8", "fast8"} {
		t.Run(name, func(t *testing.T) {
			a := fixtureGraph(t, name, "sla+sd")
			want, err := a.Run()
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range a.convs {
				if !c.frozen {
					copy(c.running.mean, c.unit.Mean)
					copy(c.running.variance, c.unit.Var)
				}
			}
			model := a.Export(&format.Manifest{})
			b := fixtureGraph(t, name, "sla+sd")
			rng := rand.New(rand.NewPCG(5, 6))
			for _, p := range b.params { // whatever they were
				for k := range p.value {
					p.value[k] = float32(rng.NormFloat64())
				}
			}
			if err := b.Import(t.Context(), model); err != nil {
				t.Fatal(err)
			}
			for i, h := range b.heads {
				for k, v := range a.heads[i].weight.value {
					if h.weight.value[k] = v; b.unscaled != nil {
						h.weight.value[k] *= b.unscaled[k%h.features]
					}
				}
				if h.bias != nil {
					copy(h.bias.value, a.heads[i].bias.value)
				}
			}
			got, err := b.Run()
			if err != nil || math.Abs(got-want) > 1e-3*want {
				t.Errorf("the loss is %v, that of the net the slab is of %v (%v)", got, want, err)
			}
		})
	}
	g := fixtureGraph(t, "resnet8w8", "baseline")
	if err := g.Import(t.Context(), &format.Model{}); err == nil {
		t.Error("a slab without weights was imported")
	}
}
