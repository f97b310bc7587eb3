package nhwc

import "github.com/quarterturn/quarterturn/trainer/internal/parallel"

// A Link is a unit of a Chain:
//
//	y = relu(norm(pool(conv(x))))
//
// with a 3x3 convolution of stride 1, and 2x2 max pooling or none.
type Link struct {
	Unit
	Pool bool

	winograd *winograd
	pool     *pool2
}

// NewLink makes a link whose convolution is c.
func NewLink(c Conv, pool bool) *Link {
	height, width := c.Height, c.Width
	if pool {
		height, width = height/2, width/2
	}
	l := &Link{Unit: *newUnitOf(c, height, width), Pool: pool}
	l.winograd = newWinograd(&l.Conv)
	return l
}

// OutputHeight and OutputWidth are those of the output, without its border.
func (l *Link) OutputHeight() int { return l.Norm.height }
func (l *Link) OutputWidth() int  { return l.Norm.width }

func (l *Link) prepare() {
	l.Unit.prepare()
	if l.Pool && l.pool == nil {
		l.pool = newPool2(l.Images, l.Conv.Height, l.Conv.Width, l.Out)
	}
}

// A Chain is links one behind the other. What is between two of them is kept as the
// convolution, pooled, left it; normalised and through the ReLU it is made anew, image by
// image, where it is needed, as in a Stage.
type Chain struct {
	Links []*Link

	buffers *Buffers
	workers []chainSpace
}

// A chainSpace is a worker's memory.
type chainSpace struct {
	tileSpace
	links []linkSpace
}

// A linkSpace is images of a link, with borders of zeros.
type linkSpace struct {
	in, dIn []float32 // of any link but the first
	full    []float32 // like the convolution's output, where pooling follows
	d       []float32 // like what is normalised
}

// NewChain makes a chain of links; buffers as in NewStage.
func NewChain(links []*Link, buffers *Buffers) *Chain { return &Chain{Links: links, buffers: buffers} }

func (c *Chain) prepare() {
	for _, l := range c.Links {
		l.prepare()
	}
	for len(c.workers) < parallel.Workers() {
		var w chainSpace
		for i, l := range c.Links {
			s := linkSpace{d: make([]float32, l.Norm.size())}
			if i > 0 {
				s.in, s.dIn = make([]float32, l.inSize()), make([]float32, l.inSize())
			}
			if l.Pool {
				s.full = make([]float32, l.outSize())
			}
			w.links = append(w.links, s)
		}
		c.workers = append(c.workers, w)
	}
}

// input returns image n of what link i reads.
func (c *Chain) input(w *chainSpace, i, n int, x []float32) []float32 {
	if i == 0 {
		return one(x, n, c.Links[0].inSize())
	}
	before := c.Links[i-1]
	before.apply(w.links[i].in, before.output(n), nil, true)
	return w.links[i].in
}

// Forward writes to the inner part of y what the chain makes of x; params are those of
// Links. inputGradient says that Backward will be asked for it.
func (c *Chain) Forward(y, x []float32, params []Params, inputGradient bool) {
	c.prepare()
	for i, l := range c.Links {
		l.params = params[i]
		l.winograd.prepareWeights(l.params.Weight, i > 0 || inputGradient)
		step := l.winograd.images()
		parallel.For((l.Images+step-1)/step, func(worker, chunk int) {
			w := &c.workers[worker]
			l.winograd.forward(&w.tileSpace, chunk*step, min(l.Images, (chunk+1)*step),
				func(n int) []float32 { return c.input(w, i, n, x) },
				func(n int) []float32 {
					if l.Pool {
						return w.links[i].full
					}
					return l.output(n)
				},
				func(n int) {
					if l.Pool {
						l.pool.forward(n, l.output(n), w.links[i].full)
					}
					l.observe(n, l.output(n))
				})
		})
		l.ran()
	}
	last := c.Links[len(c.Links)-1]
	parallel.For(last.Images, func(_, n int) { last.apply(one(y, n, last.Norm.size()), last.output(n), nil, true) })
}

// Backward sets the gradients of the params, in the Links, and writes that of x to dx,
// which is nil if nobody wants it; x is that of the last Forward.
func (c *Chain) Backward(dx, x, dy []float32) {
	last := c.Links[len(c.Links)-1]
	m := grow(&c.buffers.outer, len(dy))
	parallel.For(last.Images, func(_, n int) {
		last.observeReLU(n, one(m, n, last.Norm.size()), last.output(n), one(dy, n, last.Norm.size()))
	})
	for i := len(c.Links) - 1; i >= 0; i-- {
		l := c.Links[i]
		l.startGrad()
		var next []float32
		if i > 0 {
			next = grow(&c.buffers.inner, c.Links[i-1].Images*c.Links[i-1].Norm.size())
		}
		parallel.For(groups, func(worker, group int) {
			w := &c.workers[worker]
			c.backward(w, i, group, dx, x, m, next)
			l.winograd.takeWeights(&w.tileSpace, group)
		})
		l.weights(l.DWeight)
		c.buffers.outer, c.buffers.inner = c.buffers.inner, c.buffers.outer
		m = next
	}
}

// backward takes link i's images of a group back: from m, the gradient behind its ReLU, to
// next, that behind the ReLU before, or to dx.
func (c *Chain) backward(w *chainSpace, i, group int, dx, x, m, next []float32) {
	l, s := c.Links[i], &w.links[i]
	output := func(n int) []float32 { return one(dx, n, l.inSize()) }
	done := func(int) {}
	if i > 0 {
		before := c.Links[i-1]
		output = func(int) []float32 { return s.dIn }
		done = func(n int) {
			before.observeReLU(n, one(next, n, before.Norm.size()), before.output(n), s.dIn)
		}
	} else if dx == nil {
		output = nil
	}
	from, to := group*l.Images/groups, (group+1)*l.Images/groups
	for step := l.winograd.images(); from < to; from += step {
		l.winograd.backward(&w.tileSpace, from, min(to, from+step),
			func(n int) []float32 { return c.input(w, i, n, x) },
			func(n int) []float32 {
				l.applyGrad(s.d, l.output(n), one(m, n, l.Norm.size()))
				if l.Pool {
					l.pool.backward(n, s.full, s.d)
					return s.full
				}
				return s.d
			}, output, done)
	}
}
