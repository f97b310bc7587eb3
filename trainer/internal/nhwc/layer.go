package nhwc

import "github.com/quarterturn/quarterturn/trainer/internal/parallel"

// A Layer is a unit that runs by itself:
//
//	y = relu(norm(conv(x)) + residual)
//
// where the residual, or the ReLU of a layer without one, may be left out.
type Layer struct {
	Unit
	ReLU    bool
	buffers *Buffers
	d       [][]float32 // per worker, an image
}

func NewLayer(c Conv, relu bool, b *Buffers) *Layer {
	return &Layer{Unit: *newUnit(c), ReLU: relu, buffers: b}
}

// Forward writes to the inner part of y what the layer makes of x and of the residual,
// which may be nil.
func (l *Layer) Forward(y, x, residual []float32, p Params) {
	l.prepare()
	l.params = p
	parallel.For(l.Images, func(_, n int) { l.run(n, one(x, n, l.inSize())) })
	l.ran()
	size := l.outSize()
	parallel.For(l.Images, func(_, n int) {
		var r []float32
		if residual != nil {
			r = one(residual, n, size)
		}
		l.apply(one(y, n, size), l.output(n), r, l.ReLU)
	})
}

// Backward sets DWeight, DGamma and DBeta, and writes the gradient of x to the inner part
// of dx and that of the residual to dresidual; each may be nil if nobody wants it. x and y
// are those of the last Forward.
func (l *Layer) Backward(dx, dresidual, x, y, dy []float32) {
	size := l.outSize()
	m := dy // the gradient behind the ReLU
	if l.ReLU {
		if m = dresidual; m == nil {
			m = grow(&l.buffers.outer, len(y))
		}
		parallel.For(l.Images, func(_, n int) {
			l.observeMasked(n, one(m, n, size), l.output(n), one(dy, n, size), one(y, n, size))
		})
	} else {
		parallel.For(l.Images, func(_, n int) { l.observeGrad(n, l.output(n), one(dy, n, size)) })
	}
	l.startGrad()
	if dx != nil {
		l.turn(l.params.Weight)
	}
	for len(l.d) < parallel.Workers() {
		l.d = append(l.d, make([]float32, size))
	}
	inGroups(l.Images, func(worker, group, n int) {
		d := l.d[worker]
		l.applyGrad(d, l.output(n), one(m, n, size))
		l.addWeights(group, one(x, n, l.inSize()), d)
		if dx != nil {
			l.gradInput(one(dx, n, l.inSize()), d)
		}
	})
	l.weights(l.DWeight)
}

// A Frozen layer is relu(conv(x) + bias), of which nothing is learned.
type Frozen struct {
	Conv
	norm *Norm
}

// NewFrozen makes a frozen layer.
func NewFrozen(c Conv) *Frozen {
	return &Frozen{Conv: c, norm: newNorm(c.Images, c.OutHeight(), c.OutWidth(), c.Out)}
}

// Forward writes to the inner part of y, (Images, H+2, W+2, Out), what the layer makes of x,
// given its weight (Kernel, Kernel, In, Out) and bias (Out).
func (f *Frozen) Forward(y, x, weight, bias []float32) {
	f.norm.tile(f.norm.scale, func(int) float32 { return 1 })
	f.norm.tile(f.norm.shift, func(c int) float32 { return bias[c] })
	parallel.For(f.Images, func(_, n int) {
		to := one(y, n, f.outSize())
		f.forward(to, one(x, n, f.inSize()), weight)
		f.norm.apply(to, to, nil, true)
	})
}
