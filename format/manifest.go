package format

// Version is the slab version this package reads and format/pack writes.
const Version = 1

// Align is the alignment, in bytes, of the data section and of every tensor.
const Align = 64

// A Manifest says everything about a model but its weights. The struct tags are
// the keys of the MessagePack maps, in the order in which they are written.
type Manifest struct {
	Name        string      `msgpack:"name" json:"name"`
	Labels      []string    `msgpack:"labels" json:"labels"`         // N class names, in index order
	Transforms  []Transform `msgpack:"transforms" json:"transforms"` // M of them, the identity first
	Input       Input       `msgpack:"input" json:"input"`
	Layers      []Layer     `msgpack:"layers" json:"layers"`
	Heads       []Head      `msgpack:"heads" json:"heads"`
	Exits       []Exit      `msgpack:"exits,omitempty" json:"exits,omitempty"` // M of them, one a pass, for the mode adaptive; or none
	Recommended string      `msgpack:"recommended" json:"recommended"`         // the mode that "auto" means
	Metrics     []Metric    `msgpack:"metrics" json:"metrics"`
	Provenance  Provenance  `msgpack:"provenance" json:"provenance"`
	SelfTest    SelfTest    `msgpack:"selftest" json:"selftest"`
	Tensors     []Tensor    `msgpack:"tensors" json:"tensors"`
}

// A Transform turns the image counter-clockwise, then permutes its channels:
// output channel c is input channel Channels[c].
type Transform struct {
	Turns    int   `msgpack:"turns" json:"turns"`       // quarter turns, 0 to 3
	Channels []int `msgpack:"channels" json:"channels"` // a permutation of 0..C-1
}

// Input is what the net is fed: C x Height x Width floats, each (v/255-Mean)/Std
// of an 8-bit sample v.
type Input struct {
	Channels int       `msgpack:"channels" json:"channels"` // 1 (luma) or 3 (R, G, B)
	Height   int       `msgpack:"height" json:"height"`
	Width    int       `msgpack:"width" json:"width"`
	Mean     []float32 `msgpack:"mean" json:"mean"` // per channel
	Std      []float32 `msgpack:"std" json:"std"`   // per channel, positive
}

// Layer kinds.
const (
	OpConv     = "conv"     // y = act(W*x + b + residual), zero-padded by Kernel/2
	OpShortcut = "shortcut" // every Stride-th pixel, new channels filled with zero
	OpMax      = "max"      // the largest of a window, channel by channel
	OpMean     = "mean"     // global average pooling; the last layer
)

// A Layer computes one value. Value 0 is the image and layer i computes value
// i+1; a layer may use any value before its own.
type Layer struct {
	Name     string `msgpack:"name" json:"name"`
	Op       string `msgpack:"op" json:"op"`
	Input    int    `msgpack:"input" json:"input"`       // the value it reads
	Residual int    `msgpack:"residual" json:"residual"` // a value added before the activation; 0: none
	Out      int    `msgpack:"out" json:"out"`           // output channels; 0 for OpMean
	Kernel   int    `msgpack:"kernel" json:"kernel"`     // 1, 3, 5 or 7; 2 or 3 for OpMax; else 0
	Stride   int    `msgpack:"stride" json:"stride"`     // 1 or 2; 0 for OpMean
	ReLU     bool   `msgpack:"relu" json:"relu"`
}

// Head kinds, in the order in which a slab lists them.
const (
	HeadClass     = "class"     // N outputs trained on labels: mode baseline
	HeadJoint     = "joint"     // N*M outputs, class-major: modes single and aggregated
	HeadDistilled = "distilled" // N outputs taught by the aggregated ones: mode distilled
)

// A Head is a linear layer over the feature that the last Layer makes. With a Scale
// its outputs are divided by the feature's length and multiplied by Scale: where rows
// of the weight have length 1 and the bias is 0, Scale times the cosine of an angle.
type Head struct {
	Kind  string  `msgpack:"kind" json:"kind"`
	Scale float32 `msgpack:"scale,omitempty" json:"scale,omitempty"` // 0: a plain linear layer
}

// An Exit says when the mode adaptive answers after a pass: the first by the
// distilled head, the k-th by the mean of the joint head's logits over k views.
type Exit struct {
	Margin      float32 `msgpack:"margin" json:"margin"`           // that the largest logit must have over the second; 0 for the last exit
	Temperature float32 `msgpack:"temperature" json:"temperature"` // the logits are divided by it to give probabilities
	Share       float64 `msgpack:"share" json:"share"`             // of the images on which the exits were calibrated, that took this one
}

// Mode names.
const (
	ModeBaseline   = "baseline"
	ModeSingle     = "single"
	ModeAggregated = "aggregated"
	ModeDistilled  = "distilled"
	ModeAdaptive   = "adaptive"
)

// A Metric is what one mode scored on one split when the model was trained.
type Metric struct {
	Mode     string  `msgpack:"mode" json:"mode"`
	Split    string  `msgpack:"split" json:"split"`
	N        int     `msgpack:"n" json:"n"`               // images
	Accuracy float64 `msgpack:"accuracy" json:"accuracy"` // 0..1
	NLL      float64 `msgpack:"nll" json:"nll"`           // mean negative log-likelihood, nats
	ECE      float64 `msgpack:"ece" json:"ece"`           // expected calibration error, 15 bins

	// Temperature divides the mode's logits before they become probabilities; 0: it was not
	// fitted on these images.
	Temperature float32 `msgpack:"temperature,omitempty" json:"temperature,omitempty"`
}

// Provenance says where the weights come from.
type Provenance struct {
	Tool   string `msgpack:"tool" json:"tool"`
	Data   string `msgpack:"data" json:"data"`
	Method string `msgpack:"method" json:"method"`
	Net    string `msgpack:"net" json:"net"`
	Seed   int    `msgpack:"seed" json:"seed"`
	Images int    `msgpack:"images" json:"images"` // training images
	Epochs int    `msgpack:"epochs" json:"epochs"`
	Steps  int    `msgpack:"steps" json:"steps"`
}

// SelfTest lets a copy of the slab be checked in place: Digest is the SHA-256
// over the logits of every mode on the image that Seed generates.
type SelfTest struct {
	Seed   int    `msgpack:"seed" json:"seed"`
	Digest []byte `msgpack:"digest" json:"digest"`
}

// A Tensor is one row of the tensor table. The rows follow from the layers and
// heads: see Manifest.TensorShapes.
type Tensor struct {
	Name   string `msgpack:"name" json:"name"`
	Shape  []int  `msgpack:"shape" json:"shape"`
	Offset int    `msgpack:"offset" json:"offset"` // bytes from the start of the data section
	SHA256 []byte `msgpack:"sha256" json:"sha256"` // of its little-endian bytes
}

// Elements is the number of floats in the tensor.
func (t *Tensor) Elements() int {
	n := 1
	for _, d := range t.Shape {
		n *= d
	}
	return n
}

// A Model is a whole slab in memory.
type Model struct {
	Manifest
	Weights [][]float32 // one slice a row of Tensors
	Hash    [32]byte    // the slab's identity: covers the manifest and, through it, every tensor
}

// Temperature divides the logits of a mode other than adaptive before they become
// probabilities: that which was fitted on a split, or 1.
func (m *Manifest) Temperature(mode string) float32 {
	for i := range m.Metrics {
		if x := &m.Metrics[i]; x.Mode == mode && x.Temperature != 0 {
			return x.Temperature
		}
	}
	return 1
}

// Classes is N, the number of classes.
func (m *Manifest) Classes() int { return len(m.Labels) }

// Views is M, the number of transformations.
func (m *Manifest) Views() int { return len(m.Transforms) }

// HasHead tells whether the slab holds a head of that kind.
func (m *Manifest) HasHead(kind string) bool {
	for _, h := range m.Heads {
		if h.Kind == kind {
			return true
		}
	}
	return false
}

// modes are those that a slab may have, with the head that each needs, cheapest first
// within a head. This is their order wherever a slab's modes are listed.
var modes = [...]struct{ name, head string }{
	{ModeBaseline, HeadClass},
	{ModeSingle, HeadJoint},
	{ModeAggregated, HeadJoint},
	{ModeDistilled, HeadDistilled},
	{ModeAdaptive, HeadDistilled}, // and exits
}

// HasMode tells whether heads and exits allow an inference mode.
func (m *Manifest) HasMode(name string) bool {
	for _, x := range modes {
		if x.name == name {
			return m.HasHead(x.head) && (name != ModeAdaptive || len(m.Exits) > 0)
		}
	}
	return false
}

// Modes lists the inference modes that heads and exits allow.
func (m *Manifest) Modes() []string {
	var names []string
	for _, x := range modes {
		if m.HasMode(x.name) {
			names = append(names, x.name)
		}
	}
	return names
}

// Outputs is the number of outputs of a head of that kind.
func (m *Manifest) Outputs(kind string) int {
	if kind == HeadJoint {
		return m.Classes() * m.Views()
	}
	return m.Classes()
}

// A Shape is that of one value: Channels planes of Height x Width.
type Shape struct{ Channels, Height, Width int }

// Elements is the number of floats in the value.
func (s Shape) Elements() int { return s.Channels * s.Height * s.Width }

// Shapes returns the shape of every value: the image, then each layer's output.
// The manifest must be valid.
func (m *Manifest) Shapes() []Shape {
	shapes := make([]Shape, 1, len(m.Layers)+1)
	shapes[0] = Shape{m.Input.Channels, m.Input.Height, m.Input.Width}
	for i := range m.Layers {
		shapes = append(shapes, m.Layers[i].outShape(shapes[m.Layers[i].Input]))
	}
	return shapes
}

func (l *Layer) outShape(in Shape) Shape {
	if l.Op == OpMean {
		return Shape{in.Channels, 1, 1}
	}
	if l.Op == OpMax && l.Kernel == 2 {
		return Shape{l.Out, in.Height / 2, in.Width / 2}
	}
	return Shape{l.Out, (in.Height + l.Stride - 1) / l.Stride, (in.Width + l.Stride - 1) / l.Stride}
}

// TensorShapes returns the tensor table, without checksums, that the layers and
// heads call for: weight (out, in, k, k) and bias (out) of every convolution in
// order, then weight (outputs, features) and bias (outputs) of every head. The
// manifest must be valid.
func (m *Manifest) TensorShapes() []Tensor {
	var table []Tensor
	offset := 0
	add := func(name string, shape ...int) {
		t := Tensor{Name: name, Shape: shape, Offset: offset}
		offset = alignUp(offset + 4*t.Elements())
		table = append(table, t)
	}
	shapes := m.Shapes()
	for i := range m.Layers {
		if l := &m.Layers[i]; l.Op == OpConv {
			add(l.Name+".weight", l.Out, shapes[l.Input].Channels, l.Kernel, l.Kernel)
			add(l.Name+".bias", l.Out)
		}
	}
	features := shapes[len(shapes)-1].Channels
	for _, h := range m.Heads {
		add(h.Kind+".weight", m.Outputs(h.Kind), features)
		add(h.Kind+".bias", m.Outputs(h.Kind))
	}
	return table
}

// DataLength is the number of bytes of the data section that a tensor table
// needs: the last tensor is not padded.
func DataLength(table []Tensor) int {
	if len(table) == 0 {
		return 0
	}
	last := &table[len(table)-1]
	return last.Offset + 4*last.Elements()
}

func alignUp(n int) int { return (n + Align - 1) &^ (Align - 1) }
