package graph

import (
	"math"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
	"github.com/quarterturn/quarterturn/trainer/internal/op"
	"github.com/quarterturn/quarterturn/trainer/optim"
)

// A convLayer is a convolution of the slab with the batch normalisation behind
// it: what they learn, and the running statistics, kept as PyTorch keeps them, with the
// unbiased variance. Or it is a frozen convolution, of a constant weight and a constant bias.
type convLayer struct {
	layer               *format.Layer
	unit                *nhwc.Unit
	weight, gamma, beta *param // gamma is nil for normalisation without a scale
	momentum            float32
	running             struct{ mean, variance []float32 }
	frozen              bool                                           // beta is the bias; there are neither unit nor statistics
	device              struct{ runningMean, runningVariance gpu.Ptr } // of a frozen one weight and bias
}

// state is what the layer knows beside its params, in the order of device.
func (c *convLayer) state() [2][]float32 {
	if c.frozen {
		return [2][]float32{c.weight.value, c.beta.value}
	}
	return [2][]float32{c.running.mean, c.running.variance}
}

// conv makes what a unit learns.
func (b *builder) conv(l *format.Layer, u *nhwc.Unit) *convLayer {
	std := math.Sqrt(2 / float64(u.Kernel*u.Kernel*u.Out)) // He et al. 2015, over the fan-out
	normal := func() float32 { return float32(b.spec.Rng.NormFloat64() * std) }
	c := &convLayer{layer: l, unit: u,
		weight: b.param(l.Name+" weight", normal, u.Kernel, u.Kernel, u.In, u.Out),
		gamma:  b.param(l.Name+" gamma", constant(1), u.Out),
		beta:   b.param(l.Name+" beta", constant(0), u.Out),
	}
	c.weight.role, c.beta.role = optim.Filter, optim.Bias
	b.addNormalized(c)
	return c
}

// addNormalized makes the running statistics of a layer, which is the next.
func (b *builder) addNormalized(c *convLayer) {
	c.momentum = nhwc.Momentum
	if b.spec.NormMomentum != 0 {
		c.momentum = float32(b.spec.NormMomentum)
	}
	c.running.mean, c.running.variance = make([]float32, c.unit.Out), make([]float32, c.unit.Out)
	for i := range c.running.variance {
		c.running.variance[i] = 1
	}
	if b.dev != nil {
		c.device.runningMean, c.device.runningVariance = gpu.Put(b.dev.Device, c.running.mean), gpu.Put(b.dev.Device, c.running.variance)
	}
	b.convs = append(b.convs, c)
}

func (c *convLayer) nodes() G.Nodes { return G.Nodes{c.weight.node, c.gamma.node, c.beta.node} }

// accumulateStats takes the statistics of the batch just seen.
func (c *convLayer) accumulateStats() {
	u := c.unit
	count := float32(u.Count())
	for i := range u.Mean {
		c.running.mean[i] += c.momentum * (u.Mean[i] - c.running.mean[i])
		c.running.variance[i] += c.momentum * (u.Var[i]*count/(count-1) - c.running.variance[i])
	}
}

// unitInputs are the dimensions of a unit's weight, gamma and beta.
var unitInputs = []int{4, 1, 1}

func unitParams(x [][]float32) nhwc.Params {
	return nhwc.Params{Weight: x[0], Gamma: x[1], Beta: x[2]}
}

// unitGrads makes the nodes of a unit's gradients, which the Op behind from, a
// gradient itself, leaves in the unit, or in this memory of the device.
func unitGrads(o *op.Base, c *convLayer, from *G.Node, device gpu.Grads) (G.Nodes, error) {
	var grads G.Nodes
	for _, g := range []struct {
		suffix string
		of     *param
		host   []float32
		device gpu.Ptr
	}{{" dw", c.weight, c.unit.DWeight, device.Weight}, {" dgamma", c.gamma, c.unit.DGamma, device.Gamma}, {" dbeta", c.beta, c.unit.DBeta, device.Beta}} {
		d, err := o.AuxGrad(" "+c.layer.Name+g.suffix, from, g.host, g.device, g.of.node.Shape()...)
		if err != nil {
			return nil, err
		}
		grads = append(grads, d)
	}
	return grads, nil
}

// convOp is a layer that runs by itself; its inputs are x, the unit's params and perhaps
// a residual.
type convOp struct {
	op.Base
	*nhwc.Layer
	layer        *convLayer
	isInputLayer bool // x are the images, whose gradient nobody wants
	residual     bool
	dresidual    []float32
	gpu          struct {
		layer     *gpu.Layer
		params    gpu.Params
		grads     gpu.Grads
		dresidual gpu.Ptr
	}
}

func newConvOp(l *convLayer, n *nhwc.Layer, isInputLayer, residual bool) *convOp {
	o := &convOp{Base: op.New(l.layer.Name, append([]int{4}, unitInputs...), n.Images, n.OutHeight()+2, n.OutWidth()+2, n.Out),
		Layer: n, layer: l, isInputLayer: isInputLayer, residual: residual}
	if residual {
		o.Inputs = append(o.Inputs, 4)
	}
	return o
}

func (o *convOp) Place() {
	o.gpu.layer = gpu.NewLayer(o.Dev.Device, o.Conv, false, o.ReLU)
	o.gpu.layer.Momentum = o.layer.momentum
}

func (o *convOp) Host(y []float32, x [][]float32) error {
	var residual []float32
	if o.residual {
		residual = x[4]
	}
	o.Forward(y, x[0], residual, unitParams(x[1:]))
	o.layer.accumulateStats()
	return nil
}

func (o *convOp) Launch(y gpu.Ptr, x []gpu.Ptr) error {
	var residual gpu.Ptr
	if o.residual {
		residual = x[4]
	}
	d := &o.layer.device
	o.gpu.params = gpu.Params{Weight: x[1], Gamma: x[2], Beta: x[3], RunningMean: d.runningMean, RunningVariance: d.runningVariance}
	o.gpu.layer.Forward(y, x[0], residual, o.gpu.params)
	return nil
}

func (o *convOp) DiffWRT(n int) []bool {
	wanted := op.AllDifferentiable(n)
	wanted[0] = !o.isInputLayer
	return wanted
}

func (o *convOp) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	shape := in[0].Shape()
	if o.isInputLayer {
		shape = tensor.Shape{1, 1, 1, 1} // of an output without a meaning
	}
	dx, err := o.Apply(&convGradOp{op.New(o.Name+" dx", []int{4, 4, 4}, shape...), o}, in[0], out, grad)
	if err != nil {
		return nil, err
	}
	o.allocateGrads()
	grads, err := unitGrads(&o.Base, o.layer, dx, o.gpu.grads)
	if err != nil {
		return nil, err
	}
	if o.residual {
		d, err := o.AuxGrad(" dresidual", dx, o.dresidual, o.gpu.dresidual, o.Shape...)
		if err != nil {
			return nil, err
		}
		grads = append(grads, d)
	}
	if o.isInputLayer {
		return append(G.Nodes{nil}, grads...), nil
	}
	return append(G.Nodes{dx}, grads...), nil
}

// allocateGrads makes the memory of gradients that the unit does not have.
func (o *convOp) allocateGrads() {
	if o.Dev == nil {
		if o.residual {
			o.dresidual = make([]float32, o.Shape.TotalSize())
		}
		return
	}
	l := o.layer
	o.gpu.grads = gpu.Grads{Weight: o.Dev.Floats(len(l.weight.value)), Gamma: o.Dev.Floats(len(l.gamma.value)), Beta: o.Dev.Floats(len(l.beta.value))}
	if o.residual {
		o.gpu.dresidual = o.Dev.Floats(o.Shape.TotalSize())
	}
}

// convGradOp leaves the gradients but for x's in the unit and in the forward Op.
type convGradOp struct {
	op.Base
	forward *convOp
}

func (o *convGradOp) Host(dx []float32, x [][]float32) error {
	if o.forward.isInputLayer {
		dx = nil
	}
	o.forward.Backward(dx, o.forward.dresidual, x[0], x[1], x[2])
	return nil
}

func (o *convGradOp) Launch(dx gpu.Ptr, x []gpu.Ptr) error {
	f := &o.forward.gpu
	if o.forward.isInputLayer {
		dx = 0
	}
	f.layer.Backward(dx, f.dresidual, x[0], x[1], x[2], f.params, f.grads)
	return nil
}
