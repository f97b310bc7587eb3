package nhwc

import "math"

// Epsilon is what batch normalisation adds to the variance.
const Epsilon = 1e-5

// Momentum is the share of the last batch in running statistics, where nothing else is
// wanted, as in PyTorch.
const Momentum = 0.1

// A Norm is batch normalisation of a batch of padded NHWC images over images,
// rows and columns: gamma * (x - mean) / sqrt(var + Epsilon) + beta. Its work on
// one image at a time is left to whoever has that image in the cache.
type Norm struct {
	Mean, Var     []float32 // of the last batch, per channel; Var is the biased one
	DGamma, DBeta []float32 // of the last batch

	images, height, width, channels int

	std      []float32 // 1/sqrt(var + Epsilon)
	partials []float32 // per image two rows of width*channels
	// Per-channel factors, repeated for every pixel of a row.
	scale, shift []float32 // y = scale*x + shift
	k1, k2, k3   []float32 // dx = k1*dy + k2 + k3*x
}

func newNorm(images, height, width, channels int) *Norm {
	n := &Norm{images: images, height: height, width: width, channels: channels}
	for _, v := range []*[]float32{&n.Mean, &n.Var, &n.DGamma, &n.DBeta, &n.std} {
		*v = make([]float32, channels)
	}
	for _, v := range []*[]float32{&n.scale, &n.shift, &n.k1, &n.k2, &n.k3} {
		*v = make([]float32, width*channels)
	}
	return n
}

// rows calls f with the bounds of every inner row of an image.
func (n *Norm) rows(f func(from, to int)) {
	w := n.width * n.channels
	for y := range n.height {
		at := ((y+1)*(n.width+2) + 1) * n.channels
		f(at, at+w)
	}
}

// partial returns the two rows in which an image's sums are kept, set to zero.
func (n *Norm) partial(image int) (first, second []float32) {
	w := n.width * n.channels
	p := n.partials[image*2*w : (image+1)*2*w]
	clear(p)
	return p[:w], p[w:]
}

// totals adds up the partial rows: per channel, in the order of images and
// columns, in float64.
func (n *Norm) totals(f func(c int, first, second float64)) {
	w := n.width * n.channels
	first, second := make([]float64, n.channels), make([]float64, n.channels)
	for image := range n.images {
		p := n.partials[image*2*w : (image+1)*2*w]
		addPixels(first, p[:w])
		addPixels(second, p[w:])
	}
	for c := range n.channels {
		f(c, first[c], second[c])
	}
}

// tile repeats per-channel values.
func (n *Norm) tile(t []float32, value func(c int) float32) {
	for c := range n.channels {
		v := value(c)
		for k := c; k < len(t); k += n.channels {
			t[k] = v
		}
	}
}

// Count is how many numbers a channel's statistics are of.
func (n *Norm) Count() int { return n.images * n.height * n.width }

func (n *Norm) count() float64 { return float64(n.Count()) }

// size is the number of floats of a padded image.
func (n *Norm) size() int { return Padded(n.height, n.width, n.channels) }

// observe takes the sums of one image for the batch's statistics.
func (n *Norm) observe(image int, x []float32) {
	sum, square := n.partial(image)
	n.rows(func(from, to int) { sums(sum, square, x[from:to]) })
}

// ready makes the statistics, when every image was observed.
func (n *Norm) ready(gamma, beta []float32) {
	n.totals(func(c int, sum, square float64) {
		mean := sum / n.count()
		variance := max(0, square/n.count()-mean*mean)
		n.Mean[c], n.Var[c] = float32(mean), float32(variance)
		n.std[c] = float32(1 / math.Sqrt(variance+Epsilon))
	})
	n.tile(n.scale, func(c int) float32 { return gamma[c] * n.std[c] })
	n.tile(n.shift, func(c int) float32 { return beta[c] - n.Mean[c]*gamma[c]*n.std[c] })
}

// apply normalises an image; relu and a residual, which may be nil, follow.
func (n *Norm) apply(y, x, residual []float32, relu bool) {
	n.rows(func(from, to int) {
		var r []float32
		if residual != nil {
			r = residual[from:to]
		}
		affine(y[from:to], x[from:to], n.scale, n.shift, r, relu)
	})
}

// observeGrad takes the sums of one image's gradient, dy, and of its product
// with x.
func (n *Norm) observeGrad(image int, x, dy []float32) {
	sum, product := n.partial(image)
	n.rows(func(from, to int) { gradSums(sum, product, x[from:to], dy[from:to]) })
}

// observeMasked is observeGrad for dy where y, the output of a ReLU, is
// positive, which it writes to m.
func (n *Norm) observeMasked(image int, m, x, dy, y []float32) {
	sum, product := n.partial(image)
	n.rows(func(from, to int) {
		maskSums(m[from:to], sum, product, x[from:to], dy[from:to], y[from:to])
	})
}

// observeReLU is observeMasked for the y that apply makes of x with ReLU, which need not
// be there.
func (n *Norm) observeReLU(image int, m, x, dy []float32) {
	sum, product := n.partial(image)
	n.rows(func(from, to int) {
		maskNormSums(m[from:to], sum, product, x[from:to], dy[from:to], n.scale, n.shift)
	})
}

// readyGrad makes DGamma and DBeta, when every image's gradient was observed.
// With h = (x - mean)/std,
//
//	dx = gamma/std * (dy - mean(dy) - h * mean(dy*h)),
//
// which is k1*dy + k2 + k3*x.
func (n *Norm) readyGrad(gamma []float32) {
	meanProduct := make([]float64, n.channels)
	n.totals(func(c int, sum, product float64) {
		dot := (product - float64(n.Mean[c])*sum) * float64(n.std[c])
		n.DBeta[c], n.DGamma[c] = float32(sum), float32(dot)
		meanProduct[c] = dot / n.count()
	})
	scale := func(c int) float64 { return float64(gamma[c] * n.std[c]) }
	n.tile(n.k1, func(c int) float32 { return float32(scale(c)) })
	n.tile(n.k2, func(c int) float32 {
		return float32(scale(c) * (float64(n.Mean[c])*float64(n.std[c])*meanProduct[c] - float64(n.DBeta[c])/n.count()))
	})
	n.tile(n.k3, func(c int) float32 {
		return float32(-float64(gamma[c]*n.std[c]*n.std[c]) * meanProduct[c])
	})
}

// applyGrad writes the gradient of an image's x.
func (n *Norm) applyGrad(dx, x, dy []float32) {
	n.rows(func(from, to int) {
		gradApply(dx[from:to], x[from:to], dy[from:to], n.k1, n.k2, n.k3)
	})
}
