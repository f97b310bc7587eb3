package graph

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/internal/rows"
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
			if err := b.Import(model); err != nil {
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
	if err := g.Import(&format.Model{}); err == nil {
		t.Error("a slab without weights was imported")
	}
}

// Linear classes are found by the closed form, with probabilities to match: rows whose class
// is drawn from the softmax of known logits get about the likelihood that those have.
func TestFitLinear(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const n, features, classes = 3000, 8, 3
	truth := make([]float64, classes*features)
	for i := range truth {
		truth[i] = rng.NormFloat64()
	}
	var x [][]float32
	var y []int
	var best float64
	p := make([]float64, classes)
	for range n {
		row, logits := make([]float32, features), make([]float64, classes)
		for k := range row {
			row[k] = float32(rng.NormFloat64())
			for c := range logits {
				logits[c] += truth[c*features+k] * float64(row[k])
			}
		}
		sum := rows.Softmax(p, logits, 1)
		label, u := 0, rng.Float64()
		for u -= p[0]; u > 0 && label < classes-1; u -= p[label] {
			label++
		}
		best += (sum - logits[label]) / n
		x, y = append(x, row), append(y, label)
	}
	weight, bias := make([]float32, classes*features), make([]float32, classes)
	if err := fitLinear(weight, bias, x, y, y, classes); err != nil {
		t.Fatal(err)
	}
	var nll, right float64
	for r, row := range x {
		logits := make([]float32, classes)
		for c := range logits {
			logits[c] = bias[c]
			for k, v := range row {
				logits[c] += weight[c*features+k] * v
			}
		}
		nll += (rows.Softmax(p, logits, 1) - float64(logits[y[r]])) / n
		if rows.Argmax(logits) == y[r] {
			right++
		}
	}
	if nll > best+0.12 || right/n < 0.6 {
		t.Errorf("NLL %v, of the truth %v; %v right", nll, best, right/n)
	}
}
