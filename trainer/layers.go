package trainer

import (
	G "gorgonia.org/gorgonia"

	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
)

// convOp is a convolution: (rows, H+2, W+2, in) by (k, k, in, out).
type convOp struct {
	op
	*nhwc.Conv
	first bool // it reads the image, whose gradient nobody wants
}

func (o *convOp) Do(v ...G.Value) (G.Value, error) {
	o.Forward(o.buffer(), floats(v[0]), floats(v[1]))
	return o.out, nil
}

func (o *convOp) DiffWRT(int) []bool { return []bool{!o.first, true} }

func (o *convOp) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	var dx *G.Node
	if !o.first {
		var err error
		dx, err = G.ApplyOp(&convInputOp{newOp(o.name+" dx", []int{4, 4}, in[0].Shape()...), o.Conv}, grad, in[1])
		if err != nil {
			return nil, err
		}
	}
	dw, err := G.ApplyOp(&convWeightsOp{newOp(o.name+" dw", []int{4, 4}, in[1].Shape()...), o.Conv}, in[0], grad)
	return G.Nodes{dx, dw}, err
}

type convInputOp struct {
	op
	*nhwc.Conv
}

func (o *convInputOp) Do(v ...G.Value) (G.Value, error) {
	o.GradInput(o.buffer(), floats(v[0]), floats(v[1]))
	return o.out, nil
}

type convWeightsOp struct {
	op
	*nhwc.Conv
}

func (o *convWeightsOp) Do(v ...G.Value) (G.Value, error) {
	o.GradWeights(o.buffer(), floats(v[0]), floats(v[1]))
	return o.out, nil
}

// normOp is batch normalisation with an optional residual and ReLU; its inputs
// are x, gamma, beta and perhaps the residual. While training it keeps running
// statistics as PyTorch does: momentum 0.1, the unbiased variance.
type normOp struct {
	op
	*nhwc.Norm
	running struct{ mean, variance []float32 }
}

func newNormOp(name string, n *nhwc.Norm, residual bool, shape []int) *normOp {
	inputs := []int{4, 1, 1}
	if residual {
		inputs = append(inputs, 4)
	}
	o := &normOp{op: newOp(name, inputs, shape...), Norm: n}
	o.running.mean = make([]float32, n.Channels)
	o.running.variance = make([]float32, n.Channels)
	for c := range o.running.variance {
		o.running.variance[c] = 1
	}
	return o
}

func (o *normOp) Do(v ...G.Value) (G.Value, error) {
	var residual []float32
	if len(v) == 4 {
		residual = floats(v[3])
	}
	o.Forward(o.buffer(), floats(v[0]), floats(v[1]), floats(v[2]), residual)
	count := float32(o.Images * o.Height * o.Width)
	for c := range o.Mean {
		o.running.mean[c] += 0.1 * (o.Mean[c] - o.running.mean[c])
		o.running.variance[c] += 0.1 * (o.Var[c]*count/(count-1) - o.running.variance[c])
	}
	return o.out, nil
}

func (o *normOp) DiffWRT(n int) []bool { return everything(n) }

func (o *normOp) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	back := &normGradOp{newOp(o.name+" dx", []int{4, 4, 4, 1}, in[0].Shape()...), o.Norm, len(in) == 4}
	dx, err := G.ApplyOp(back, in[0], out, grad, in[1])
	if err != nil {
		return nil, err
	}
	grads := G.Nodes{dx}
	for i, from := range []func() []float32{
		func() []float32 { return o.DGamma },
		func() []float32 { return o.DBeta },
		func() []float32 { return o.DResidual },
	}[:len(in)-1] {
		suffix := [...]string{" dgamma", " dbeta", " dresidual"}[i]
		d, err := G.ApplyOp(newPick(o.name+suffix, 4, from, in[i+1].Shape()...), dx)
		if err != nil {
			return nil, err
		}
		grads = append(grads, d)
	}
	return grads, nil
}

type normGradOp struct {
	op
	*nhwc.Norm
	residual bool
}

func (o *normGradOp) Do(v ...G.Value) (G.Value, error) {
	o.Backward(o.buffer(), floats(v[0]), floats(v[1]), floats(v[2]), floats(v[3]), o.residual)
	return o.out, nil
}

// shortcutOp is the parameter-free shortcut: every stride-th pixel, and zero for
// the channels that are new. Its gradient op runs the same copy backwards.
type shortcutOp struct {
	op
	geometry shortcutGeometry
	back     bool
}

type shortcutGeometry struct{ rows, height, width, in, out, stride int }

func newShortcutOp(name string, g shortcutGeometry) *shortcutOp {
	oh, ow := (g.height+g.stride-1)/g.stride, (g.width+g.stride-1)/g.stride
	return &shortcutOp{newOp(name, []int{4}, g.rows, oh+2, ow+2, g.out), g, false}
}

func (o *shortcutOp) Do(v ...G.Value) (G.Value, error) {
	g, from, to := o.geometry, floats(v[0]), o.buffer()
	oh, ow := (g.height+g.stride-1)/g.stride, (g.width+g.stride-1)/g.stride
	large, small := nhwc.Padded(g.height, g.width, g.in), nhwc.Padded(oh, ow, g.out)
	nhwc.Parallel(g.rows, func(_, n int) {
		if o.back {
			clear(to[n*large : (n+1)*large])
		} else {
			clear(to[n*small : (n+1)*small])
		}
		for y := range oh {
			for x := range ow {
				a := n*large + ((y*g.stride+1)*(g.width+2)+x*g.stride+1)*g.in
				b := n*small + ((y+1)*(ow+2)+x+1)*g.out
				if o.back {
					copy(to[a:a+g.in], from[b:b+g.in])
				} else {
					copy(to[b:b+g.in], from[a:a+g.in])
				}
			}
		}
	})
	return o.out, nil
}

func (o *shortcutOp) DiffWRT(int) []bool { return []bool{true} }

func (o *shortcutOp) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	d, err := G.ApplyOp(&shortcutOp{newOp(o.name+" dx", []int{4}, in[0].Shape()...), o.geometry, true}, grad)
	return G.Nodes{d}, err
}

// meanOp is global average pooling: (rows, H+2, W+2, C) to (rows, C).
type meanOp struct {
	op
	rows, height, width, channels int
}

func newMeanOp(name string, rows, height, width, channels int) *meanOp {
	return &meanOp{newOp(name, []int{4}, rows, channels), rows, height, width, channels}
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
	d, err := G.ApplyOp(&meanGradOp{newOp(o.name+" dx", []int{2}, in[0].Shape()...), o}, grad)
	return G.Nodes{d}, err
}

type meanGradOp struct {
	op
	forward *meanOp
}

func (o *meanGradOp) Do(v ...G.Value) (G.Value, error) {
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
}

func newLinearOp(name string, rows, features, outputs, step int) *linearOp {
	return &linearOp{op: newOp(name, []int{2, 2, 1}, rows/step, outputs),
		rows: rows, features: features, outputs: outputs, step: step}
}

func (o *linearOp) Do(v ...G.Value) (G.Value, error) {
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
	o.dw, o.db = make([]float32, o.outputs*o.features), make([]float32, o.outputs)
	dz, err := G.ApplyOp(&linearGradOp{newOp(o.name+" dz", []int{2, 2, 2}, o.rows, o.features), o}, in[0], in[1], grad)
	if err != nil {
		return nil, err
	}
	dw, err := G.ApplyOp(newPick(o.name+" dw", 2, func() []float32 { return o.dw }, in[1].Shape()...), dz)
	if err != nil {
		return nil, err
	}
	db, err := G.ApplyOp(newPick(o.name+" db", 2, func() []float32 { return o.db }, in[2].Shape()...), dz)
	return G.Nodes{dz, dw, db}, err
}

type linearGradOp struct {
	op
	forward *linearOp
}

func (o *linearGradOp) Do(v ...G.Value) (G.Value, error) {
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
