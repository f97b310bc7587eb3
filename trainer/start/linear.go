package start

import (
	"errors"
	"math"

	"gonum.org/v1/gonum/mat"

	"github.com/quarterturn/quarterturn/trainer/internal/rows"
)

// FitLinear writes the weight (K, F) and, if it is not nil, the bias (K) of the linear
// classifier that ridge regression on the one-hot labels y of rows x finds, scaled so that
// its logits have the smallest negative log-likelihood. Rows count so that every class does
// alike. The weight of the penalty, among powers of ten, and the scale are chosen by what
// is predicted of each row by the others (leave-one-out, in closed form: Allen 1974's PRESS).
func FitLinear(weight, bias []float32, x [][]float32, y, classes []int, outputs int) error {
	n, features := len(x), len(weight)/outputs
	width := features
	if bias != nil {
		width++ // a column of ones
	}
	counts := map[int]float64{}
	for _, c := range classes {
		counts[c]++
	}
	design, target := mat.NewDense(n, width, nil), mat.NewDense(n, outputs, nil)
	roots := make([]float64, n) // of the weights of the rows
	for r, row := range x {
		roots[r] = math.Sqrt(float64(n) / float64(len(counts)) / counts[classes[r]])
		for k, v := range row {
			design.Set(r, k, roots[r]*float64(v))
		}
		if bias != nil {
			design.Set(r, features, roots[r])
		}
		target.Set(r, y[r], roots[r])
	}
	var gram mat.SymDense
	gram.SymOuterK(1, design.T())
	var eigen mat.EigenSym
	if !eigen.Factorize(&gram, true) {
		return errors.New("the features are not finite")
	}
	values := eigen.Values(nil)
	var basis, rotated, projected mat.Dense
	eigen.VectorsTo(&basis)
	rotated.Mul(design, &basis)        // (n, width)
	projected.Mul(rotated.T(), target) // (width, outputs)
	var mean float64
	for _, v := range values {
		mean += v / float64(width)
	}
	best := math.Inf(1)
	for power := -4; power <= 2; power++ {
		lambda := mean * math.Pow(10, float64(power))
		shrunk := mat.DenseCopyOf(&projected)
		for i, v := range values {
			row := shrunk.RawRowView(i)
			for k := range row {
				row[k] /= max(0, v) + lambda
			}
		}
		var fitted mat.Dense
		fitted.Mul(&rotated, shrunk)
		left := make([][]float64, n) // the logits of each row by the others
		for r := range n {
			var leverage float64
			for i, v := range values {
				z := rotated.At(r, i)
				leverage += z * z / (max(0, v) + lambda)
			}
			left[r] = make([]float64, outputs)
			for k := range outputs {
				t := target.At(r, k)
				left[r][k] = (t - (t-fitted.At(r, k))/max(1e-6, 1-leverage)) / roots[r]
			}
		}
		scale, nll := fitScale(left, y, roots)
		if nll >= best {
			continue
		}
		best = nll
		var w mat.Dense
		w.Mul(&basis, shrunk) // (width, outputs)
		for k := range outputs {
			for i := range features {
				weight[k*features+i] = float32(scale * w.At(i, k))
			}
			if bias != nil {
				bias[k] = float32(scale * w.At(features, k))
			}
		}
	}
	return nil
}

// fitScale returns the factor of logits with the smallest negative log-likelihood, and that.
func fitScale(logits [][]float64, y []int, roots []float64) (scale, nll float64) {
	p := make([]float64, len(logits[0]))
	cost := func(logScale float64) (sum float64) {
		t := math.Exp(-logScale)
		for r, l := range logits {
			sum += roots[r] * roots[r] * (rows.Softmax(p, l, t) - l[y[r]]/t) / float64(len(logits))
		}
		return sum
	}
	best := rows.Minimum(cost, -1, 5, 25)
	return math.Exp(best), cost(best)
}
