package trainer

import (
	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
)

// A convLayer is a convolution of the slab with the batch normalisation behind
// it: what they learn, and the running statistics, kept as PyTorch keeps them:
// momentum 0.1, the unbiased variance.
type convLayer struct {
	layer               *format.Layer
	unit                *nhwc.Unit
	weight, gamma, beta *param
	running             struct{ mean, variance []float32 }
	there               struct{ RunningMean, RunningVariance gpu.Ptr } // on a device
}

func (c *convLayer) nodes() G.Nodes { return G.Nodes{c.weight.node, c.gamma.node, c.beta.node} }

// observe takes the statistics of the batch just seen.
func (c *convLayer) observe() {
	u := c.unit
	count := float32(u.Images * u.OutHeight() * u.OutWidth())
	for i := range u.Mean {
		c.running.mean[i] += 0.1 * (u.Mean[i] - c.running.mean[i])
		c.running.variance[i] += 0.1 * (u.Var[i]*count/(count-1) - c.running.variance[i])
	}
}

// unitInputs are the dimensions of a unit's weight, gamma and beta.
var unitInputs = []int{4, 1, 1}

func unitParams(v []G.Value) nhwc.Params {
	return nhwc.Params{Weight: floats(v[0]), Gamma: floats(v[1]), Beta: floats(v[2])}
}

// unitGrads makes the nodes of a unit's gradients, which the Op behind from, a
// gradient itself, leaves in the unit, or at these places on the device.
func (o *op) unitGrads(c *convLayer, from *G.Node, there gpu.Grads) (G.Nodes, error) {
	var grads G.Nodes
	for _, g := range []struct {
		suffix string
		of     *param
		here   []float32
		there  gpu.Ptr
	}{{" dw", c.weight, c.unit.DWeight, there.Weight}, {" dgamma", c.gamma, c.unit.DGamma, there.Gamma}, {" dbeta", c.beta, c.unit.DBeta, there.Beta}} {
		d, err := o.pick(" "+c.layer.Name+g.suffix, from, g.here, g.there, g.of.node.Shape()...)
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
	op
	*nhwc.Layer
	layer     *convLayer
	images    bool // x are the images, whose gradient is nobody's
	residual  bool
	dresidual []float32
	*convDevice
}

func newConvOp(l *convLayer, n *nhwc.Layer, images, residual bool) *convOp {
	o := &convOp{op: newOp(l.layer.Name, append([]int{4}, unitInputs...), n.Images, n.OutHeight()+2, n.OutWidth()+2, n.Out),
		Layer: n, layer: l, images: images, residual: residual}
	if residual {
		o.inputs = append(o.inputs, 4)
	}
	return o
}

func (o *convOp) Do(v ...G.Value) (G.Value, error) {
	if o.dev != nil {
		return o.launch(v, o.kernels)
	}
	var residual []float32
	if o.residual {
		residual = floats(v[4])
	}
	o.Forward(o.buffer(), floats(v[0]), residual, unitParams(v[1:]))
	o.layer.observe()
	return o.out, nil
}

func (o *convOp) DiffWRT(n int) []bool {
	wanted := everything(n)
	wanted[0] = !o.images
	return wanted
}

func (o *convOp) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	shape := in[0].Shape()
	if o.images {
		shape = tensor.Shape{1, 1, 1, 1} // of an output without a meaning
	}
	dx, err := o.apply(&convGradOp{newOp(o.name+" dx", []int{4, 4, 4}, shape...), o}, in[0], out, grad)
	if err != nil {
		return nil, err
	}
	var there gpu.Grads
	var dresidual gpu.Ptr
	if o.dev != nil {
		o.convDevice.allocate(o)
		there, dresidual = o.grads, o.convDevice.dresidual
	} else if o.residual {
		o.dresidual = make([]float32, o.shape.TotalSize())
	}
	grads, err := o.unitGrads(o.layer, dx, there)
	if err != nil {
		return nil, err
	}
	if o.residual {
		d, err := o.pick(" dresidual", dx, o.dresidual, dresidual, o.shape...)
		if err != nil {
			return nil, err
		}
		grads = append(grads, d)
	}
	if o.images {
		return append(G.Nodes{nil}, grads...), nil
	}
	return append(G.Nodes{dx}, grads...), nil
}

// convGradOp leaves the gradients but for x's in the unit and in the forward Op.
type convGradOp struct {
	op
	forward *convOp
}

func (o *convGradOp) Do(v ...G.Value) (G.Value, error) {
	if o.dev != nil {
		return o.launch(v, o.kernels)
	}
	dx := o.buffer()
	if o.forward.images {
		dx = nil
	}
	o.forward.Backward(dx, o.forward.dresidual, floats(v[0]), floats(v[1]), floats(v[2]))
	return o.out, nil
}

// shortcutOp is the parameter-free shortcut: every stride-th pixel, and zeros for new
// channels.
type shortcutOp struct {
	op
	in, out gpu.Map
	stride  int
	call    gpu.Call
}

func newShortcutOp(name string, in, out gpu.Map, stride int) *shortcutOp {
	return &shortcutOp{op: newOp(name, []int{4}, int(out.Images), int(out.Height)+2, int(out.Width)+2, int(out.Channels)), in: in, out: out, stride: stride}
}

// pixels calls f with the places of an output pixel and of the input pixel it comes from.
func (o *shortcutOp) pixels(f func(in, out int)) {
	place := func(m gpu.Map, n, y, x int) int {
		return ((n*(int(m.Height)+2)+y+1)*(int(m.Width)+2) + x + 1) * int(m.Channels)
	}
	for n := range int(o.out.Images) {
		for y := range int(o.out.Height) {
			for x := range int(o.out.Width) {
				f(place(o.in, n, y*o.stride, x*o.stride), place(o.out, n, y, x))
			}
		}
	}
}

func (o *shortcutOp) Do(v ...G.Value) (G.Value, error) {
	if o.dev != nil {
		return o.launch(v, o.kernels)
	}
	x, y, channels := floats(v[0]), o.buffer(), int(o.in.Channels)
	o.pixels(func(in, out int) {
		clear(y[out : out+int(o.out.Channels)])
		copy(y[out:], x[in:in+channels])
	})
	return o.op.out, nil
}

func (o *shortcutOp) DiffWRT(int) []bool { return []bool{true} }

func (o *shortcutOp) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	d, err := o.apply(&shortcutGradOp{op: newOp(o.name+" dx", []int{4}, in[0].Shape()...), forward: o}, grad)
	return G.Nodes{d}, err
}

type shortcutGradOp struct {
	op
	forward *shortcutOp
	call    gpu.Call
}

func (o *shortcutGradOp) Do(v ...G.Value) (G.Value, error) {
	if o.dev != nil {
		return o.launch(v, o.kernels)
	}
	dy, dx, channels := floats(v[0]), o.buffer(), int(o.forward.in.Channels)
	clear(dx)
	o.forward.pixels(func(in, out int) { copy(dx[in:in+channels], dy[out:]) })
	return o.out, nil
}

// stageOp is a chain of residual blocks.
type stageOp struct {
	op
	*nhwc.Stage
	layers []*convLayer // as Stage.Units
}

func newStageOp(name string, s *nhwc.Stage, layers []*convLayer) *stageOp {
	inputs := []int{4}
	for range layers {
		inputs = append(inputs, unitInputs...)
	}
	c := &s.Blocks[len(s.Blocks)-1].Second.Conv
	return &stageOp{newOp(name, inputs, c.Images, c.Height+2, c.Width+2, c.Out), s, layers}
}

func (o *stageOp) Do(v ...G.Value) (G.Value, error) {
	var params []nhwc.Params
	for i := range o.layers {
		params = append(params, unitParams(v[1+3*i:]))
	}
	o.Forward(o.buffer(), floats(v[0]), params)
	for _, l := range o.layers {
		l.observe()
	}
	return o.out, nil
}

func (o *stageOp) DiffWRT(n int) []bool { return everything(n) }

func (o *stageOp) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	dx, err := o.apply(&stageGradOp{newOp(o.name+" dx", []int{4, 4, 4}, in[0].Shape()...), o.Stage}, in[0], out, grad)
	if err != nil {
		return nil, err
	}
	grads := G.Nodes{dx}
	for _, l := range o.layers {
		g, err := o.unitGrads(l, dx, gpu.Grads{})
		if err != nil {
			return nil, err
		}
		grads = append(grads, g...)
	}
	return grads, nil
}

type stageGradOp struct {
	op
	*nhwc.Stage
}

func (o *stageGradOp) Do(v ...G.Value) (G.Value, error) {
	o.Backward(o.buffer(), floats(v[0]), floats(v[1]), floats(v[2]))
	return o.out, nil
}

// poolOp is max pooling.
type poolOp struct {
	op
	*nhwc.Pool
	call gpu.Call
}

func newPoolOp(name string, rows, height, width, channels int) *poolOp {
	p := &nhwc.Pool{Images: rows, Height: height, Width: width, Channels: channels}
	return &poolOp{op: newOp(name, []int{4}, rows, p.OutHeight()+2, p.OutWidth()+2, channels), Pool: p}
}

func (o *poolOp) Do(v ...G.Value) (G.Value, error) {
	if o.dev != nil {
		return o.launch(v, o.kernels)
	}
	o.Forward(o.buffer(), floats(v[0]))
	return o.out, nil
}

func (o *poolOp) DiffWRT(int) []bool { return []bool{true} }

func (o *poolOp) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	d, err := o.apply(&poolGradOp{op: newOp(o.name+" dx", []int{4, 4, 4}, in[0].Shape()...), Pool: o.Pool}, in[0], out, grad)
	return G.Nodes{d}, err
}

type poolGradOp struct {
	op
	*nhwc.Pool
	call gpu.Call
}

func (o *poolGradOp) Do(v ...G.Value) (G.Value, error) {
	if o.dev != nil {
		return o.launch(v, o.kernels)
	}
	o.Backward(o.buffer(), floats(v[0]), floats(v[1]), floats(v[2]))
	return o.out, nil
}

// meanOp is global average pooling: (rows, H+2, W+2, C) to (rows, C).
type meanOp struct {
	op
	rows, height, width, channels int
	call                          gpu.Call
}

func newMeanOp(name string, rows, height, width, channels int) *meanOp {
	return &meanOp{op: newOp(name, []int{4}, rows, channels), rows: rows, height: height, width: width, channels: channels}
}

// pixels calls f with the index of every inner pixel of a row's image.
func (o *meanOp) pixels(row int, f func(at int)) {
	base := row * nhwc.Padded(o.height, o.width, o.channels)
	for y := range o.height {
		for x := range o.width {
			f(base + ((y+1)*(o.width+2)+x+1)*o.channels)
		}
	}
}

func (o *meanOp) Do(v ...G.Value) (G.Value, error) {
	if o.dev != nil {
		return o.launch(v, o.kernels)
	}
	x, z := floats(v[0]), o.buffer()
	nhwc.Parallel(o.rows, func(_, n int) {
		sum := z[n*o.channels : (n+1)*o.channels]
		clear(sum)
		o.pixels(n, func(at int) {
			for c, v := range x[at : at+o.channels] {
				sum[c] += v
			}
		})
		for c := range sum {
			sum[c] /= float32(o.height * o.width)
		}
	})
	return o.out, nil
}

func (o *meanOp) DiffWRT(int) []bool { return []bool{true} }

func (o *meanOp) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	d, err := o.apply(&meanGradOp{op: newOp(o.name+" dx", []int{2}, in[0].Shape()...), forward: o}, grad)
	return G.Nodes{d}, err
}

type meanGradOp struct {
	op
	forward *meanOp
	call    gpu.Call
}

func (o *meanGradOp) Do(v ...G.Value) (G.Value, error) {
	if o.dev != nil {
		return o.launch(v, o.kernels)
	}
	f, dz, dx := o.forward, floats(v[0]), o.buffer()
	scale := 1 / float32(f.height*f.width)
	nhwc.Parallel(f.rows, func(_, n int) {
		from := dz[n*f.channels : (n+1)*f.channels]
		f.pixels(n, func(at int) {
			for c, v := range from {
				dx[at+c] = v * scale
			}
		})
	})
	return o.out, nil
}

// linearOp is a head: (rows, F) by w (K, F) and b (K). It reads every step-th
// row only, which feeds the distilled head the untransformed images alone.
type linearOp struct {
	op
	rows, features, outputs, step int
	dw, db                        []float32
	call                          gpu.Call
}

func newLinearOp(name string, rows, features, outputs, step int) *linearOp {
	return &linearOp{op: newOp(name, []int{2, 2, 1}, rows/step, outputs),
		rows: rows, features: features, outputs: outputs, step: step}
}

func (o *linearOp) Do(v ...G.Value) (G.Value, error) {
	if o.dev != nil {
		return o.launch(v, o.kernels)
	}
	z, w, b, y := floats(v[0]), floats(v[1]), floats(v[2]), o.buffer()
	nhwc.Parallel(o.rows/o.step, func(_, n int) {
		x := z[n*o.step*o.features:][:o.features]
		for k := range o.outputs {
			sum := b[k]
			for i, v := range w[k*o.features : (k+1)*o.features] {
				sum += v * x[i]
			}
			y[n*o.outputs+k] = sum
		}
	})
	return o.out, nil
}

func (o *linearOp) DiffWRT(int) []bool { return everything(3) }

func (o *linearOp) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	back := &linearGradOp{op: newOp(o.name+" dz", []int{2, 2, 2}, o.rows, o.features), forward: o}
	if o.dev != nil {
		back.weight, back.bias = o.dev.Floats(o.outputs*o.features), o.dev.Floats(o.outputs)
	} else {
		o.dw, o.db = make([]float32, o.outputs*o.features), make([]float32, o.outputs)
	}
	dz, err := o.apply(back, in[0], in[1], grad)
	if err != nil {
		return nil, err
	}
	dw, err := o.pick(" dw", dz, o.dw, back.weight, in[1].Shape()...)
	if err != nil {
		return nil, err
	}
	db, err := o.pick(" db", dz, o.db, back.bias, in[2].Shape()...)
	return G.Nodes{dz, dw, db}, err
}

type linearGradOp struct {
	op
	forward       *linearOp
	weight, bias  gpu.Ptr // gradients on a device
	call, weights gpu.Call
}

func (o *linearGradOp) Do(v ...G.Value) (G.Value, error) {
	if o.dev != nil {
		return o.launch(v, o.kernels)
	}
	f, z, w, dy, dz := o.forward, floats(v[0]), floats(v[1]), floats(v[2]), o.buffer()
	rows := f.rows / f.step
	nhwc.Parallel(rows, func(_, n int) {
		clear(dz[n*f.step*f.features : (n+1)*f.step*f.features])
		d := dz[n*f.step*f.features:][:f.features]
		for k, g := range dy[n*f.outputs : (n+1)*f.outputs] {
			for i, v := range w[k*f.features : (k+1)*f.features] {
				d[i] += g * v
			}
		}
	})
	nhwc.Parallel(f.outputs, func(_, k int) {
		dw, db := f.dw[k*f.features:(k+1)*f.features], float32(0)
		clear(dw)
		for n := range rows {
			g := dy[n*f.outputs+k]
			db += g
			for i, v := range z[n*f.step*f.features:][:f.features] {
				dw[i] += g * v
			}
		}
		f.db[k] = db
	})
	return o.out, nil
}
