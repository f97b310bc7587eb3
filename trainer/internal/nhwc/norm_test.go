package nhwc

import (
	"math"
	"math/rand/v2"
	"testing"
)

// normReference is batch normalisation with residual and ReLU in float64, as a
// function whose derivative finite differences give.
func normReference(n *Norm, relu bool, x, gamma, beta, residual []float64) []float64 {
	y := make([]float64, len(x))
	for c := range n.channels {
		var sum, square, count float64
		each := func(f func(i int)) {
			for image := range n.images {
				n.rows(func(from, to int) {
					for k := from + c; k < to; k += n.channels {
						f(image*Padded(n.height, n.width, n.channels) + k)
					}
				})
			}
		}
		each(func(i int) { sum += x[i]; count++ })
		mean := sum / count
		each(func(i int) { square += (x[i] - mean) * (x[i] - mean) })
		std := math.Sqrt(square/count + Epsilon)
		each(func(i int) {
			y[i] = gamma[c]*(x[i]-mean)/std + beta[c]
			if residual != nil {
				y[i] += residual[i]
			}
			if relu {
				y[i] = max(0, y[i])
			}
		})
	}
	return y
}

func widen(v []float32) []float64 {
	if v == nil {
		return nil
	}
	out := make([]float64, len(v))
	for i := range v {
		out[i] = float64(v[i])
	}
	return out
}

func TestNormAgainstFloat64(t *testing.T) {
	engines(t, func(t *testing.T) {
		for _, kind := range []struct{ relu, residual bool }{{false, false}, {true, false}, {true, true}} {
			for _, channels := range []int{8, 3} {
				const images = 3
				n := newNorm(images, 3, 4, channels)
				n.partials = make([]float32, images*2*4*channels)
				size := Padded(3, 4, channels)
				rng := rand.New(rand.NewPCG(5, 6))
				x := padded(rng, images, 3, 4, channels)
				dy := padded(rng, images, 3, 4, channels)
				gamma, beta := normal(rng, channels), normal(rng, channels)
				var residual []float32
				if kind.residual {
					residual = padded(rng, images, 3, 4, channels)
				}
				y, dx, m := make([]float32, len(x)), make([]float32, len(x)), make([]float32, len(x))
				for i := range images {
					n.observe(i, one(x, i, size))
				}
				n.ready(gamma, beta)
				for i := range images {
					var r []float32
					if residual != nil {
						r = one(residual, i, size)
					}
					n.apply(one(y, i, size), one(x, i, size), r, kind.relu)
				}
				check(t, "forward", y, normReference(n, kind.relu, widen(x), widen(gamma), widen(beta), widen(residual)))
				for i := range images {
					if kind.relu {
						n.observeMasked(i, one(m, i, size), one(x, i, size), one(dy, i, size), one(y, i, size))
					} else {
						n.observeGrad(i, one(x, i, size), one(dy, i, size))
						copy(one(m, i, size), one(dy, i, size))
					}
				}
				n.readyGrad(gamma)
				for i := range images {
					n.applyGrad(one(dx, i, size), one(x, i, size), one(m, i, size))
				}

				// The derivative of sum(y*dy) with respect to each input, by
				// central differences in float64.
				derivative := func(which int, size int) []float64 {
					d := make([]float64, size)
					for i := range d {
						var side [2]float64
						for s, h := range []float64{1e-6, -1e-6} {
							in := [][]float64{widen(x), widen(gamma), widen(beta), widen(residual)}
							in[which][i] += h
							for k, v := range normReference(n, kind.relu, in[0], in[1], in[2], in[3]) {
								side[s] += v * float64(dy[k])
							}
						}
						d[i] = (side[0] - side[1]) / 2e-6
					}
					return d
				}
				check(t, "dx", dx, derivative(0, len(x)))
				check(t, "dgamma", n.DGamma, derivative(1, channels))
				check(t, "dbeta", n.DBeta, derivative(2, channels))
				if kind.residual {
					check(t, "dresidual", m, derivative(3, len(x)))
				}
			}
		}
	})
}
