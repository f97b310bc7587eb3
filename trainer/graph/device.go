package graph

import (
	"fmt"
	"math"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/quarterturn/quarterturn/trainer/batch"
	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
	"github.com/quarterturn/quarterturn/trainer/internal/op"
	"github.com/quarterturn/quarterturn/trainer/optim"
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

// A deviceParam is a param's memory on a device: its value, gradient and velocity.
type deviceParam struct {
	value, grad, velocity gpu.Ptr
	step, square          gpu.Call
}

// deviceGraph is what a Graph has on a device.
type deviceGraph struct {
	*op.Memory
	params   []deviceParam
	running  []gpu.Ptr // mean and variance of each convolution
	settings gpu.Ptr   // gpu.Step
	squares  gpu.Ptr   // of the gradients of each param
	views    *deviceViews
}

// newDeviceGraph finds the gradients of a graph's params, which are those nodes.
func newDeviceGraph(g *Graph, d *op.Memory, grads G.Nodes) (*deviceGraph, error) {
	dg := &deviceGraph{Memory: d, settings: d.Alloc(16), squares: d.Floats(len(g.params))}
	for i, p := range g.params {
		o, ok := grads[i].Op().(interface{ At() gpu.Ptr })
		if !ok {
			return nil, fmt.Errorf("the gradient of %s is made by %v, which is not on the device", p.node.Name(), grads[i].Op())
		}
		value := p.node.Value().(*tensor.Dense)
		dg.params = append(dg.params, deviceParam{value: d.Where(value), grad: o.At(), velocity: d.Floats(len(p.value))})
	}
	for _, c := range g.convs {
		dg.running = append(dg.running, c.device.runningMean, c.device.runningVariance)
	}
	return dg, d.Err()
}

// step is SGD's Step there. What is more than SGD is done on the processor.
func (d *deviceGraph) step(params []*param, s *optim.SGD) error {
	if !s.Plain() {
		return d.stepOnHost(params, s)
	}
	settings := gpu.Step{Rate: float32(s.LR), Momentum: float32(s.Momentum), Scale: 1}
	if s.Nesterov {
		settings.Nesterov = 1
	}
	if s.ClipNorm > 0 {
		norm, err := d.gradientNorm(params)
		if err != nil {
			return err
		}
		settings.Scale = s.Scale(norm)
	}
	gpu.UploadValue(d.Device, d.settings, settings)
	for i := range d.params {
		p, n := &d.params[i], len(params[i].value)
		gpu.Launch(d.Device, &p.step, "sgd", gpu.Each(n), gpu.SGD{W: p.value, V: p.velocity, G: p.grad, Step: d.settings, Count: int32(n), Decay: s.DecayOf(params[i].node.Dims())})
	}
	d.Flush()
	return d.Err()
}

// stepOnHost brings params and gradients to the processor for a step, and params back.
func (d *deviceGraph) stepOnHost(params []*param, s *optim.SGD) error {
	host := make([]optim.Param, len(params))
	for i, p := range params {
		grad := make([]float32, len(p.value))
		d.Download(grad, d.params[i].grad)
		d.Download(p.value, d.params[i].value)
		host[i] = p.optim(grad)
	}
	if err := d.Err(); err != nil {
		return err
	}
	s.Step(host)
	for i, p := range params {
		gpu.Upload(d.Device, d.params[i].value, p.value)
	}
	return d.Err()
}

// gradientNorm is that of all gradients together.
func (d *deviceGraph) gradientNorm(params []*param) (float64, error) {
	for i := range d.params {
		p := &d.params[i]
		gpu.Launch(d.Device, &p.square, "total", gpu.Grid{X: 1, Y: 1, Z: 1, Threads: 256},
			gpu.Total{Src: p.grad, Dst: d.squares.At(i), Count: int32(len(params[i].value)), Square: 1})
	}
	squares := make([]float32, len(d.params))
	d.Download(squares, d.squares)
	var sum float64
	for _, s := range squares {
		sum += float64(s)
	}
	return math.Sqrt(sum), d.Err()
}

// Pull brings the state of the net and of the solver from the device to the processor, and
// Push the other way; without a device there is nothing to do.
func (g *Graph) Pull(s *optim.SGD) error {
	return g.exchange(s, func(host []float32, device gpu.Ptr) { g.device.Download(host, device) })
}

// Push is the way back of Pull.
func (g *Graph) Push(s *optim.SGD) error {
	return g.exchange(s, func(host []float32, device gpu.Ptr) { gpu.Upload(g.device.Device, device, host) })
}

func (g *Graph) exchange(s *optim.SGD, move func(host []float32, device gpu.Ptr)) error {
	d := g.device
	if d == nil {
		return nil
	}
	state := g.State()
	for i, p := range d.params {
		move(state[i], p.value)
		if i == len(s.Velocity) {
			s.Velocity = append(s.Velocity, make([]float32, len(state[i])))
		}
		if s.Plain() { // else a step does not use what is there
			move(s.Velocity[i], p.velocity)
		}
	}
	for i, p := range d.running {
		move(state[len(d.params)+i], p)
	}
	return d.Err()
}

// deviceViews is what rendering batches takes on a device.
type deviceViews struct {
	pixels, levels, transforms, partner gpu.Ptr
	call                                gpu.Call
}

// render does on the device what Views.Render does on the processor.
func (d *deviceGraph) render(to gpu.Ptr, border int, v *batch.Views, b *batch.Batch) {
	in := v.Input
	n := len(b.Images) / (in.Height * in.Width * in.Channels)
	if d.views == nil {
		var levels []float32
		for c := range v.Levels {
			levels = append(levels, v.Levels[c][:]...)
		}
		var transforms []int32
		for _, t := range v.Transforms {
			row := [4]int32{int32(t.Turns)}
			for c, from := range t.Channels {
				row[1+c] = int32(from)
			}
			transforms = append(transforms, row[:]...)
		}
		d.views = &deviceViews{pixels: d.Alloc(len(b.Images)), levels: gpu.Put(d.Device, levels), transforms: gpu.Put(d.Device, transforms), partner: d.Alloc(4 * n)}
	}
	gpu.Upload(d.Device, d.views.pixels, b.Images)
	a := gpu.Views{Pixels: d.views.pixels, Levels: d.views.levels, Transforms: d.views.transforms, To: to,
		Images: int32(n), Views: int32(len(v.Transforms)), Height: int32(in.Height), Width: int32(in.Width), Channels: int32(in.Channels), Edge: int32(border)}
	if m := b.Mixture; m != nil {
		var partner []int32
		for _, p := range m.Partner {
			partner = append(partner, int32(p))
		}
		gpu.Upload(d.Device, d.views.partner, partner)
		a.Partner, a.Share, a.Top, a.Left, a.Bottom, a.Right = d.views.partner, m.Share, int32(m.Top), int32(m.Left), int32(m.Bottom), int32(m.Right)
		if m.Kind == batch.Mixup {
			a.Mixup = 1
		}
	}
	gpu.Launch(d.Device, &d.views.call, "views", gpu.Each(n*len(v.Transforms)*in.Height*in.Width), a)
}
