package start

import (
	"context"
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
// With thousands of outputs that takes a minute: the context's end ends it, with its error.
func FitLinear(ctx context.Context, weight, bias []float32, x [][]float32, y, classes []int, outputs int) error {
	features := len(weight) / outputs
	r, err := newRidge(x, y, classes, outputs, bias != nil)
	if err != nil {
		return err
	}
	best := math.Inf(1)
	for power := -4; power <= 2; power++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		lambda := r.mean() * math.Pow(10, float64(power))
		shrunk := r.solve(lambda)
		scale, nll := fitScale(r.leaveOneOut(shrunk, lambda), y, r.roots)
		if nll >= best {
			continue
		}
		best = nll
		var w mat.Dense
		w.Mul(&r.basis, shrunk) // (width, K)
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

// A ridge is a regression of weighted rows on one-hot labels, in the basis in which its
// Gram matrix is diagonal.
type ridge struct {
	roots     []float64  // (n), of the weights of the rows
	target    *mat.Dense // (n, K)
	values    []float64  // (width), of the Gram matrix
	basis     mat.Dense  // (width, width)
	rotated   mat.Dense  // (n, width), the rows
	projected mat.Dense  // (width, K), of the targets
}

// newRidge makes the regression of rows x, with a column of ones behind them if there is a
// bias, on labels y.
func newRidge(x [][]float32, y, classes []int, outputs int, bias bool) (*ridge, error) {
	n, features := len(x), len(x[0])
	width := features
	if bias {
		width++
	}
	counts := map[int]float64{}
	for _, c := range classes {
		counts[c]++
	}
	r := &ridge{roots: make([]float64, n), target: mat.NewDense(n, outputs, nil)}
	design := mat.NewDense(n, width, nil)
	for i, row := range x {
		r.roots[i] = math.Sqrt(float64(n) / float64(len(counts)) / counts[classes[i]])
		for k, v := range row {
			design.Set(i, k, r.roots[i]*float64(v))
		}
		if bias {
			design.Set(i, features, r.roots[i])
		}
		r.target.Set(i, y[i], r.roots[i])
	}
	var gram mat.SymDense
	gram.SymOuterK(1, design.T())
	var eigen mat.EigenSym
	if !eigen.Factorize(&gram, true) {
		return nil, errors.New("the features are not finite")
	}
	r.values = eigen.Values(nil)
	eigen.VectorsTo(&r.basis)
	r.rotated.Mul(design, &r.basis)
	r.projected.Mul(r.rotated.T(), r.target)
	return r, nil
}

// mean is that of the values.
func (r *ridge) mean() (mean float64) {
	for _, v := range r.values {
		mean += v / float64(len(r.values))
	}
	return mean
}

// solve returns the weights (width, K) in the basis, with the weight λ of the penalty.
func (r *ridge) solve(lambda float64) *mat.Dense {
	shrunk := mat.DenseCopyOf(&r.projected)
	for i, v := range r.values {
		row := shrunk.RawRowView(i)
		for k := range row {
			row[k] /= max(0, v) + lambda
		}
	}
	return shrunk
}

// leaveOneOut returns the logits (n, K) that the others predict of each row.
func (r *ridge) leaveOneOut(shrunk *mat.Dense, lambda float64) [][]float64 {
	var fitted mat.Dense
	fitted.Mul(&r.rotated, shrunk)
	n, outputs := fitted.Dims()
	logits := make([][]float64, n)
	for i := range n {
		var leverage float64
		for k, v := range r.values {
			z := r.rotated.At(i, k)
			leverage += z * z / (max(0, v) + lambda)
		}
		logits[i] = make([]float64, outputs)
		for k := range outputs {
			t := r.target.At(i, k)
			logits[i][k] = (t - (t-fitted.At(i, k))/max(1e-6, 1-leverage)) / r.roots[i]
		}
	}
	return logits
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
