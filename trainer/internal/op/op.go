// Package op is what all Ops of a graph share: Gorgonia's side of them, decided once.
//
// An Op computes on the processor (Host) or starts the kernels of a GPU (Launch). Which of
// the two is decided here, by its Memory: nil is the processor. A Memory holds the values of a
// graph on a GPU, which to Gorgonia are tensors without a content of their own.
package op

import (
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
)

// An Op is what a graph computes, on either side. Inputs and
// output are the memory of the values, by their order; that of a scalar has one element on
// the processor, and is 0 on a device.
type Op interface {
	G.Op
	base() *Base
	// Host computes the output y on the processor.
	Host(y []float32, x [][]float32) error
	// Launch starts the kernels that compute the output y on the Op's device.
	Launch(y gpu.Ptr, x []gpu.Ptr) error
}

// A Base is what Ops share: a fixed output shape and an
// output buffer that lives as long as the graph, on the processor or on a device. Embedders
// add Host and Launch, DiffWRT and SymDiff where they can be differentiated, and Place, to
// be told that they are on a device.
type Base struct {
	Name   string
	Inputs []int // the dimensions of each input, 0 for a scalar
	Shape  tensor.Shape
	Dev    *Memory       // nil: the processor
	self   Op            // the embedder
	out    *tensor.Dense // made when it is first wanted
}

// New makes a Base; name must be unique in its graph, for Gorgonia merges
// nodes whose Ops hash alike.
func New(name string, inputs []int, shape ...int) Base {
	return Base{Name: name, Inputs: inputs, Shape: shape}
}

// Apply makes the node of an Op on a device, nil being the processor.
func Apply(d *Memory, o Op, inputs ...*G.Node) (*G.Node, error) {
	b := o.base()
	b.self, b.Dev = o, d
	if p, ok := o.(interface{ Place() }); ok && d != nil {
		p.Place()
	}
	n, err := G.ApplyOp(o, inputs...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name, err)
	}
	return n, nil
}

// Apply makes the node of another Op, on the same device.
func (o *Base) Apply(next Op, inputs ...*G.Node) (*G.Node, error) {
	return Apply(o.Dev, next, inputs...)
}

func (o *Base) base() *Base { return o }

// Do is what Gorgonia calls: it computes the output on the side where the Op is.
func (o *Base) Do(v ...G.Value) (G.Value, error) {
	if len(o.Shape) == 0 {
		return o.scalar(v)
	}
	if o.Dev != nil {
		x, err := o.Dev.Places(v)
		if err != nil {
			return nil, err
		}
		err = o.self.Launch(o.At(), x)
		return o.out, err
	}
	err := o.self.Host(o.Buffer(), memories(v))
	return o.out, err
}

// scalar is Do of a loss. That of a device stays there: see Memory.Loss.
func (o *Base) scalar(v []G.Value) (G.Value, error) {
	if o.Dev != nil {
		x, err := o.Dev.Places(v)
		if err != nil {
			return nil, err
		}
		return G.NewF32(0), o.self.Launch(0, x)
	}
	var y [1]float32
	err := o.self.Host(y[:], memories(v))
	return G.NewF32(y[0]), err
}

// Buffer is the output's memory. Host must not count on what it left there: the
// TapeMachine lets its own Adds write to whatever value of their shape a register
// held before. Borders of images stay zero even so, for sums of zeros are zero.
func (o *Base) Buffer() []float32 {
	if o.out == nil {
		o.out = tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(o.Shape...))
	}
	return Floats(o.out)
}

// At is where the output is on the device.
func (o *Base) At() gpu.Ptr {
	if o.out == nil {
		o.out = o.Dev.Placeholder(o.Shape, o.Dev.Floats(o.Shape.TotalSize()))
	}
	return o.Dev.where[o.out]
}

// PutAt makes what is at p on a device the output's memory.
func (o *Base) PutAt(d *Memory, p gpu.Ptr) { o.out = d.Placeholder(o.Shape, p) }

func (o *Base) Arity() int { return len(o.Inputs) }

func (o *Base) Type() hm.Type {
	a := hm.TypeVariable('a')
	kind := func(dims int) hm.Type {
		if dims == 0 {
			return a
		}
		return G.TensorType{Dims: dims, Of: a}
	}
	var types []hm.Type
	for _, d := range o.Inputs {
		types = append(types, kind(d))
	}
	return hm.NewFnType(append(types, kind(len(o.Shape)))...)
}

func (o *Base) InferShape(...G.DimSizer) (tensor.Shape, error) { return o.Shape.Clone(), nil }
func (o *Base) ReturnsPtr() bool                               { return false }
func (o *Base) CallsExtern() bool                              { return false }
func (o *Base) OverwritesInput() int                           { return -1 }
func (o *Base) WriteHash(h hash.Hash)                          { fmt.Fprint(h, o.Name) }
func (o *Base) String() string                                 { return o.Name }

func (o *Base) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

// Floats is a tensor's memory.
func Floats(v G.Value) []float32 { return v.Data().([]float32) }

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

// AllDifferentiable says that an Op is differentiable in all of its n inputs.
func AllDifferentiable(n int) []bool {
	all := make([]bool, n)
	for i := range all {
		all[i] = true
	}
	return all
}

// An auxGradOp is a gradient that the Op behind its only input computes beside its own
// output: one Op may compute several gradients at once. The memory is handed on as it is,
// not copied.
type auxGradOp struct{ Base }

// AuxGrad makes the node of an auxGradOp: of host memory, or of device memory if the Op is
// on a device.
func (o *Base) AuxGrad(suffix string, from *G.Node, host []float32, device gpu.Ptr, shape ...int) (*G.Node, error) {
	g := &auxGradOp{New(o.Name+suffix, []int{from.Dims()}, shape...)}
	if o.Dev != nil {
		g.PutAt(o.Dev, device)
	} else {
		g.out = tensor.New(tensor.WithShape(shape...), tensor.WithBacking(host))
	}
	return o.Apply(g, from)
}

func (*auxGradOp) Host([]float32, [][]float32) error { return nil }
func (*auxGradOp) Launch(gpu.Ptr, []gpu.Ptr) error   { return nil }
