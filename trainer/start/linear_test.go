package start

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/quarterturn/quarterturn/trainer/internal/rows"
)

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
	if err := FitLinear(t.Context(), weight, bias, x, y, y, classes); err != nil {
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
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := FitLinear(stopped, weight, bias, x, y, y, classes); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	if nll > best+0.12 || right/n < 0.6 {
		t.Errorf("NLL %v, of the truth %v; %v right", nll, best, right/n)
	}
}
