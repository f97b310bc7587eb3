package graph

import (
	"errors"
	"fmt"
	"math"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
	"github.com/quarterturn/quarterturn/trainer/internal/op"
	"github.com/quarterturn/quarterturn/trainer/optim"
	"github.com/quarterturn/quarterturn/trainer/start"
)

// fast makes a fast net: the frozen stem and an Op a group.
func (b *backboneBuilder) fast(x *G.Node) (features G.Nodes) {
	net := &b.spec.Net
	c := nhwc.Conv{Images: b.rows, Height: b.spec.Input.Height, Width: b.spec.Input.Width, In: b.spec.Input.Channels, Out: net.Stem.Width, Kernel: net.Stem.Kernel, Stride: net.Stem.Stride}
	stem := b.frozen(b.learn[0], &c)
	b.learn = b.learn[1:]
	x = b.apply(newFrozenOp(stem, c), x, stem.weight.node, stem.beta.node)
	height, width := c.OutHeight(), c.OutWidth()
	for i, out := range net.Fast {
		inputs := G.Nodes{x}
		o := &chainOp{dx: i > 0}
		for k := range 2 {
			c = nhwc.Conv{Images: b.rows, Height: height, Width: width, In: c.Out, Out: out, Kernel: 3, Stride: 1}
			link := nhwc.NewLink(c, k == 0)
			height, width = link.OutputHeight(), link.OutputWidth()
			l := b.link(link)
			o.links, o.layers = append(o.links, link), append(o.layers, l)
			inputs = append(inputs, l.weight.node, l.beta.node)
		}
		o.init(fmt.Sprint("stage", i+1), &b.buffers)
		x = b.apply(o, inputs...)
		if b.spec.StageHeads || i == len(net.Fast)-1 {
			features = append(features, b.apply(newMeanOp(fmt.Sprint("mean", i+1), b.rows, height, width, out), x))
		}
	}
	return features
}

// frozen makes a convolution that does not learn, of the spec's whitening.
func (b *backboneBuilder) frozen(l *format.Layer, c *nhwc.Conv) *convLayer {
	w := b.spec.Whitening
	if w == nil {
		w = start.RandomWhitening(b.spec.Input.Channels, b.spec.Rng)
	}
	f := &convLayer{layer: l, frozen: true,
		weight: b.constant(l.Name+" weight", w.Weight, c.Kernel, c.Kernel, c.In, c.Out),
		beta:   b.constant(l.Name+" bias", w.Bias, c.Out)}
	if b.dev != nil {
		f.device.runningMean, f.device.runningVariance = b.dev.Where(f.weight.tensor()), b.dev.Where(f.beta.tensor())
	}
	b.convs = append(b.convs, f)
	return f
}

// link makes what the next layer learns as a link: a weight that at first hands its inputs
// on to the first outputs (Zagoruyko and Komodakis 2017, "DiracNets"; of them all others
// are PyTorch's), and the bias of a normalisation without a scale.
func (b *backboneBuilder) link(link *nhwc.Link) *convLayer {
	l := b.learn[0]
	b.learn = b.learn[1:]
	u := &link.Unit
	bound := 1 / math.Sqrt(float64(9*u.In))
	k := 0
	dirac := func() float32 {
		tap, i, o := k/(u.In*u.Out), k/u.Out%u.In, k%u.Out
		k++
		v := float32((2*b.spec.Rng.Float64() - 1) * bound)
		switch {
		case o >= u.In:
			return v
		case tap == 4 && i == o:
			return 1
		}
		return 0
	}
	c := &convLayer{layer: l, unit: u, weight: b.param(l.Name+" weight", dirac, 3, 3, u.In, u.Out), beta: b.param(l.Name+" beta", constant(0), u.Out)}
	c.weight.role, c.beta.role = optim.Filter, optim.Bias
	b.addNormalized(c)
	return c
}

// frozenOp is the stem of a fast net: relu(conv(x) + bias). Its inputs are the images, the
// weight and the bias; nobody wants a gradient.
type frozenOp struct {
	op.Base
	*nhwc.Frozen
	gpu *gpu.Frozen
}

func newFrozenOp(l *convLayer, c nhwc.Conv) *frozenOp {
	return &frozenOp{Base: op.New(l.layer.Name, []int{4, 4, 1}, c.Images, c.OutHeight()+2, c.OutWidth()+2, c.Out), Frozen: nhwc.NewFrozen(c)}
}

func (o *frozenOp) Place() { o.gpu = gpu.NewFrozen(o.Dev.Device, o.Conv) }

func (o *frozenOp) Host(y []float32, x [][]float32) error {
	o.Forward(y, x[0], x[1], x[2])
	return nil
}

func (o *frozenOp) Launch(y gpu.Ptr, x []gpu.Ptr) error {
	o.gpu.Forward(y, x[0], x[1], x[2])
	return nil
}

func (o *frozenOp) DiffWRT(n int) []bool { return make([]bool, n) }

func (o *frozenOp) SymDiff(in G.Nodes, _, _ *G.Node) (G.Nodes, error) {
	return nil, errors.New("a frozen layer has no gradient")
}

// chainOp is a group of a fast net: its inputs are x and each link's weight and beta.
type chainOp struct {
	op.Base
	*nhwc.Chain
	links  []*nhwc.Link
	layers []*convLayer
	ones   []float32 // in the place of scales
	dx     bool      // the gradient of x is wanted
	gpu    struct {
		layers []*gpu.Layer
		params []gpu.Params
		grads  []gpu.Grads
		ones   gpu.Ptr
		y, dy  []gpu.Ptr // of all links but the last
	}
}

func (o *chainOp) init(name string, buffers *nhwc.Buffers) {
	last := o.links[len(o.links)-1]
	inputs := []int{4}
	for range o.links {
		inputs = append(inputs, 4, 1)
	}
	o.Base = op.New(name, inputs, last.Images, last.OutputHeight()+2, last.OutputWidth()+2, last.Out)
	o.Chain = nhwc.NewChain(o.links, buffers)
	for _, l := range o.links {
		for len(o.ones) < l.Out {
			o.ones = append(o.ones, 1)
		}
	}
}

func (o *chainOp) Place() {
	d := o.Dev.Device
	o.gpu.ones = gpu.Put(d, o.ones)
	for i, l := range o.links {
		layer := gpu.NewLayer(d, l.Conv, l.Pool, true)
		layer.Momentum = o.layers[i].momentum
		o.gpu.layers = append(o.gpu.layers, layer)
		o.gpu.grads = append(o.gpu.grads, gpu.Grads{Weight: d.Floats(len(l.DWeight)), Gamma: d.Floats(l.Out), Beta: d.Floats(l.Out)})
		if i < len(o.links)-1 {
			o.gpu.y, o.gpu.dy = append(o.gpu.y, d.Floats(layer.Size())), append(o.gpu.dy, d.Floats(layer.Size()))
		}
	}
	o.gpu.params = make([]gpu.Params, len(o.links))
}

func (o *chainOp) Host(y []float32, x [][]float32) error {
	var params []nhwc.Params
	for i := range o.links {
		params = append(params, nhwc.Params{Weight: x[1+2*i], Gamma: o.ones, Beta: x[2+2*i]})
	}
	o.Forward(y, x[0], params, o.dx)
	for _, l := range o.layers {
		l.accumulateStats()
	}
	return nil
}

func (o *chainOp) Launch(y gpu.Ptr, x []gpu.Ptr) error {
	for i, l := range o.gpu.layers {
		d := &o.layers[i].device
		o.gpu.params[i] = gpu.Params{Weight: x[1+2*i], Gamma: o.gpu.ones, Beta: x[2+2*i], RunningMean: d.runningMean, RunningVariance: d.runningVariance}
		l.Forward(o.between(o.gpu.y, i, y), o.between(o.gpu.y, i-1, x[0]), 0, o.gpu.params[i])
	}
	return nil
}

// between returns the memory behind link i, which for the first input and the last output
// is outside.
func (o *chainOp) between(memory []gpu.Ptr, i int, outside gpu.Ptr) gpu.Ptr {
	if i < 0 || i == len(memory) {
		return outside
	}
	return memory[i]
}

func (o *chainOp) DiffWRT(n int) []bool {
	wanted := op.AllDifferentiable(n)
	wanted[0] = o.dx
	return wanted
}

func (o *chainOp) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	shape := in[0].Shape()
	if !o.dx {
		shape = tensor.Shape{1, 1, 1, 1} // of an output without a meaning
	}
	dx, err := o.Apply(&chainGradOp{op.New(o.Name+" dx", []int{4, 4, 4}, shape...), o}, in[0], out, grad)
	if err != nil {
		return nil, err
	}
	grads := G.Nodes{dx}
	if !o.dx {
		grads[0] = nil
	}
	for i, l := range o.layers {
		var device gpu.Grads
		if o.Dev != nil {
			device = o.gpu.grads[i]
		}
		dw, err := o.AuxGrad(" "+l.layer.Name+" dw", dx, l.unit.DWeight, device.Weight, l.weight.node.Shape()...)
		if err != nil {
			return nil, err
		}
		dbeta, err := o.AuxGrad(" "+l.layer.Name+" dbeta", dx, l.unit.DBeta, device.Beta, l.unit.Out)
		if err != nil {
			return nil, err
		}
		grads = append(grads, dw, dbeta)
	}
	return grads, nil
}

// chainGradOp leaves the gradients but for x's in the links, or on the device.
type chainGradOp struct {
	op.Base
	forward *chainOp
}

func (o *chainGradOp) Host(dx []float32, x [][]float32) error {
	if !o.forward.dx {
		dx = nil
	}
	o.forward.Backward(dx, x[0], x[2])
	return nil
}

func (o *chainGradOp) Launch(dx gpu.Ptr, x []gpu.Ptr) error {
	f := o.forward
	if !f.dx {
		dx = 0
	}
	for i := len(f.gpu.layers) - 1; i >= 0; i-- {
		f.gpu.layers[i].Backward(f.between(f.gpu.dy, i-1, dx), 0, f.between(f.gpu.y, i-1, x[0]), f.between(f.gpu.y, i, x[1]), f.between(f.gpu.dy, i, x[2]),
			f.gpu.params[i], f.gpu.grads[i])
	}
	return nil
}
