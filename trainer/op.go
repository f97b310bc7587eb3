package trainer

import (
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
)

// An op is what all Ops of this package share: a fixed output shape and an
// output buffer that lives as long as the graph, here or on a device. Embedders add
// Do, which with a device only launches kernels there, and DiffWRT and SymDiff where
// they can be differentiated.
type op struct {
	name   string
	inputs []int // the dimensions of each input, 0 for a scalar
	shape  tensor.Shape
	out    *tensor.Dense // made when it is first wanted
	dev    *device       // or nil
}

// newOp makes an op; name must be unique in its graph, for Gorgonia merges
// nodes whose Ops hash alike.
func newOp(name string, inputs []int, shape ...int) op {
	return op{name: name, inputs: inputs, shape: shape}
}

// buffer is the output's memory. Do must not count on what it left there: the
// TapeMachine lets its own Adds write to whatever value of their shape a register
// held before. Borders of images stay zero even so, for sums of zeros are zero.
func (o *op) buffer() []float32 {
	if o.out == nil {
		o.out = tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(o.shape...))
	}
	return o.out.Data().([]float32)
}

// memory is the output's memory on the device.
func (o *op) memory() gpu.Ptr {
	if o.out == nil {
		o.out = o.dev.stand(o.shape, o.dev.Floats(o.shape.TotalSize()))
	}
	return o.dev.where[o.out]
}

// launch is Do on a device: kernels launches what reads the inputs and writes the output.
func (o *op) launch(v []G.Value, kernels func(at []gpu.Ptr, to gpu.Ptr)) (G.Value, error) {
	at, err := o.dev.at(v)
	if err != nil {
		return nil, err
	}
	kernels(at, o.memory())
	return o.out, nil
}

// place puts an Op that has no inputs yet on a device.
func (o *op) place(d *device) { o.dev = d }

type placer interface {
	G.Op
	place(d *device)
}

// apply makes the node of another Op, on the same device.
func (o *op) apply(next placer, inputs ...*G.Node) (*G.Node, error) {
	if o.dev != nil {
		next.place(o.dev)
	}
	return G.ApplyOp(next, inputs...)
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

// floats is a value's memory.
func floats(v G.Value) []float32 { return v.Data().([]float32) }

// everything says that an Op is differentiable in all of its n inputs.
func everything(n int) []bool {
	all := make([]bool, n)
	for i := range all {
		all[i] = true
	}
	return all
}

// A pick gives a buffer that the Op behind its only input fills besides its own
// output: one Op may compute several gradients at once. The buffer is handed on
// as it is, not copied.
type pick struct{ op }

// pick makes the node of a pick: of memory here, or on the device if the Op is there.
func (o *op) pick(suffix string, from *G.Node, here []float32, there gpu.Ptr, shape ...int) (*G.Node, error) {
	p := &pick{newOp(o.name+suffix, []int{from.Dims()}, shape...)}
	if o.dev != nil {
		p.out = o.dev.stand(shape, there)
	} else {
		p.out = tensor.New(tensor.WithShape(shape...), tensor.WithBacking(here))
	}
	return o.apply(p, from)
}

func (o *pick) Do(...G.Value) (G.Value, error) { return o.out, nil }
