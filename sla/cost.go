package sla

import (
	"math"
	"math/bits"
	"strconv"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla/internal/kernel"
)

// What a slab costs follows from its manifest alone: here is counted, before anything
// is allocated or run, the work of an image and the memory of a Classifier.

// Work is counted in multiply-adds of a convolution as its kernel does them: channels
// filled up to whole groups, and a quarter of them where Winograd's algorithm saves the
// rest. What is no multiply-add counts as many of them as take about as long in the
// module under wazero, half a nanosecond each on the machine where BenchmarkWork of
// package host was run; natively all of it takes a tenth of that or less.
const (
	rowWork    = 24   // of a pixel of an image
	sumWork    = 40   // of a sample of the input, for each row of the image that takes part in it
	inputWork  = 400  // of a sample of the input: normalising
	viewWork   = 6    // of a sample of the input that is turned
	callWork   = 128  // of a matrix product
	finishWork = 8    // of a channel of a pixel of a direct convolution: residual and activation
	tileWork   = 160  // of a channel of a tile that is transformed, forth or back
	pixelWork  = 320  // of a pixel of any layer but a convolution
	copyWork   = 6    // of a channel of a pixel of a shortcut or a mean
	poolWork   = 80   // of a channel of a pixel of a 3x3 window's largest
	headWork   = 16   // of a weight of a head, one sum at a time
	classWork  = 1200 // of a class's probability
)

// A cost is that of a layer, which is computed in so many parts, each of so much work.
type cost struct{ parts, each int }

// layerCost is the cost of a layer for so many views of a group.
func layerCost(l *format.Layer, in, out *value, views int) cost {
	if usesWinograd(l, out.shape) {
		_, tiles := tilesOf(out.shape)
		tiles = mul(views, tiles)
		n := min(tiles, tileBlock)
		products := mul(mul(kernel.TileElems*in.shape.Channels, out.pitch), (n+kernel.MR-1)/kernel.MR*kernel.MR)
		transforms := mul(n, tileWork*(in.shape.Channels+out.pitch))
		return cost{(tiles + tileBlock - 1) / tileBlock, add(kernel.TileElems*callWork, add(products, transforms))}
	}
	c := viewCost(l, in, out)
	c.parts = mul(views, c.parts)
	return c
}

// viewCost is the cost of a layer that goes through the views of a group one by one.
func viewCost(l *format.Layer, in, out *value) cost {
	switch {
	case l.Op == format.OpShortcut:
		return pixelCost(out, pixelWork+copyWork*out.shape.Channels)
	case l.Op == format.OpMax && l.Kernel == 2:
		return pixelCost(out, 4*pixelWork+copyWork*out.shape.Channels)
	case l.Op == format.OpMax:
		return pixelCost(out, 8*pixelWork+poolWork*out.shape.Channels)
	case l.Op == format.OpMean:
		return pixelCost(in, pixelWork+copyWork*in.shape.Channels)
	}
	c := pixelCost(out, add(mul(l.Kernel*l.Kernel*in.pitch, out.pitch), finishWork*out.pitch))
	if out.shape.Width < kernel.MR {
		c.each = mul(c.each, kernel.MR)
	}
	c.each = add(c.each, 2*callWork)
	return c
}

// pixelCost is the cost of a layer that goes over the pixels of v, each of so much work.
func pixelCost(v *value, pixel int) cost {
	return cost{partsOf(v), mul(min(v.shape.Width, rowPart), pixel)}
}

// Work is about what an image costs in the mode that takes the most passes, or with a
// gallery, in multiply-adds: all that RunBudget counts. It is what host.WithMaxWork
// bounds. The manifest must be valid.
func Work(m *format.Manifest) int {
	p := planOf(m)
	view := mul(viewWork, m.Input.Channels*m.Input.Height*m.Input.Width)
	for _, c := range p.costs[0] { // a view alone, as in the mode adaptive
		view = add(view, mul(c.parts, c.each))
	}
	work := add(mul(view, m.Views()), (inputWork+3*sumWork)*m.Input.Channels*m.Input.Height*m.Input.Width)
	features := m.Shapes()[len(m.Layers)].Channels
	for _, h := range m.Heads {
		work = add(work, mul(mul(m.Outputs(h.Kind), features), headWork))
	}
	// The mode adaptive takes the mean of the views after each of them.
	work = add(work, mul(mul(m.Classes(), m.Views()), (m.Views()+1)/2*headWork))
	return add(work, mul(m.Classes(), classWork))
}

// RowWork is about the work of a row of an image of so many pixels: a row of a small image
// may take part in many rows of the input.
func RowWork(in *format.Input, width, height int) int {
	return rowWork*width + mul(in.Height/height+2, sumWork*in.Channels*in.Width)
}

// A plan is what a net will need when it runs.
type plan struct {
	group    int          // views that go through the later layers together, at most
	from     int          // the first of these layers
	inputs   []*value     // of each view of a group
	operands [][]operands // per layer, for each view of a group
	values   []*value     // each once
	costs    [][]cost     // per number of views, less one, and layer
	packed   int          // floats of packed weights and biases
	scratch  scratchSize
}

type scratchSize struct{ row, in, out, zeros int }

func (s scratchSize) allocate() *scratch {
	return &scratch{make([]float32, s.row), make([]float32, s.in), make([]float32, s.out), make([]float32, s.zeros)}
}

// scratchOf is what a convolution needs.
func scratchOf(l *format.Layer, in, out *value) scratchSize {
	if usesWinograd(l, out.shape) {
		return scratchSize{in: kernel.TileElems * planeFloats(padded(in.shape.Channels)),
			out: kernel.TileElems * planeFloats(out.pitch), zeros: out.pitch}
	}
	return scratchSize{row: kernel.MR * out.pitch}
}

// packedFloats is how many weights of a convolution there are once they are packed.
func packedFloats(l *format.Layer, in, out *value) int {
	if usesWinograd(l, out.shape) {
		return mul(kernel.TileElems*in.shape.Channels, out.pitch)
	}
	return mul(l.Kernel*l.Kernel*in.pitch, out.pitch)
}

func planOf(m *format.Manifest) *plan {
	p := &plan{group: min(groupSize, m.Views()), from: groupFrom(m)}
	if p.group == 1 || p.from == len(m.Layers) {
		p.group, p.from = 1, len(m.Layers)
	}
	p.inputs, p.operands, p.values = valuesOf(m, p.group, p.from)
	p.costs = make([][]cost, p.group)
	for i := range m.Layers {
		l := &m.Layers[i]
		in, out := p.operands[i][0].in, p.operands[i][0].out
		for views := range p.costs {
			p.costs[views] = append(p.costs[views], layerCost(l, in, out, views+1))
		}
		if l.Op != format.OpConv {
			continue
		}
		p.packed = add(p.packed, add(out.pitch, packedFloats(l, in, out)))
		s, t := &p.scratch, scratchOf(l, in, out)
		*s = scratchSize{max(s.row, t.row), max(s.in, t.in), max(s.out, t.out), max(s.zeros, t.zeros)}
	}
	return p
}

// Memory is how many bytes a Classifier of the model holds, whichever engine runs it:
// values with their borders and their channels filled up to whole groups, packed
// weights, scratch, heads, features, preprocessing of the largest image, a trace. Not
// counted is the model itself: its manifest, and its weights as they were read. The
// manifest must be valid.
func Memory(m *format.Manifest) int {
	p := planOf(m)
	floats := add(p.packed, p.scratch.row+p.scratch.in+p.scratch.out+p.scratch.zeros)
	for _, v := range p.values {
		floats = add(floats, v.floats())
	}
	features := m.Shapes()[len(m.Layers)].Channels
	for _, h := range m.Heads {
		floats = add(floats, mul(m.Outputs(h.Kind), features+1))
	}
	classes, views, input := m.Classes(), m.Views(), m.Input.Channels*m.Input.Height*m.Input.Width
	floats = add(floats, views*(features+classes)+2*classes+2*input)
	preprocessing := 5*input + m.Input.Channels*(256*4+2*m.Input.Width) + maxImageMemory(&m.Input)
	trace := 8 * (views*len(m.Layers) + 1)
	return add(mul(4, floats), preprocessing+trace)
}

// Need is how many bytes of memory an instance of the module needs for a model: Memory,
// the slab as it was read, and room for the rest of the program and for garbage. All
// engines, and JavaScript, refuse a model by this number, so that each of them accepts
// the same ones.
func Need(m *format.Manifest) int {
	held := add(Memory(m), slabBytes(m))
	return add(add(held, held/garbage), runtimeMemory)
}

const (
	// runtimeMemory is what the module takes before it holds a slab, and for its
	// outputs, with some room.
	runtimeMemory = 12 << 20
	// garbage is the share of what an instance holds that may be garbage: wasm.GOGC.
	garbage = 4
)

// slabBytes is about the size of a slab, or of the description of it if that is more.
func slabBytes(m *format.Manifest) int {
	const field = 128 // more than the keys and numbers of an element of any list, as text
	text := len(m.Name)
	for _, l := range m.Labels {
		text += len(l) + 8
	}
	for i := range m.Layers {
		text += 2*field + 3*len(m.Layers[i].Name)
	}
	text += field * (len(m.Transforms) + len(m.Exits) + len(m.Metrics) + len(m.Heads))
	return add(2*text, format.DataLength(m.TensorShapes()))
}

// DefaultMemory is the Need that New and host.Open accept if they are told no other
// limit: 256 MiB and eight times the tensors.
func DefaultMemory(m *format.Manifest) int {
	return add(256<<20, mul(8, format.DataLength(m.TensorShapes())))
}

// AppendJSON appends the description of a model, format.Model's AppendJSON, and in it what
// it costs: "work", as of Work, and "memory", as of Need.
func AppendJSON(b []byte, m *format.Model) []byte {
	b = m.AppendJSON(b)
	b = append(b[:len(b)-1], `,"work":`...)
	b = strconv.AppendInt(b, int64(Work(&m.Manifest)), 10)
	b = append(b, `,"memory":`...)
	b = strconv.AppendInt(b, int64(Need(&m.Manifest)), 10)
	return append(b, '}')
}

// CheckMemory refuses a model whose Need is more than so many bytes. The error is a
// *format.Error of the kind format.ErrUnsupported.
func CheckMemory(m *format.Manifest, bytes int) error {
	if need := Need(m); need > bytes {
		return &format.Error{Kind: format.ErrUnsupported, Field: "layers", Offset: -1,
			Detail: "an instance needs " + itoa(need) + " bytes of memory, more than the limit of " + itoa(bytes)}
	}
	return nil
}

// CheckWork refuses a model whose Work is more than that. The error is a *format.Error
// of the kind format.ErrUnsupported.
func CheckWork(m *format.Manifest, most int) error {
	if work := Work(m); work > most {
		return &format.Error{Kind: format.ErrUnsupported, Field: "layers", Offset: -1,
			Detail: "an image takes up to " + itoa(work) + " multiply-adds, more than the limit of " + itoa(most)}
	}
	return nil
}

// add and mul of numbers that are not negative stay at the largest instead of
// overflowing: a manifest may claim anything.
func add(a, b int) int {
	if a > math.MaxInt-b {
		return math.MaxInt
	}
	return a + b
}

func mul(a, b int) int {
	if high, low := bits.Mul64(uint64(a), uint64(b)); high == 0 && low <= math.MaxInt {
		return int(low)
	}
	return math.MaxInt
}
