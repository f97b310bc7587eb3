package nhwc

// Params are what a Unit learns.
type Params struct {
	Weight      []float32 // (Kernel, Kernel, In, Out)
	Gamma, Beta []float32 // (Out)
}

// A Unit is a convolution and the batch normalisation behind it. It keeps the
// convolution's outputs: what is normalised and goes into another convolution is
// made anew, image by image, where it is needed, for memory is slower than that.
type Unit struct {
	Conv
	Norm
	DWeight []float32 // of the last batch
	raw     []float32 // (Images, H+2, W+2, Out), without a meaning in the border
	params  Params
}

func newUnit(c Conv) *Unit {
	return &Unit{Conv: c, Norm: *newNorm(c.Images, c.OutHeight(), c.OutWidth(), c.Out),
		DWeight: make([]float32, c.Kernel*c.Kernel*c.In*c.Out), raw: make([]float32, c.Images*c.outSize())}
}

// output is the convolution's output for image n.
func (u *Unit) output(n int) []float32 { return one(u.raw, n, u.outSize()) }

// one gives image n of a batch of images of so many floats.
func one(batch []float32, n, size int) []float32 { return batch[n*size : (n+1)*size] }

// run convolves image n.
func (u *Unit) run(n int, x []float32) {
	u.forward(u.output(n), x, u.params.Weight)
	u.observe(n, u.output(n))
}

// ran ends the convolution of a batch.
func (u *Unit) ran() { u.ready(u.params.Gamma, u.params.Beta) }

// startGrad makes ready for applyGrad, addWeights and gradInput, when every
// image's gradient was observed.
func (u *Unit) startGrad() {
	u.readyGrad(u.params.Gamma)
	u.startWeights()
	u.turn(u.params.Weight)
}

// Buffers hold what only lives during one Backward; the stem and the blocks of a
// net, which take turns, share them.
type Buffers struct{ outer, inner []float32 }

func grow(b *[]float32, n int) []float32 {
	if len(*b) < n {
		*b = make([]float32, n)
	}
	return (*b)[:n]
}

// A Stem is a unit and a ReLU. Nobody wants the gradient of its input.
type Stem struct {
	Unit
	buffers *Buffers
	d       [][]float32 // per worker, an image
}

func NewStem(c Conv, b *Buffers) *Stem { return &Stem{Unit: *newUnit(c), buffers: b} }

// Forward writes to the inner part of y what the stem makes of x.
func (s *Stem) Forward(y, x []float32, p Params) {
	s.params = p
	Parallel(s.Images, func(_, n int) { s.run(n, one(x, n, s.inSize())) })
	s.ran()
	Parallel(s.Images, func(_, n int) { s.apply(one(y, n, s.outSize()), s.output(n), nil, true) })
}

// Backward sets DWeight, DGamma and DBeta; x and y are those of the last Forward.
func (s *Stem) Backward(x, y, dy []float32) {
	size := s.outSize()
	m := grow(&s.buffers.outer, len(y))
	Parallel(s.Images, func(_, n int) {
		s.observeMasked(n, one(m, n, size), s.output(n), one(dy, n, size), one(y, n, size))
	})
	s.startGrad()
	for len(s.d) < Workers() {
		s.d = append(s.d, make([]float32, size))
	}
	inGroups(s.Images, func(worker, group, n int) {
		d := s.d[worker]
		s.applyGrad(d, s.output(n), one(m, n, size))
		s.addWeights(group, one(x, n, s.inSize()), d)
	})
	s.weights(s.DWeight)
}

// A Block is a basic residual block (He et al. 2015):
//
//	y = relu(norm2(conv2(relu(norm1(conv1(x))))) + shortcut(x))
//
// The shortcut is x itself; where the shape changes, every other pixel of x and
// zeros for the new channels, or a unit with a 1x1 convolution.
type Block struct {
	First, Second *Unit
	Projection    *Unit // or nil

	buffers *Buffers
	workers []workspace
}

// A workspace is a worker's images, with borders of zeros.
type workspace struct {
	middle, dMiddle []float32 // like the first unit's output
	out             []float32 // like the second's
	in              []float32 // like the block's input
	skip            []float32 // what the shortcut adds
}

// NewBlock makes a block whose first unit is c; project says that the shortcut
// has a convolution.
func NewBlock(c Conv, project bool, buffers *Buffers) *Block {
	second := c
	second.In, second.Height, second.Width, second.Stride = c.Out, c.OutHeight(), c.OutWidth(), 1
	b := &Block{First: newUnit(c), Second: newUnit(second), buffers: buffers}
	if project {
		c.Kernel = 1
		b.Projection = newUnit(c)
	}
	return b
}

// Units lists the units: the first, perhaps the projection, the second.
func (b *Block) Units() []*Unit {
	if b.Projection != nil {
		return []*Unit{b.First, b.Projection, b.Second}
	}
	return []*Unit{b.First, b.Second}
}

// keepsShape says that the shortcut is the input itself.
func (b *Block) keepsShape() bool {
	return b.Projection == nil && b.First.Stride == 1 && b.First.In == b.First.Out
}

func (b *Block) prepare() {
	for len(b.workers) < Workers() {
		image := func(size int) []float32 { return make([]float32, size) }
		b.workers = append(b.workers, workspace{image(b.First.outSize()), image(b.First.outSize()),
			image(b.Second.outSize()), image(b.First.inSize()), image(b.Second.outSize())})
	}
}

// Forward writes to the inner part of y what the block makes of x; params are
// those of Units.
func (b *Block) Forward(y, x []float32, params []Params) {
	b.prepare()
	for i, u := range b.Units() {
		u.params = params[i]
	}
	first, second, projection := b.First, b.Second, b.Projection
	in, out := first.inSize(), second.outSize()
	Parallel(first.Images, func(_, n int) {
		first.run(n, one(x, n, in))
		if projection != nil {
			projection.run(n, one(x, n, in))
		}
	})
	first.ran()
	if projection != nil {
		projection.ran()
	}
	Parallel(first.Images, func(worker, n int) {
		middle := b.workers[worker].middle
		first.apply(middle, first.output(n), nil, true)
		second.run(n, middle)
	})
	second.ran()
	Parallel(first.Images, func(worker, n int) {
		skip := one(x, n, in)
		if !b.keepsShape() {
			skip = b.workers[worker].skip
			if projection != nil {
				projection.apply(skip, projection.output(n), nil, false)
			} else {
				b.pick(skip, one(x, n, in), false)
			}
		}
		second.apply(one(y, n, out), second.output(n), skip, true)
	})
}

// pick is the shortcut that picks pixels of an image x and leaves new channels
// alone; backwards it adds their gradients to those of x.
func (b *Block) pick(y, x []float32, backwards bool) {
	c := &b.First.Conv
	for row := range c.OutHeight() {
		for col := range c.OutWidth() {
			from := x[((row*c.Stride+1)*(c.Width+2)+col*c.Stride+1)*c.In:][:c.In]
			to := y[((row+1)*(c.OutWidth()+2)+col+1)*c.Out:][:c.In]
			if backwards {
				add(from, to)
			} else {
				copy(to, from)
			}
		}
	}
}

// Backward writes the gradient of x to the inner part of dx and sets those of
// the params, in the Units; x and y are those of the last Forward.
func (b *Block) Backward(dx, x, y, dy []float32) {
	first, second, projection := b.First, b.Second, b.Projection
	in, middle, out := first.inSize(), first.outSize(), second.outSize()
	outer, inner := grow(&b.buffers.outer, len(y)), grow(&b.buffers.inner, len(first.raw))
	Parallel(first.Images, func(_, n int) {
		m := one(outer, n, out)
		second.observeMasked(n, m, second.output(n), one(dy, n, out), one(y, n, out))
		if projection != nil {
			projection.observeGrad(n, projection.output(n), m)
		}
	})
	second.startGrad()
	if projection != nil {
		projection.startGrad()
	}
	inGroups(first.Images, func(worker, group, n int) {
		w := &b.workers[worker]
		first.apply(w.middle, first.output(n), nil, true)
		second.applyGrad(w.out, second.output(n), one(outer, n, out))
		second.addWeights(group, w.middle, w.out)
		second.gradInput(w.dMiddle, w.out)
		first.observeMasked(n, one(inner, n, middle), first.output(n), w.dMiddle, w.middle)
	})
	first.startGrad()
	inGroups(first.Images, func(worker, group, n int) {
		w := &b.workers[worker]
		from, to, m := one(x, n, in), one(dx, n, in), one(outer, n, out)
		first.applyGrad(w.dMiddle, first.output(n), one(inner, n, middle))
		first.addWeights(group, from, w.dMiddle)
		first.gradInput(to, w.dMiddle)
		switch {
		case projection != nil:
			projection.applyGrad(w.out, projection.output(n), m)
			projection.addWeights(group, from, w.out)
			projection.gradInput(w.in, w.out)
			add(to, w.in)
		case b.keepsShape():
			second.rows(func(from, until int) { add(to[from:until], m[from:until]) })
		default:
			b.pick(m, to, true)
		}
	})
	for _, u := range b.Units() {
		u.weights(u.DWeight)
	}
}
