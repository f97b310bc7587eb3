package optim

import (
	"math"

	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
)

// Muon steps along the nearest orthogonal matrix to what Nesterov's momentum makes of a
// filter's gradient, a matrix of outputs by inputs (Jordan et al. 2024, "Muon: an optimizer
// for hidden layers in neural networks", in the variant of airbench94_muon.py):
//
//	v = Momentum*v + g
//	u = g + Momentum*v
//	w *= sqrt(outputs) / |w|
//	w -= LR * orthogonal(u)
//
// Filters keep their norm, so that weight decay is nothing to them.
type Muon struct{ Momentum float64 }

// step changes a filter, (k, k, in, outputs), whose velocity is v.
func (m *Muon) step(p *Param, v []float32, scale float32, lr float64) {
	u := make([]float32, len(p.Value))
	momentum := float32(m.Momentum)
	for k, g := range p.Grad {
		g *= scale
		v[k] = momentum*v[k] + g
		u[k] = g + momentum*v[k]
	}
	orthogonal(u, p.Outputs)
	keep, rate := float32(1), float32(lr)
	if n := norm(p.Value); n > 0 {
		keep = float32(math.Sqrt(float64(p.Outputs)) / n)
	}
	for k := range p.Value {
		p.Value[k] = keep*p.Value[k] - rate*u[k]
	}
}

// orthogonal makes x (rows, columns), a matrix whose singular values are all about 1, by
// three steps of a Newton-Schulz iteration of degree five. Its coefficients are chosen for
// the slope at zero; what they leave lies between 0.7 and 1.2. columns is a multiple of 8.
// A transposed x has the transposed result, so filters need not be turned.
func orthogonal(x []float32, columns int) {
	const a, b, c = 3.4445, -4.7750, 2.0315
	rows := len(x) / columns
	scale := float32(1 / (norm(x) + 1e-7))
	for i := range x {
		x[i] *= scale
	}
	gram, square := make([]float32, columns*columns), make([]float32, columns*columns)
	y := make([]float32, len(x))
	for range 3 {
		nhwc.MatMulTransposed(gram, x, x, rows, columns, columns)
		nhwc.MatMulTransposed(square, gram, gram, columns, columns, columns) // gram is symmetric
		for i, g := range gram {
			gram[i] = b*g + c*square[i]
		}
		nhwc.MatMul(y, x, gram, rows, columns, columns)
		for i := range x {
			x[i] = a*x[i] + y[i]
		}
	}
}

func norm(x []float32) float64 {
	var square float64
	for _, v := range x {
		square += float64(v) * float64(v)
	}
	return math.Sqrt(square)
}
