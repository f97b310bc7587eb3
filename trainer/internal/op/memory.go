package op

import (
	"errors"
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
)

// A Memory holds the values of a graph on a GPU. To Gorgonia a value there is a tensor
// without a content of its own.
type Memory struct {
	*gpu.Device
	where     map[*tensor.Dense]gpu.Ptr
	zeros     []float32 // what stands for the content of all tensors
	sums      map[[2]*tensor.Dense]*sum
	losses    gpu.Ptr // (maxLosses), of the last run
	numLosses int
}

// maxLosses is more than a graph has: one a head, of which there are two and one behind
// each stage but the last.
const maxLosses = 64

// NewMemory is for the values of one graph on a GPU.
func NewMemory(d *gpu.Device) *Memory {
	return &Memory{Device: d, where: map[*tensor.Dense]gpu.Ptr{}, sums: map[[2]*tensor.Dense]*sum{}, losses: d.Floats(maxLosses)}
}

// Placeholder returns the tensor for what is at p.
func (d *Memory) Placeholder(shape tensor.Shape, p gpu.Ptr) *tensor.Dense {
	n := shape.TotalSize()
	if len(d.zeros) < n {
		d.zeros = make([]float32, n)
	}
	t := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(d.zeros[:n]))
	d.where[t] = p
	return t
}

// Copy puts a tensor of the processor on the device, too.
func (d *Memory) Copy(t *tensor.Dense) { d.where[t] = gpu.Put(d.Device, Floats(t)) }

// Where returns the place of a tensor that is on the device.
func (d *Memory) Where(t *tensor.Dense) gpu.Ptr { return d.where[t] }

// Places returns where values are; scalars are nowhere.
func (d *Memory) Places(values []G.Value) ([]gpu.Ptr, error) {
	places := make([]gpu.Ptr, len(values))
	for i, v := range values {
		if v.Shape().IsScalar() {
			continue
		}
		t, ok := v.(*tensor.Dense)
		if ok {
			places[i], ok = d.where[t]
		}
		if !ok {
			return nil, fmt.Errorf("a value of shape %v is not on the device", v.Shape())
		}
	}
	return places, nil
}

// A sum is that of two values.
type sum struct {
	to   *tensor.Dense
	call gpu.Call
}

// An Engine is what a TapeMachine equips its values with, and so what Gorgonia's own Adds use:
// they sum the gradients of a value that several Ops read.
type Engine struct {
	tensor.StdEng
	Memory *Memory
}

// Add returns a value of its own, whatever tensor it is told to reuse, so that no Op's
// memory is written by others.
func (e Engine) Add(a, b tensor.Tensor, _ ...tensor.FuncOpt) (tensor.Tensor, error) {
	d := e.Memory
	x, okX := a.(*tensor.Dense)
	y, okY := b.(*tensor.Dense)
	if !okX || !okY {
		return nil, errors.New("a sum on the device of what is not there")
	}
	places, err := d.Places([]G.Value{x, y})
	if err != nil {
		return nil, err
	}
	key := [2]*tensor.Dense{x, y}
	s := d.sums[key]
	if s == nil {
		s = &sum{to: d.Placeholder(x.Shape(), d.Floats(x.Shape().TotalSize()))}
		d.sums[key] = s
	}
	n := x.Shape().TotalSize()
	gpu.Launch(d.Device, &s.call, "add", gpu.Each(n), gpu.Add{A: places[0], B: places[1], To: d.where[s.to], Count: int32(n)})
	return s.to, nil
}

// AddLoss returns where another loss of the graph is to be left: see Loss.
func (d *Memory) AddLoss() gpu.Ptr {
	d.numLosses++
	return d.losses.At(d.numLosses - 1)
}

// Loss reads the sum of the losses of the run that was launched.
func (d *Memory) Loss() (float64, error) {
	losses := make([]float32, d.numLosses)
	d.Download(losses, d.losses)
	var total float64
	for _, l := range losses {
		total += float64(l)
	}
	return total, d.Err()
}
