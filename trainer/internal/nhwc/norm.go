package nhwc

import "math"

// Epsilon is what batch normalisation adds to the variance.
const Epsilon = 1e-5

// A Norm is batch normalisation of a batch of padded NHWC images over images,
// rows and columns, with the residual and the activation that may follow it:
//
//	y = act(gamma * (x - mean) / sqrt(var + Epsilon) + beta + residual)
//
// Channels must be a multiple of 8. Without AVX2, or for other counts, plain Go.
type Norm struct {
	Images, Height, Width, Channels int
	ReLU                            bool

	Mean, Var []float32 // of the last Forward, per channel; Var is the biased one
	DGamma    []float32 // of the last Backward
	DBeta     []float32
	DResidual []float32 // of the last Backward, if it was asked for one

	std      []float32 // 1/sqrt(var + Epsilon)
	partials []float32 // per image two rows of Width*Channels
	tiled    [3][]float32
}

func (n *Norm) init() {
	if n.Mean != nil {
		return
	}
	for _, v := range []*[]float32{&n.Mean, &n.Var, &n.DGamma, &n.DBeta, &n.std} {
		*v = make([]float32, n.Channels)
	}
	n.partials = make([]float32, n.Images*2*n.Width*n.Channels)
	for i := range n.tiled {
		n.tiled[i] = make([]float32, n.Width*n.Channels)
	}
}

// rows calls f for every inner row of an image with the index of its first float.
func (n *Norm) rows(image int, f func(at int)) {
	for y := range n.Height {
		f(image*Padded(n.Height, n.Width, n.Channels) + ((y+1)*(n.Width+2)+1)*n.Channels)
	}
}

// tile sets tiled[i] to per-channel values repeated for every pixel of a row.
func (n *Norm) tile(i int, value func(c int) float32) []float32 {
	t := n.tiled[i]
	for c := range n.Channels {
		v := value(c)
		for k := c; k < len(t); k += n.Channels {
			t[k] = v
		}
	}
	return t
}

// totals adds up the partial rows: per channel, in the order of images and
// columns, in float64.
func (n *Norm) totals(f func(c int, first, second float64)) {
	w := n.Width * n.Channels
	first, second := make([]float64, n.Channels), make([]float64, n.Channels)
	for image := range n.Images {
		p := n.partials[image*2*w : (image+1)*2*w]
		for k := 0; k < w; k += n.Channels {
			for c := range n.Channels {
				first[c] += float64(p[k+c])
				second[c] += float64(p[w+k+c])
			}
		}
	}
	for c := range n.Channels {
		f(c, first[c], second[c])
	}
}

// Forward writes the inner part of y. residual may be nil.
func (n *Norm) Forward(y, x, gamma, beta, residual []float32) {
	n.init()
	w := n.Width * n.Channels
	Parallel(n.Images, func(_, image int) {
		p := n.partials[image*2*w : (image+1)*2*w]
		clear(p)
		n.rows(image, func(at int) { sums(p[:w], p[w:], x[at:at+w]) })
	})
	count := float64(n.Images * n.Height * n.Width)
	n.totals(func(c int, sum, square float64) {
		mean := sum / count
		variance := max(0, square/count-mean*mean)
		n.Mean[c], n.Var[c] = float32(mean), float32(variance)
		n.std[c] = float32(1 / math.Sqrt(variance+Epsilon))
	})
	scale := n.tile(0, func(c int) float32 { return gamma[c] * n.std[c] })
	shift := n.tile(1, func(c int) float32 { return beta[c] - n.Mean[c]*gamma[c]*n.std[c] })
	Parallel(n.Images, func(_, image int) {
		n.rows(image, func(at int) {
			var r []float32
			if residual != nil {
				r = residual[at : at+w]
			}
			affine(y[at:at+w], x[at:at+w], scale, shift, r, n.ReLU)
		})
	})
}

// Backward writes the gradient of x to the inner part of dx, and sets DGamma,
// DBeta and, if wanted, DResidual. x, y and gamma are those of the last Forward.
func (n *Norm) Backward(dx, x, y, dy, gamma []float32, residual bool) {
	if residual && n.DResidual == nil {
		n.DResidual = make([]float32, len(x))
	}
	w := n.Width * n.Channels
	Parallel(n.Images, func(_, image int) {
		p := n.partials[image*2*w : (image+1)*2*w]
		clear(p)
		n.rows(image, func(at int) {
			gradSums(p[:w], p[w:], x[at:at+w], dy[at:at+w], y[at:at+w], n.ReLU)
		})
	})
	// With m = dy where the activation passes it, and h = (x - mean)/std:
	// dx = gamma/std * (m - mean(m) - h * mean(m*h)), written k1*m + k2 + k3*x.
	count := float64(n.Images * n.Height * n.Width)
	meanProduct := make([]float64, n.Channels)
	n.totals(func(c int, sum, product float64) {
		dot := (product - float64(n.Mean[c])*sum) * float64(n.std[c])
		n.DBeta[c], n.DGamma[c] = float32(sum), float32(dot)
		meanProduct[c] = dot / count
	})
	k1 := n.tile(0, func(c int) float32 { return gamma[c] * n.std[c] })
	k2 := n.tile(1, func(c int) float32 {
		return float32(float64(gamma[c]*n.std[c]) * (float64(n.Mean[c])*float64(n.std[c])*meanProduct[c] - float64(n.DBeta[c])/count))
	})
	k3 := n.tile(2, func(c int) float32 { return float32(-float64(gamma[c]*n.std[c]*n.std[c]) * meanProduct[c]) })
	Parallel(n.Images, func(_, image int) {
		n.rows(image, func(at int) {
			g, out := dy[at:at+w], y[at:at+w]
			gradApply(dx[at:at+w], x[at:at+w], g, k1, k2, k3, out, n.ReLU)
			if residual {
				mask(n.DResidual[at:at+w], g, out, n.ReLU)
			}
		})
	})
}
