package graph

import (
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
)

// An operation is an Op of this package: what it computes, on either side. Inputs and
// output are the memory of the values, by their order; that of a scalar has one element on
// the processor, and is 0 on a device.
type operation interface {
	G.Op
	base() *op
	// host computes the output y on the processor.
	host(y []float32, x [][]float32) error
	// launch starts the kernels that compute the output y on o.dev.
	launch(y gpu.Ptr, x []gpu.Ptr) error
}

// An op is what all Ops of this package share: a fixed output shape and an
// output buffer that lives as long as the graph, on the processor or on a device. Embedders
// add host and launch, and DiffWRT and SymDiff where they can be differentiated.
type op struct {
	name   string
	inputs []int // the dimensions of each input, 0 for a scalar
	shape  tensor.Shape
	self   operation     // the embedder
	out    *tensor.Dense // made when it is first wanted
	dev    *device       // nil: the processor
}

// newOp makes an op; name must be unique in its graph, for Gorgonia merges
// nodes whose Ops hash alike.
func newOp(name string, inputs []int, shape ...int) op {
	return op{name: name, inputs: inputs, shape: shape}
}

// apply makes the node of an Op on a device, nil being the processor.
func apply(d *device, o operation, inputs ...*G.Node) (*G.Node, error) {
	b := o.base()
	b.self, b.dev = o, d
	if p, ok := o.(interface{ place() }); ok && d != nil {
		p.place()
	}
	n, err := G.ApplyOp(o, inputs...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.name, err)
	}
	return n, nil
}

// apply makes the node of another Op, on the same device.
func (o *op) apply(next operation, inputs ...*G.Node) (*G.Node, error) {
	return apply(o.dev, next, inputs...)
}

func (o *op) base() *op { return o }

// Do is what Gorgonia calls: it computes the output on the side where the Op is.
func (o *op) Do(v ...G.Value) (G.Value, error) {
	if len(o.shape) == 0 {
		return o.scalar(v)
	}
	if o.dev != nil {
		x, err := o.dev.at(v)
		if err != nil {
			return nil, err
		}
		err = o.self.launch(o.memory(), x)
		return o.out, err
	}
	err := o.self.host(o.buffer(), memories(v))
	return o.out, err
}

// scalar is Do of a loss. That of a device stays there: see device.loss.
func (o *op) scalar(v []G.Value) (G.Value, error) {
	if o.dev != nil {
		x, err := o.dev.at(v)
		if err != nil {
			return nil, err
		}
		return G.NewF32(0), o.self.launch(0, x)
	}
	var y [1]float32
	err := o.self.host(y[:], memories(v))
	return G.NewF32(y[0]), err
}

// buffer is the output's memory. host must not count on what it left there: the
// TapeMachine lets its own Adds write to whatever value of their shape a register
// held before. Borders of images stay zero even so, for sums of zeros are zero.
func (o *op) buffer() []float32 {
	if o.out == nil {
		o.out = tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(o.shape...))
	}
	return floats(o.out)
}

// memory is the output's memory on the device.
func (o *op) memory() gpu.Ptr {
	if o.out == nil {
		o.out = o.dev.placeholder(o.shape, o.dev.Floats(o.shape.TotalSize()))
	}
	return o.dev.where[o.out]
}

func (o *op) Arity() int { return len(o.inputs) }

func (o *op) Type() hm.Type {
	a := hm.TypeVariable('a')
	kind := func(dims int) hm.Type {
		if dims == 0 {
			return a
		}
		return G.TensorType{Dims: dims, Of: a}
	}
	var types []hm.Type
	for _, d := range o.inputs {
		types = append(types, kind(d))
	}
	return hm.NewFnType(append(types, kind(len(o.shape)))...)
}

func (o *op) InferShape(...G.DimSizer) (tensor.Shape, error) { return o.shape.Clone(), nil }
func (o *op) ReturnsPtr() bool                               { return false }
func (o *op) CallsExtern() bool                              { return false }
func (o *op) OverwritesInput() int                           { return -1 }
func (o *op) WriteHash(h hash.Hash)                          { fmt.Fprint(h, o.name) }
func (o *op) String() string                                 { return o.name }

func (o *op) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

// floats is a tensor's memory.
func floats(v G.Value) []float32 { return v.Data().([]float32) }

// memories lists the memory of values.
func memories(v []G.Value) [][]float32 {
	x := make([][]float32, len(v))
	for i := range v {
		switch data := v[i].Data().(type) {
		case []float32:
			x[i] = data
		case float32:
			x[i] = []float32{data}
		}
	}
	return x
}

// allDifferentiable says that an Op is differentiable in all of its n inputs.
func allDifferentiable(n int) []bool {
	all := make([]bool, n)
	for i := range all {
		all[i] = true
	}
	return all
}

// An auxGradOp is a gradient that the Op behind its only input computes beside its own
// output: one Op may compute several gradients at once. The memory is handed on as it is,
// not copied.
type auxGradOp struct{ op }

// auxGrad makes the node of an auxGradOp: of host memory, or of device memory if the Op is
// on a device.
func (o *op) auxGrad(suffix string, from *G.Node, host []float32, device gpu.Ptr, shape ...int) (*G.Node, error) {
	g := &auxGradOp{newOp(o.name+suffix, []int{from.Dims()}, shape...)}
	if o.dev != nil {
		g.out = o.dev.placeholder(shape, device)
	} else {
		g.out = tensor.New(tensor.WithShape(shape...), tensor.WithBacking(host))
	}
	return o.apply(g, from)
}

func (*auxGradOp) host([]float32, [][]float32) error { return nil }
func (*auxGradOp) launch(gpu.Ptr, []gpu.Ptr) error   { return nil }
