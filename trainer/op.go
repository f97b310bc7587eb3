package trainer

import (
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// An op is what all Ops of this package share: a fixed output shape and an
// output buffer that lives as long as the graph. Embedders add Do, and DiffWRT
// and SymDiff where they can be differentiated.
type op struct {
	name   string
	inputs []int // the dimensions of each input, 0 for a scalar
	shape  tensor.Shape
	out    *tensor.Dense
}

// newOp makes an op; name must be unique in its graph, for Gorgonia merges
// nodes whose Ops hash alike.
func newOp(name string, inputs []int, shape ...int) op {
	o := op{name: name, inputs: inputs, shape: shape}
	if len(shape) > 0 {
		o.out = tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(shape...))
	}
	return o
}

// buffer is the output's memory. Do must not count on what it left there: the
// TapeMachine lets its own Adds write to whatever value of their shape a register
// held before. Borders of images stay zero even so, for sums of zeros are zero.
func (o *op) buffer() []float32 { return o.out.Data().([]float32) }

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

func newPick(name string, dims int, from []float32, shape ...int) *pick {
	return &pick{op{name: name, inputs: []int{dims}, shape: shape,
		out: tensor.New(tensor.WithShape(shape...), tensor.WithBacking(from))}}
}

func (o *pick) Do(...G.Value) (G.Value, error) { return o.out, nil }
