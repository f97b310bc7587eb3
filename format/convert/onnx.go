package convert

import (
	"errors"
	"fmt"
	"slices"

	"github.com/quarterturn/quarterturn/format"
)

// ONNX returns the model of an ONNX graph that a slab can express. The graph has one input,
// images (N, C, H, W), and its outputs are logits or their softmax, which is left out.
// o.Size takes the place of a free height and width.
func ONNX(b []byte, o Options) (*format.Model, error) {
	g, err := parseModel(b)
	if err != nil {
		return nil, fmt.Errorf("not an ONNX model: %w", err)
	}
	m, err := (&importer{graphProto: g, options: o, values: map[string]*node{}, sliced: map[string]slice{}, vectors: map[string]string{}}).model()
	if err != nil && g.metadata["manifest"] != "" {
		return nil, fmt.Errorf("%w (this is a slab that was exported in the mode %s; the safetensors export is the one that comes back whole)", err, g.metadata["mode"])
	}
	return m, err
}

// An importer follows the operators of a graph.
type importer struct {
	*graphProto
	options Options
	b       *builder
	values  map[string]*node  // pictures, by their names in the graph
	sliced  map[string]slice  // pictures of which only some pixels were taken so far
	vectors map[string]string // what comes after the mean: "features", "logits" or "product"
	uses    map[string]int
	last    *node // what the mean was taken of

	weight, bias []float32 // of the classifier
	shape        []int
}

// kinds of vectors
const (
	features = "features" // (N, F)
	product  = "product"  // of features and weights, without a bias so far
	logits   = "logits"
)

func (p *importer) model() (*format.Model, error) {
	var input string
	for _, name := range p.inputs {
		if _, constant := p.constants[name]; constant {
			continue // older files list their weights as inputs
		}
		if input != "" {
			return nil, fmt.Errorf("the graph has the inputs %s and %s; a slab has one, the image", input, name)
		}
		input = name
	}
	shape := p.shapes[input]
	if len(shape) != 4 {
		return nil, fmt.Errorf("the input %q has the shape %v; want images (N, C, H, W)", input, shape)
	}
	h, w := shape[2], shape[3]
	if size := p.options.Size; size > 0 {
		if h > 0 && h != size || w > 0 && w != size {
			return nil, fmt.Errorf("the graph takes images of %d x %d, not %d x %d", w, h, size, size)
		}
		h, w = size, size
	}
	if h < 1 || w < 1 {
		return nil, errors.New("the graph does not say how large its images are: give the side in pixels")
	}
	var err error
	if p.b, err = newBuilder(shape[1], h, w); err != nil {
		return nil, err
	}
	p.values[input] = p.b.image
	p.uses = map[string]int{}
	for _, o := range p.operators {
		for _, in := range o.in {
			p.uses[in]++
		}
	}
	for _, out := range p.outputs {
		p.uses[out]++
	}
	for _, o := range p.operators {
		if err := p.operator(o); err != nil {
			return nil, fmt.Errorf("operator %s %q: %w", o.op, o.name, err)
		}
	}
	for _, out := range p.outputs {
		if kind := p.vectors[out]; kind != logits && kind != product {
			return nil, fmt.Errorf("the output %q does not come from a linear classifier", out)
		}
	}
	if len(p.outputs) == 0 {
		return nil, errors.New("the graph has no output")
	}
	return p.b.model(p.last, p.weight, p.shape, p.bias, p.options, format.Provenance{Tool: p.producer, Data: "unknown", Method: "imported", Net: "ONNX graph"})
}

// set names the result of an operator. One that several read is left as it is from then on.
func (p *importer) set(o *operator, n *node) {
	p.values[o.out[0]] = n
	if p.uses[o.out[0]] > 1 {
		n.readers++
	}
}

func (p *importer) operator(o *operator) error {
	if o.domain != "" && o.domain != "ai.onnx" {
		return fmt.Errorf("operators of %s are not known", o.domain)
	}
	if len(o.out) != 1 && o.op != "BatchNormalization" && o.op != "Dropout" && o.op != "MaxPool" {
		return fmt.Errorf("it has %d outputs", len(o.out))
	}
	if o.op == "Constant" {
		c, ok := o.tensors["value"]
		if !ok {
			return errors.New("only constant tensors are known")
		}
		p.constants[o.out[0]] = c
		return nil
	}
	if len(o.in) == 0 {
		return errors.New("it has no input")
	}
	if len(o.in) == 2 && o.op == "Add" && p.constants[o.in[0]] != nil {
		o.in[0], o.in[1] = o.in[1], o.in[0]
	}
	if kind, ok := p.vectors[o.in[0]]; ok {
		return p.vector(o, kind)
	}
	if s, ok := p.sliced[o.in[0]]; ok || o.op == "Slice" {
		return p.shortcut(o, s)
	}
	x, ok := p.values[o.in[0]]
	if c := p.constants[o.in[0]]; c != nil && o.op == "Identity" {
		p.constants[o.out[0]] = c
		return nil
	}
	if !ok {
		return fmt.Errorf("its input %q is neither the image nor computed from it", o.in[0])
	}
	n, err := p.picture(o, x)
	if err == nil && n != nil {
		p.set(o, n)
	}
	return err
}

// floatsOf returns input i of an operator, which must be a constant of that shape; -1 is any.
func (p *importer) floatsOf(o *operator, i int, dims int) (*constant, error) {
	if i >= len(o.in) {
		return nil, fmt.Errorf("it has %d inputs", len(o.in))
	}
	c := p.constants[o.in[i]]
	if c == nil || c.floats == nil || len(c.shape) != dims {
		return nil, fmt.Errorf("its input %q must be a constant tensor of float32 with %d dimensions", o.in[i], dims)
	}
	return c, nil
}

// picture follows an operator on pictures x; no node means that a vector came out.
func (p *importer) picture(o *operator, x *node) (*node, error) {
	switch o.op {
	case "Conv":
		return p.conv(o, x)
	case "BatchNormalization":
		var v [5][]float32
		for i := 1; i < 5; i++ {
			c, err := p.floatsOf(o, i, 1)
			if err != nil {
				return nil, err
			}
			v[i] = c.floats
		}
		epsilon, ok := o.floats["epsilon"]
		if !ok {
			epsilon = 1e-5
		}
		return p.b.batchNorm(o.name, x, v[1], v[2], v[3], v[4], epsilon)
	case "Relu":
		return p.b.relu(o.name, x)
	case "Add":
		if len(o.in) != 2 {
			return nil, fmt.Errorf("it has %d inputs", len(o.in))
		}
		y := p.values[o.in[1]]
		if y == nil {
			return nil, fmt.Errorf("its input %q is not a picture", o.in[1])
		}
		return p.b.sum(o.name, x, y)
	case "MaxPool":
		return p.maxPool(o, x)
	case "Identity", "Dropout":
		return x, nil
	case "GlobalAveragePool":
		return nil, p.mean(o, x)
	case "AveragePool":
		if k := o.ints["kernel_shape"]; !slices.Equal(k, []int{x.height, x.width}) || slices.Max(append(o.ints["pads"], 0)) != 0 {
			return nil, fmt.Errorf("a kernel of %v on %d x %d; a slab takes the average of all pixels", k, x.height, x.width)
		}
		return nil, p.mean(o, x)
	case "ReduceMean":
		axes := o.ints["axes"]
		if len(o.in) > 1 {
			if c := p.constants[o.in[1]]; c != nil {
				axes = c.ints
			}
		}
		if !slices.Equal(axes, []int{2, 3}) && !slices.Equal(axes, []int{-2, -1}) && !slices.Equal(axes, []int{-1, -2}) {
			return nil, fmt.Errorf("a mean over the axes %v; a slab takes the mean over all pixels", axes)
		}
		return nil, p.mean(o, x)
	}
	return nil, fmt.Errorf("a slab cannot express it")
}

// mean ends the pictures.
func (p *importer) mean(o *operator, x *node) error {
	if p.last != nil && p.last != x {
		return errors.New("a second mean; a slab has one, before its classifier")
	}
	p.last = x
	p.vectors[o.out[0]] = features
	return nil
}

// window returns the kernel and stride of a square window with the padding pad(kernel) on
// all sides.
func window(o *operator, height, width int, pad func(kernel int) int) (kernel, stride int, err error) {
	k, s, pads, d := o.ints["kernel_shape"], o.ints["strides"], o.ints["pads"], o.ints["dilations"]
	if len(s) == 0 {
		s = []int{1, 1}
	}
	if len(k) != 2 || k[0] != k[1] || len(s) != 2 || s[0] != s[1] {
		return 0, 0, fmt.Errorf("a window of %v with strides %v; a slab takes square ones", k, s)
	}
	if slices.Max(append(d, 1)) != 1 {
		return 0, 0, fmt.Errorf("dilations %v; a slab has none", d)
	}
	want := pad(k[0])
	if auto := o.text["auto_pad"]; auto == "SAME_UPPER" || auto == "SAME_LOWER" {
		if s[0] != 1 && (k[0] != 1 || height%s[0] != 0 && width%s[0] != 0) {
			return 0, 0, fmt.Errorf("auto_pad %s with stride %d pads one side more than the other; a slab pads all alike", auto, s[0])
		}
		return k[0], s[0], nil
	}
	if len(pads) == 0 {
		pads = []int{0, 0, 0, 0}
	}
	if !slices.Equal(pads, []int{want, want, want, want}) {
		return 0, 0, fmt.Errorf("a window of %d x %d with padding %v; a slab pads %d on all sides", k[0], k[0], pads, want)
	}
	return k[0], s[0], nil
}

func (p *importer) conv(o *operator, x *node) (*node, error) {
	w, err := p.floatsOf(o, 1, 4)
	if err != nil {
		return nil, err
	}
	var bias []float32
	if len(o.in) > 2 && o.in[2] != "" {
		c, err := p.floatsOf(o, 2, 1)
		if err != nil {
			return nil, err
		}
		bias = c.floats
	}
	if g := o.one("group", 1); g != 1 {
		return nil, fmt.Errorf("a convolution in %d groups; a slab has one", g)
	}
	if o.ints["kernel_shape"] == nil {
		o.ints["kernel_shape"] = w.shape[2:]
	}
	k, stride, err := window(o, x.height, x.width, func(k int) int { return (k - 1) / 2 })
	if err != nil {
		return nil, err
	}
	if k != w.shape[2] || k != w.shape[3] {
		return nil, fmt.Errorf("kernel_shape %d, weights of shape %v", k, w.shape)
	}
	return p.b.conv(o.name, x, w.floats, w.shape, bias, stride)
}

func (p *importer) maxPool(o *operator, x *node) (*node, error) {
	if o.one("ceil_mode", 0) != 0 {
		return nil, errors.New("ceil_mode; a slab has none")
	}
	k, stride, err := window(o, x.height, x.width, func(k int) int { return (k - 1) / 2 })
	if err != nil {
		return nil, err
	}
	return p.b.max(o.name, x, k, stride)
}

// vector follows an operator on what comes after the mean.
func (p *importer) vector(o *operator, kind string) error {
	next := kind
	switch o.op {
	case "Identity", "Dropout":
	case "Flatten", "Reshape", "Squeeze":
		if kind != features {
			return errors.New("a slab cannot express it behind the classifier")
		}
	case "Gemm":
		w, err := p.floatsOf(o, 1, 2)
		if err != nil {
			return err
		}
		if kind != features || o.one("transA", 0) != 0 || o.floats["alpha"] != 0 && o.floats["alpha"] != 1 || len(o.in) > 2 && o.floats["beta"] != 0 && o.floats["beta"] != 1 {
			return errors.New("a slab has one linear classifier, without factors")
		}
		p.weight, p.shape = w.floats, w.shape
		if o.one("transB", 0) == 0 {
			p.weight, p.shape = transpose(w)
		}
		if len(o.in) > 2 && o.in[2] != "" {
			b, err := p.floatsOf(o, 2, 1)
			if err != nil {
				return err
			}
			p.bias = b.floats
		}
		next = logits
	case "MatMul":
		w, err := p.floatsOf(o, 1, 2)
		if err != nil {
			return err
		}
		if kind != features {
			return errors.New("a slab has one linear classifier")
		}
		p.weight, p.shape = transpose(w)
		next = product
	case "Add":
		b, err := p.floatsOf(o, 1, 1)
		if err != nil {
			return err
		}
		if kind != product {
			return errors.New("a slab has one linear classifier")
		}
		p.bias = b.floats
		next = logits
	case "Softmax", "LogSoftmax": // of which the logits are what a slab wants
		if kind == features {
			return errors.New("there is no classifier before it")
		}
	default:
		return errors.New("a slab cannot express it")
	}
	p.vectors[o.out[0]] = next
	return nil
}

func transpose(c *constant) ([]float32, []int) {
	rows, columns := c.shape[0], c.shape[1]
	out := make([]float32, len(c.floats))
	for i := range rows {
		for k := range columns {
			out[k*rows+i] = c.floats[i*columns+k]
		}
	}
	return out, []int{columns, rows}
}

// A slice takes every so many pixels of x: the first half of a shortcut without weights.
type slice struct {
	x           *node
	down, right int // strides
}

// shortcut follows Slice, and the Pad that may come after it.
func (p *importer) shortcut(o *operator, s slice) error {
	switch o.op {
	case "Slice":
		return p.slice(o, s)
	case "Pad":
		if s.down != s.right {
			return fmt.Errorf("every %d-th row and every %d-th column; a slab takes the same of both", s.down, s.right)
		}
		var pads []int
		if len(o.in) > 1 && p.constants[o.in[1]] != nil {
			pads = p.constants[o.in[1]].ints
		}
		if len(pads) != 8 || pads[0]+pads[2]+pads[3]+pads[4]+pads[6]+pads[7] != 0 || slices.Min(pads) < 0 || pads[1] > 1<<16 || pads[5] > 1<<16 {
			return fmt.Errorf("padding %v; a slab adds channels alone", pads)
		}
		if mode := o.text["mode"]; mode != "" && mode != "constant" || len(o.in) > 2 && o.in[2] != "" && !p.zero(o.in[2]) {
			return errors.New("padding with something other than zero")
		}
		n, err := p.b.padded(o.name, s.x, pads[1], pads[5], s.down)
		if err == nil {
			p.set(o, n)
		}
		return err
	}
	return errors.New("a slab cannot express it behind Slice")
}

// zero says whether a constant is zero.
func (p *importer) zero(name string) bool {
	c := p.constants[name]
	return c != nil && len(c.floats) == 1 && c.floats[0] == 0
}

func (p *importer) slice(o *operator, s slice) error {
	if s.x == nil {
		s = slice{p.values[o.in[0]], 1, 1}
	}
	if s.x == nil {
		return fmt.Errorf("its input %q is neither the image nor computed from it", o.in[0])
	}
	var v [5][]int
	for i := 1; i < 5; i++ {
		if i >= len(o.in) || p.constants[o.in[i]] == nil {
			return errors.New("starts, ends, axes and steps must be constants")
		}
		v[i] = p.constants[o.in[i]].ints
	}
	starts, ends, axes, steps := v[1], v[2], v[3], v[4]
	if len(starts) != len(axes) || len(ends) != len(axes) || len(steps) != len(axes) {
		return errors.New("starts, ends, axes and steps of different lengths")
	}
	for i, axis := range axes {
		side, stride := s.x.height, &s.down
		if axis == 3 || axis == -1 {
			side, stride = s.x.width, &s.right
		} else if axis != 2 && axis != -2 {
			return fmt.Errorf("a slice of axis %d; a slab takes pixels", axis)
		}
		if starts[i] != 0 || ends[i] < side || *stride != 1 || steps[i] != 1 && steps[i] != 2 {
			return fmt.Errorf("from %d to %d by %d; a slab takes every pixel or every second one", starts[i], ends[i], steps[i])
		}
		*stride = steps[i]
	}
	p.sliced[o.out[0]] = s
	return nil
}
