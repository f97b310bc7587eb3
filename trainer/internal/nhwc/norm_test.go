package nhwc

import (
	"math"
	"math/rand/v2"
	"testing"
)

// normReference is batch normalisation with residual and ReLU in float64, as a
// function whose derivative finite differences give.
func normReference(n *Norm, x, gamma, beta, residual []float64) []float64 {
	y := make([]float64, len(x))
	for c := range n.Channels {
		var sum, square, count float64
		each := func(f func(i int)) {
			for image := range n.Images {
				n.rows(image, func(at int) {
					for k := c; k < n.Width*n.Channels; k += n.Channels {
						f(at + k)
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
			if n.ReLU {
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
		for _, kind := range []struct{ relu, residual bool }{{false, false}, {true, false}, {true, true}, {false, true}} {
			for _, channels := range []int{8, 3} {
				n := &Norm{Images: 3, Height: 3, Width: 4, Channels: channels, ReLU: kind.relu}
				rng := rand.New(rand.NewPCG(5, 6))
				x := padded(rng, 3, 3, 4, channels)
				dy := padded(rng, 3, 3, 4, channels)
				gamma, beta := normal(rng, channels), normal(rng, channels)
				var residual []float32
				if kind.residual {
					residual = padded(rng, 3, 3, 4, channels)
				}
				y, dx := make([]float32, len(x)), make([]float32, len(x))
				n.Forward(y, x, gamma, beta, residual)
				check(t, "forward", y, normReference(n, widen(x), widen(gamma), widen(beta), widen(residual)))
				n.Backward(dx, x, y, dy, gamma, kind.residual)

				// The derivative of sum(y*dy) with respect to each input, by
				// central differences in float64.
				derivative := func(which int, size int) []float64 {
					d := make([]float64, size)
					for i := range d {
						var side [2]float64
						for s, h := range []float64{1e-6, -1e-6} {
							in := [][]float64{widen(x), widen(gamma), widen(beta), widen(residual)}
							in[which][i] += h
							for k, v := range normReference(n, in[0], in[1], in[2], in[3]) {
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
					check(t, "dresidual", n.DResidual, derivative(3, len(x)))
				}
			}
		}
	})
}
