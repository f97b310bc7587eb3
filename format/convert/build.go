package convert

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/quarterturn/quarterturn/format"
)

// Options are what a file of weights does not say.
type Options struct {
	Name   string    // of the slab
	Labels []string  // of the outputs; empty: their numbers
	Size   int       // side of the input in pixels; 0: as the file says
	Mean   []float32 // of the channels, on the scale 0 to 1, as the net was trained with
	Std    []float32
}

// A node is a layer under construction, or the image.
type node struct {
	name     string
	op       string // "" is the image
	input    *node
	residual *node
	w, b     []float64 // conv: (out, in, k, k) and (out)
	in, out  int       // channels
	kernel   int
	stride   int
	relu     bool
	height   int // of its output
	width    int
	readers  int // how many nodes read it; a node that others read may not change
}

// A builder builds a net from the image on.
type builder struct {
	image *node
	names map[string]bool
	added int // weights of convolutions that are not in the file
}

// maxAdded bounds them, so that a small file cannot claim all memory: 512 MiB.
const maxAdded = 1 << 26

func newBuilder(channels, height, width int) (*builder, error) {
	if channels != 1 && channels != 3 || height < 1 || width < 1 {
		return nil, fmt.Errorf("the input has %d channels of %d x %d; a slab takes 1 or 3 channels", channels, height, width)
	}
	return &builder{image: &node{out: channels, height: height, width: width}, names: map[string]bool{}}, nil
}

// add gives a node a name of its own.
func (b *builder) add(n *node) *node {
	name := n.name
	for i := 2; b.names[n.name]; i++ {
		n.name = name + "." + strconv.Itoa(i)
	}
	b.names[n.name] = true
	n.input.readers++
	return n
}

// conv adds a convolution with weights of a shape (out, in, k, k); bias may be nil.
func (b *builder) conv(name string, x *node, w []float32, shape []int, bias []float32, stride int) (*node, error) {
	if len(shape) != 4 || shape[2] != shape[3] || !slices.Contains([]int{1, 3, 5, 7}, shape[2]) {
		return nil, fmt.Errorf("%s: a kernel of shape %v; a slab takes (out, in, k, k) with k of 1, 3, 5 or 7", name, shape)
	}
	if shape[0] < 1 || len(w) != shape[0]*shape[1]*shape[2]*shape[3] {
		return nil, fmt.Errorf("%s: %d weights of shape %v", name, len(w), shape)
	}
	if shape[1] != x.out {
		return nil, fmt.Errorf("%s: it takes %d channels, its input has %d; convolutions in groups cannot be put into a slab", name, shape[1], x.out)
	}
	if stride != 1 && stride != 2 {
		return nil, fmt.Errorf("%s: a stride of %d; a slab takes 1 or 2", name, stride)
	}
	n := &node{name: name, op: format.OpConv, input: x, w: widen(w), b: make([]float64, shape[0]), in: x.out, out: shape[0], kernel: shape[2], stride: stride,
		height: (x.height + stride - 1) / stride, width: (x.width + stride - 1) / stride}
	if bias != nil {
		if len(bias) != n.out {
			return nil, fmt.Errorf("%s: %d biases for %d channels", name, len(bias), n.out)
		}
		n.b = widen(bias)
	}
	return b.add(n), nil
}

func widen(v []float32) []float64 {
	out := make([]float64, len(v))
	for i, x := range v {
		out[i] = float64(x)
	}
	return out
}

// open says whether what follows n alone may become part of it.
func (n *node) open() bool {
	return n.op == format.OpConv && !n.relu && n.readers == 0
}

// affine multiplies each channel and adds to it: a batch normalisation that is done. It
// becomes part of the convolution before it, or else a 1x1 convolution.
func (b *builder) affine(name string, x *node, scale, shift []float64) (*node, error) {
	if len(scale) != x.out || len(shift) != x.out {
		return nil, fmt.Errorf("%s: it normalises %d channels, its input has %d", name, len(scale), x.out)
	}
	if !x.open() || x.residual != nil {
		var err error
		if x, err = b.pointwise(name, x); err != nil {
			return nil, err
		}
	}
	per := len(x.w) / x.out
	for c := range x.out {
		for i := range per {
			x.w[c*per+i] *= scale[c]
		}
		x.b[c] = x.b[c]*scale[c] + shift[c]
	}
	return x, nil
}

// pointwise adds a 1x1 convolution that changes nothing, for others to change.
func (b *builder) pointwise(name string, x *node) (*node, error) {
	if b.added += x.out * x.out; x.out > 1<<16 || b.added > maxAdded {
		return nil, fmt.Errorf("%s: it cannot become part of a convolution, and convolutions of its own for such steps take more than %d weights", name, maxAdded)
	}
	n := &node{name: name, op: format.OpConv, input: x, w: make([]float64, x.out*x.out), b: make([]float64, x.out), in: x.out, out: x.out,
		kernel: 1, stride: 1, height: x.height, width: x.width}
	for c := range x.out {
		n.w[c*x.out+c] = 1
	}
	return b.add(n), nil
}

// batchNorm adds a batch normalisation as it is after training.
func (b *builder) batchNorm(name string, x *node, weight, bias, mean, variance []float32, epsilon float64) (*node, error) {
	if len(weight) != len(mean) || len(bias) != len(mean) || len(variance) != len(mean) {
		return nil, fmt.Errorf("%s: its four tensors have %d, %d, %d and %d values", name, len(weight), len(bias), len(mean), len(variance))
	}
	scale, shift := make([]float64, len(mean)), make([]float64, len(mean))
	for c := range mean {
		scale[c] = float64(weight[c]) / math.Sqrt(float64(variance[c])+epsilon)
		shift[c] = float64(bias[c]) - float64(mean[c])*scale[c]
	}
	return b.affine(name, x, scale, shift)
}

func (b *builder) relu(name string, x *node) (*node, error) {
	if !x.open() {
		var err error
		if x, err = b.pointwise(name, x); err != nil {
			return nil, err
		}
	}
	x.relu = true
	return x, nil
}

// sum adds two values; one of them becomes the residual of the other.
func (b *builder) sum(name string, x, y *node) (*node, error) {
	if x.out != y.out || x.height != y.height || x.width != y.width {
		return nil, fmt.Errorf("%s: it adds %d x %d x %d and %d x %d x %d", name, x.out, x.height, x.width, y.out, y.height, y.width)
	}
	if !x.open() || x.residual != nil {
		x, y = y, x
	}
	var err error
	if !x.open() || x.residual != nil || x == y {
		if x, err = b.pointwise(name, x); err != nil {
			return nil, err
		}
	}
	if y.op == "" { // a residual of 0 means that there is none
		if y, err = b.pointwise(name, y); err != nil {
			return nil, err
		}
	}
	x.residual = y
	y.readers++
	return x, nil
}

func (b *builder) max(name string, x *node, kernel, stride int) (*node, error) {
	n := &node{name: name, op: format.OpMax, input: x, in: x.out, out: x.out, kernel: kernel, stride: stride, height: (x.height + stride - 1) / stride, width: (x.width + stride - 1) / stride}
	if kernel == 2 && stride == 2 {
		n.height, n.width = x.height/2, x.width/2
	} else if kernel != 3 || stride != 1 && stride != 2 {
		return nil, fmt.Errorf("%s: max pooling of %d x %d with stride %d; a slab takes 3 x 3 with padding 1 and stride 1 or 2, or 2 x 2 with stride 2", name, kernel, kernel, stride)
	}
	return b.add(n), nil
}

// padded is a shortcut with zeros before its channels, and after.
func (b *builder) padded(name string, x *node, before, after, stride int) (*node, error) {
	out := before + x.out + after
	if before == 0 {
		return b.shortcut(name, x, out, stride), nil
	}
	if b.added += out * x.out; b.added > maxAdded {
		return nil, fmt.Errorf("%s: more than %d weights are needed for such steps", name, maxAdded)
	}
	w := make([]float32, out*x.out) // a 1x1 convolution of ones and zeros
	for c := range x.out {
		w[(before+c)*x.out+c] = 1
	}
	return b.conv(name, x, w, []int{out, x.out, 1, 1}, nil, stride)
}

// shortcut adds every stride-th pixel of x with new channels, zero, after its own.
func (b *builder) shortcut(name string, x *node, out, stride int) *node {
	return b.add(&node{name: name, op: format.OpShortcut, input: x, in: x.out, out: out, stride: stride,
		height: (x.height + stride - 1) / stride, width: (x.width + stride - 1) / stride})
}

// model finishes the net with the mean over all pixels and a linear classifier, weight
// (outputs, features).
func (b *builder) model(last *node, weight []float32, shape []int, bias []float32, o Options, provenance format.Provenance) (*format.Model, error) {
	if len(shape) != 2 || shape[1] != last.out || len(weight) != shape[0]*shape[1] {
		return nil, fmt.Errorf("the classifier has the shape %v, the net %d features", shape, last.out)
	}
	if bias == nil {
		bias = make([]float32, shape[0])
	}
	if len(bias) != shape[0] {
		return nil, fmt.Errorf("the classifier has %d outputs and %d biases", shape[0], len(bias))
	}
	if len(o.Mean) != b.image.out || len(o.Std) != b.image.out {
		return nil, fmt.Errorf("the net takes %d channels: give as many means and standard deviations as it was trained with, not %d and %d", b.image.out, len(o.Mean), len(o.Std))
	}
	if o.Labels == nil {
		for i := range shape[0] {
			o.Labels = append(o.Labels, strconv.Itoa(i))
		}
	}
	if len(o.Labels) != shape[0] {
		return nil, fmt.Errorf("%d labels were given, the net has %d outputs", len(o.Labels), shape[0])
	}
	identity := []int{0, 1, 2}[:b.image.out]
	m := &format.Model{Manifest: format.Manifest{
		Name: o.Name, Labels: o.Labels, Transforms: []format.Transform{{Channels: identity}},
		Input: format.Input{Channels: b.image.out, Height: b.image.height, Width: b.image.width, Mean: o.Mean, Std: o.Std},
		Heads: []format.Head{{Kind: format.HeadClass}}, Recommended: format.ModeBaseline, Provenance: provenance,
		SelfTest: format.SelfTest{Digest: make([]byte, 32)},
	}}
	place := map[*node]int{b.image: 0}
	if err := b.place(last, m, place); err != nil {
		return nil, err
	}
	m.Layers = append(m.Layers, format.Layer{Name: b.add(&node{name: "mean", input: last}).name, Op: format.OpMean, Input: place[last]})
	m.Weights = append(m.Weights, weight, bias)
	if err := m.Validate(); err != nil {
		return nil, err
	}
	for i, t := range m.TensorShapes() {
		for _, v := range m.Weights[i] {
			if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
				return nil, fmt.Errorf("%s holds a number that is not finite", t.Name)
			}
		}
	}
	return m, nil
}

// place appends the layers that n needs, then n: each after what it reads.
func (b *builder) place(n *node, m *format.Model, at map[*node]int) error {
	type visit struct {
		n    *node
		done bool
	}
	for stack := []visit{{n, false}}; len(stack) > 0; {
		v := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if _, ok := at[v.n]; ok {
			continue
		}
		if !v.done {
			stack = append(stack, visit{v.n, true})
			if v.n.residual != nil {
				stack = append(stack, visit{v.n.residual, false})
			}
			stack = append(stack, visit{v.n.input, false})
			continue
		}
		l := format.Layer{Name: v.n.name, Op: v.n.op, Input: at[v.n.input], Out: v.n.out, Kernel: v.n.kernel, Stride: v.n.stride, ReLU: v.n.relu}
		if v.n.residual != nil {
			l.Residual = at[v.n.residual]
		}
		if v.n.op == format.OpConv {
			if len(v.n.w) != v.n.out*v.n.in*v.n.kernel*v.n.kernel {
				return errors.New(v.n.name + ": its weights do not have the size of its shape")
			}
			m.Weights = append(m.Weights, narrow(v.n.w), narrow(v.n.b))
		}
		m.Layers = append(m.Layers, l)
		at[v.n] = len(m.Layers)
	}
	return nil
}

func narrow(v []float64) []float32 {
	out := make([]float32, len(v))
	for i, x := range v {
		out[i] = float32(x)
	}
	return out
}
