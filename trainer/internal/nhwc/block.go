package nhwc

import "github.com/quarterturn/quarterturn/trainer/internal/parallel"

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
	raw     []float32 // (Images, H+2, W+2, Out) with the size of Norm, without a meaning in the border
	params  Params
}

func newUnit(c Conv) *Unit {
	return newUnitOf(c, c.OutHeight(), c.OutWidth())
}

// newUnitOf is newUnit where the normalised images have another size.
func newUnitOf(c Conv, height, width int) *Unit {
	return &Unit{Conv: c, Norm: *newNorm(c.Images, height, width, c.Out),
		DWeight: make([]float32, c.Kernel*c.Kernel*c.In*c.Out)}
}

// prepare makes the memory that grows with the batch, before the first of them.
func (u *Unit) prepare() {
	if u.raw == nil {
		u.raw, u.partials = make([]float32, u.Images*u.Norm.size()), make([]float32, u.Images*2*u.width*u.channels)
	}
}

// output is what is normalised of image n: the convolution's output, or what pooling
// leaves of it.
func (u *Unit) output(n int) []float32 { return one(u.raw, n, u.Norm.size()) }

// one returns image n of a batch of images of so many floats.
func one(batch []float32, n, size int) []float32 { return batch[n*size : (n+1)*size] }

// run convolves image n.
func (u *Unit) run(n int, x []float32) {
	u.forward(u.output(n), x, u.params.Weight)
	u.observe(n, u.output(n))
}

// ran ends the convolution of a batch.
func (u *Unit) ran() { u.ready(u.params.Gamma, u.params.Beta) }

// startGrad makes ready for applyGrad and addWeights, when every image's gradient
// was observed.
func (u *Unit) startGrad() {
	u.readyGrad(u.params.Gamma)
	u.startWeights()
}

// startGrads makes ready for gradInput, too.
func (u *Unit) startGrads() {
	u.startGrad()
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

// A Block is a basic residual block (He et al. 2015):
//
//	y = relu(norm2(conv2(relu(norm1(conv1(x))))) + shortcut(x))
//
// The shortcut is x itself; where the shape changes, every other pixel of x and
// zeros for the new channels, or a unit with a 1x1 convolution.
//
// A batch goes through it in three passes, since normalisation must have seen
// every image, and back in three; each is a method for one image.
type Block struct {
	First, Second *Unit
	Projection    *Unit // or nil
}

// A workspace is a worker's images, with borders of zeros.
type workspace struct {
	middle, dMiddle []float32 // like the first unit's output
	out             []float32 // like the second's
	in              []float32 // like the block's input
	skip            []float32 // what the shortcut adds
}

// NewBlock makes a block whose first unit is c; project says that the shortcut
// has a convolution where the shape changes.
func NewBlock(c Conv, project bool) *Block {
	second := c
	second.In, second.Height, second.Width, second.Stride = c.Out, c.OutHeight(), c.OutWidth(), 1
	b := &Block{First: newUnit(c), Second: newUnit(second)}
	if project && !b.keepsShape() {
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
func (b *Block) keepsShape() bool { return b.First.Stride == 1 && b.First.In == b.First.Out }

func (b *Block) forward1(n int, x []float32) {
	b.First.run(n, x)
	if b.Projection != nil {
		b.Projection.run(n, x)
	}
}

func (b *Block) ran1() {
	b.First.ran()
	if b.Projection != nil {
		b.Projection.ran()
	}
}

func (b *Block) forward2(w *workspace, n int) {
	b.First.apply(w.middle, b.First.output(n), nil, true)
	b.Second.run(n, w.middle)
}

func (b *Block) ran2() { b.Second.ran() }

func (b *Block) forward3(w *workspace, n int, y, x []float32) {
	skip := x
	if b.Projection != nil {
		skip = w.skip
		b.Projection.apply(skip, b.Projection.output(n), nil, false)
	} else if !b.keepsShape() {
		skip = w.skip
		b.pick(skip, x, false)
	}
	b.Second.apply(y, b.Second.output(n), skip, true)
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

// backward1 writes to m the gradient behind the last ReLU; m may be dy.
func (b *Block) backward1(n int, m, dy, y []float32) {
	b.Second.observeMasked(n, m, b.Second.output(n), dy, y)
	if b.Projection != nil {
		b.Projection.observeGrad(n, b.Projection.output(n), m)
	}
}

func (b *Block) back1() {
	b.Second.startGrads()
	if b.Projection != nil {
		b.Projection.startGrads()
	}
}

// backward2 writes to inner the gradient behind the first ReLU.
func (b *Block) backward2(w *workspace, group, n int, inner, m []float32) {
	b.First.apply(w.middle, b.First.output(n), nil, true)
	b.Second.applyGrad(w.out, b.Second.output(n), m)
	b.Second.addWeights(group, w.middle, w.out)
	b.Second.gradInput(w.dMiddle, w.out)
	b.First.observeMasked(n, inner, b.First.output(n), w.dMiddle, w.middle)
}

func (b *Block) back2() { b.First.startGrads() }

func (b *Block) backward3(w *workspace, group, n int, dx, x, inner, m []float32) {
	b.First.applyGrad(w.dMiddle, b.First.output(n), inner)
	b.First.addWeights(group, x, w.dMiddle)
	b.First.gradInput(dx, w.dMiddle)
	switch {
	case b.Projection != nil:
		b.Projection.applyGrad(w.out, b.Projection.output(n), m)
		b.Projection.addWeights(group, x, w.out)
		b.Projection.gradInput(w.in, w.out)
		add(dx, w.in)
	case b.keepsShape():
		b.Second.rows(func(from, to int) { add(dx[from:to], m[from:to]) })
	default:
		b.pick(m, dx, true)
	}
}

func (b *Block) back3() {
	for _, u := range b.Units() {
		u.weights(u.DWeight)
	}
}

// A Stage is a chain of blocks of which only the first may change the shape. The
// last pass of a block and the first of the next are one, for an image that is in
// the cache.
type Stage struct {
	Blocks []*Block

	outputs [][]float32 // of all blocks but the last
	buffers *Buffers
	workers []workspace
}

// NewStage makes a stage of blocks.
func NewStage(blocks []*Block, buffers *Buffers) *Stage {
	s := &Stage{Blocks: blocks, buffers: buffers}
	for _, b := range blocks[1:] {
		s.outputs = append(s.outputs, make([]float32, b.First.Images*b.First.inSize()))
	}
	return s
}

// Units lists the units of all blocks.
func (s *Stage) Units() (units []*Unit) {
	for _, b := range s.Blocks {
		units = append(units, b.Units()...)
	}
	return units
}

func (s *Stage) prepare() {
	first := s.Blocks[0].First
	out := func() []float32 { return make([]float32, first.outSize()) }
	for len(s.workers) < parallel.Workers() {
		in := make([]float32, max(first.inSize(), first.outSize()))
		s.workers = append(s.workers, workspace{out(), out(), out(), in, out()})
	}
}

// input is the input of block i, given that of the stage.
func (s *Stage) input(i, n int, x []float32) []float32 {
	if i > 0 {
		x = s.outputs[i-1]
	}
	return one(x, n, s.Blocks[i].First.inSize())
}

// Forward writes to the inner part of y what the stage makes of x; params are
// those of Units.
func (s *Stage) Forward(y, x []float32, params []Params) {
	s.prepare()
	for i, u := range s.Units() {
		u.prepare()
		u.params = params[i]
	}
	images := s.Blocks[0].First.Images
	for i, b := range s.Blocks {
		parallel.For(images, func(worker, n int) {
			if i > 0 {
				s.Blocks[i-1].forward3(&s.workers[worker], n, s.input(i, n, x), s.input(i-1, n, x))
			}
			b.forward1(n, s.input(i, n, x))
		})
		b.ran1()
		parallel.For(images, func(worker, n int) { b.forward2(&s.workers[worker], n) })
		b.ran2()
	}
	last := len(s.Blocks) - 1
	parallel.For(images, func(worker, n int) {
		s.Blocks[last].forward3(&s.workers[worker], n, one(y, n, s.Blocks[last].Second.outSize()), s.input(last, n, x))
	})
}

// Backward writes the gradient of x to the inner part of dx and sets those of
// the params, in the Units; x and y are those of the last Forward.
func (s *Stage) Backward(dx, x, y, dy []float32) {
	first := s.Blocks[0].First
	in, out := first.inSize(), first.outSize()
	outer, inner := grow(&s.buffers.outer, len(y)), grow(&s.buffers.inner, len(y))
	last := len(s.Blocks) - 1
	parallel.For(first.Images, func(_, n int) {
		s.Blocks[last].backward1(n, one(outer, n, out), one(dy, n, out), one(y, n, out))
	})
	for i := last; i >= 0; i-- {
		b := s.Blocks[i]
		b.back1()
		inGroups(first.Images, func(worker, group, n int) {
			b.backward2(&s.workers[worker], group, n, one(inner, n, out), one(outer, n, out))
		})
		b.back2()
		inGroups(first.Images, func(worker, group, n int) {
			w, m, input := &s.workers[worker], one(outer, n, out), s.input(i, n, x)
			if i == 0 {
				b.backward3(w, group, n, one(dx, n, in), input, one(inner, n, out), m)
				return
			}
			d := w.in[:out]
			b.backward3(w, group, n, d, input, one(inner, n, out), m)
			s.Blocks[i-1].backward1(n, m, d, input)
		})
		b.back3()
	}
}
