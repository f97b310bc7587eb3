package evaluate

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/quarterturn/quarterturn/trainer/internal/rows"
)

// Logits that are too sure by a known factor have that factor as their temperature.
func TestTemperature(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, factor := range []float64{0.4, 1, 3} {
		var logits [][]float32
		var truth []int
		for range 20_000 {
			p, l := make([]float64, 4), make([]float32, 4)
			for k := range l {
				l[k] = float32(2 * rng.NormFloat64())
			}
			rows.Softmax(p, l, 1)
			y, u := 0, rng.Float64()
			for u -= p[0]; u > 0 && y < 3; u -= p[y] {
				y++
			}
			for k := range l {
				l[k] *= float32(factor)
			}
			logits, truth = append(logits, l), append(truth, y)
		}
		if got := float64(temperature(logits, truth, nil)); math.Abs(got/factor-1) > 0.03 {
			t.Errorf("temperature %v of logits %v times too large", got, factor)
		}
	}
}
