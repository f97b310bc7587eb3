package trainer

import (
	"errors"
	"fmt"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
)

// A Device is a GPU that a run may be on; nil is the processor. It takes one run at a
// time.
type Device struct{ gpu *gpu.Device }

// OpenDevice starts a worker that drives a GPU: cmd/quarterturn-cuda, or whatever speaks
// as it does. The error is the worker's own if it says why there is none.
func OpenDevice(worker ...string) (*Device, error) {
	d, err := gpu.Open(worker...)
	if err != nil {
		return nil, err
	}
	return &Device{d}, nil
}

// Name is what the GPU's driver calls it.
func (d *Device) Name() string { return d.gpu.Name }

// UseTensorCores lets convolutions round the factors of their products to ten bits (TF32), of
// weights, images and gradients alike; sums and weights keep float32. It needs a GPU of
// compute capability 8.0 or more.
func (d *Device) UseTensorCores() { d.gpu.TF32 = true }

// Close ends the worker.
func (d *Device) Close() error { return d.gpu.Close() }

// A device holds the values of a graph on a GPU. To Gorgonia a value there is a tensor
// without a content of its own.
type device struct {
	*gpu.Device
	where  map[*tensor.Dense]gpu.Ptr
	zeros  []float32 // what stands for the content of all tensors
	sums   map[[2]*tensor.Dense]*sum
	losses gpu.Ptr // (mostLosses), of the last run
	lost   int     // how many there are
}

// mostLosses is more than a graph has: one a head, of which there are two and one behind
// each stage but the last.
const mostLosses = 64

func newDevice(d *gpu.Device) *device {
	return &device{Device: d, where: map[*tensor.Dense]gpu.Ptr{}, sums: map[[2]*tensor.Dense]*sum{}, losses: d.Floats(mostLosses)}
}

// stand gives the tensor for what is at p.
func (d *device) stand(shape tensor.Shape, p gpu.Ptr) *tensor.Dense {
	n := shape.TotalSize()
	if len(d.zeros) < n {
		d.zeros = make([]float32, n)
	}
	t := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(d.zeros[:n]))
	d.where[t] = p
	return t
}

// copyOf puts a tensor of this side on the device, too.
func (d *device) copyOf(t *tensor.Dense) { d.where[t] = gpu.Put(d.Device, floats(t)) }

// at gives where values are.
func (d *device) at(values []G.Value) ([]gpu.Ptr, error) {
	places := make([]gpu.Ptr, len(values))
	for i, v := range values {
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

// An engine is what a TapeMachine gives its values, and so what Gorgonia's own Adds use:
// they sum the gradients of a value that several Ops read.
type engine struct {
	tensor.StdEng
	d *device
}

// Add gives a value of its own, whatever tensor it is told to reuse, so that no Op's
// memory is written by others.
func (e engine) Add(a, b tensor.Tensor, _ ...tensor.FuncOpt) (tensor.Tensor, error) {
	d := e.d
	x, okX := a.(*tensor.Dense)
	y, okY := b.(*tensor.Dense)
	if !okX || !okY {
		return nil, errors.New("a sum on the device of what is not there")
	}
	places, err := d.at([]G.Value{x, y})
	if err != nil {
		return nil, err
	}
	key := [2]*tensor.Dense{x, y}
	s := d.sums[key]
	if s == nil {
		s = &sum{to: d.stand(x.Shape(), d.Floats(x.Shape().TotalSize()))}
		d.sums[key] = s
	}
	n := x.Shape().TotalSize()
	gpu.Launch(d.Device, &s.call, "add", gpu.Each(n), gpu.Add{A: places[0], B: places[1], To: d.where[s.to], Count: int32(n)})
	return s.to, nil
}

// loss reads the sum of the losses of the run that was launched.
func (d *device) loss() (float64, error) {
	losses := make([]float32, d.lost)
	d.Download(losses, d.losses)
	var total float64
	for _, l := range losses {
		total += float64(l)
	}
	return total, d.Err()
}

// A deviceParam is a param's memory on a device: its value, gradient and velocity.
type deviceParam struct {
	value, grad, velocity gpu.Ptr
	step, square          gpu.Call
}

// deviceGraph is what a graph has on a device.
type deviceGraph struct {
	*device
	params   []deviceParam
	running  []gpu.Ptr // mean and variance of each convolution
	settings gpu.Ptr   // gpu.Step
	squares  gpu.Ptr   // of the gradients of each param
	batch    *deviceBatch
}

// newDeviceGraph finds the gradients of a graph's params, which are those nodes.
func newDeviceGraph(g *graph, d *device, grads G.Nodes) (*deviceGraph, error) {
	dg := &deviceGraph{device: d, settings: d.Alloc(16), squares: d.Floats(len(g.params))}
	for i, p := range g.params {
		o, ok := grads[i].Op().(interface{ memory() gpu.Ptr })
		if !ok {
			return nil, fmt.Errorf("the gradient of %s is made by %v, which is not on the device", p.node.Name(), grads[i].Op())
		}
		value := p.node.Value().(*tensor.Dense)
		dg.params = append(dg.params, deviceParam{value: d.where[value], grad: o.memory(), velocity: d.Floats(len(p.value))})
	}
	for _, c := range g.convs {
		dg.running = append(dg.running, c.there.RunningMean, c.there.RunningVariance)
	}
	return dg, d.Err()
}

// stepOnDevice is sgd.Step there.
func (g *graph) stepOnDevice(s *sgd) error {
	d := g.there
	settings := gpu.Step{Rate: float32(s.rate), Momentum: float32(s.momentum), Scale: 1}
	if s.nesterov {
		settings.Nesterov = 1
	}
	if s.clip > 0 {
		norm, err := d.norm(g)
		if err != nil {
			return err
		}
		if norm > s.clip {
			settings.Scale = float32(s.clip / norm)
		}
	}
	gpu.UploadValue(d.Device, d.settings, settings)
	for i := range d.params {
		p, n := &d.params[i], len(g.params[i].value)
		decay := float32(s.decay)
		if !s.decayAll && g.params[i].node.Dims() == 1 {
			decay = 0
		}
		gpu.Launch(d.Device, &p.step, "sgd", gpu.Each(n), gpu.SGD{W: p.value, V: p.velocity, G: p.grad, Step: d.settings, Count: int32(n), Decay: decay})
	}
	d.Flush()
	return d.Err()
}

// norm is that of all gradients.
func (d *deviceGraph) norm(g *graph) (float64, error) {
	for i := range d.params {
		p := &d.params[i]
		gpu.Launch(d.Device, &p.square, "total", gpu.Grid{X: 1, Y: 1, Z: 1, Threads: 256},
			gpu.Total{Src: p.grad, Dst: d.squares.At(i), Count: int32(len(g.params[i].value)), Square: 1})
	}
	squares := make([]float32, len(d.params))
	d.Download(squares, d.squares)
	return rootOfSum(squares), d.Err()
}

// pull brings the state of the net and of the solver to this side, and push back; on the
// processor there is nothing to do.
func (g *graph) pull(s *sgd) error {
	return g.exchange(s, func(here []float32, there gpu.Ptr) { g.there.Download(here, there) })
}

func (g *graph) push(s *sgd) error {
	return g.exchange(s, func(here []float32, there gpu.Ptr) { gpu.Upload(g.there.Device, there, here) })
}

func (g *graph) exchange(s *sgd, move func(here []float32, there gpu.Ptr)) error {
	d := g.there
	if d == nil {
		return nil
	}
	state := g.state()
	for i, p := range d.params {
		move(state[i], p.value)
		if i == len(s.velocity) {
			s.velocity = append(s.velocity, make([]float32, len(state[i])))
		}
		move(s.velocity[i], p.velocity)
	}
	for i, p := range d.running {
		move(state[len(d.params)+i], p)
	}
	return d.Err()
}
