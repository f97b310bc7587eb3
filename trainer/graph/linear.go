package graph

import (
	G "gorgonia.org/gorgonia"

	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
	"github.com/quarterturn/quarterturn/trainer/internal/op"
	"github.com/quarterturn/quarterturn/trainer/internal/parallel"
)

// linearOp is a head: (rows, F) by w (K, F) and b (K). It reads every stride-th row
// only, which feeds the distilled head the untransformed images alone.
type linearOp struct {
	op.Base
	rows, features, outputs, stride int
	dw, db                          []float32
	call                            gpu.Call
}

func newLinearOp(name string, rows, features, outputs, stride int) *linearOp {
	return &linearOp{Base: op.New(name, []int{2, 2, 1}, rows/stride, outputs),
		rows: rows, features: features, outputs: outputs, stride: stride}
}

func (o *linearOp) Host(y []float32, x [][]float32) error {
	z, w, b := x[0], x[1], x[2]
	parallel.For(o.rows/o.stride, func(_, n int) {
		row := z[n*o.stride*o.features:][:o.features]
		for k := range o.outputs {
			sum := b[k]
			for i, v := range w[k*o.features : (k+1)*o.features] {
				sum += v * row[i]
			}
			y[n*o.outputs+k] = sum
		}
	})
	return nil
}

// argument is the kernels' but for addresses.
func (o *linearOp) argument() gpu.Linear {
	return gpu.Linear{Rows: int32(o.rows), Features: int32(o.features), Outputs: int32(o.outputs), Stride: int32(o.stride)}
}

func (o *linearOp) Launch(y gpu.Ptr, x []gpu.Ptr) error {
	a := o.argument()
	a.Z, a.W, a.B, a.To = x[0], x[1], x[2], y
	gpu.Launch(o.Dev.Device, &o.call, "linear", gpu.Each(o.rows/o.stride*o.outputs), a)
	return nil
}

func (o *linearOp) DiffWRT(int) []bool { return op.AllDifferentiable(3) }

func (o *linearOp) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	back := &linearGradOp{Base: op.New(o.Name+" dz", []int{2, 2, 2}, o.rows, o.features), forward: o}
	if o.Dev != nil {
		back.gpu.dw, back.gpu.db = o.Dev.Floats(o.outputs*o.features), o.Dev.Floats(o.outputs)
	} else {
		o.dw, o.db = make([]float32, o.outputs*o.features), make([]float32, o.outputs)
	}
	dz, err := o.Apply(back, in[0], in[1], grad)
	if err != nil {
		return nil, err
	}
	dw, err := o.AuxGrad(" dw", dz, o.dw, back.gpu.dw, in[1].Shape()...)
	if err != nil {
		return nil, err
	}
	db, err := o.AuxGrad(" db", dz, o.db, back.gpu.db, in[2].Shape()...)
	return G.Nodes{dz, dw, db}, err
}

type linearGradOp struct {
	op.Base
	forward *linearOp
	gpu     struct {
		dw, db        gpu.Ptr
		call, weights gpu.Call
	}
}

func (o *linearGradOp) Host(dz []float32, x [][]float32) error {
	f, z, w, dy := o.forward, x[0], x[1], x[2]
	rows := f.rows / f.stride
	parallel.For(rows, func(_, n int) {
		clear(dz[n*f.stride*f.features : (n+1)*f.stride*f.features])
		d := dz[n*f.stride*f.features:][:f.features]
		for k, g := range dy[n*f.outputs : (n+1)*f.outputs] {
			for i, v := range w[k*f.features : (k+1)*f.features] {
				d[i] += g * v
			}
		}
	})
	parallel.For(f.outputs, func(_, k int) {
		dw, db := f.dw[k*f.features:(k+1)*f.features], float32(0)
		clear(dw)
		for n := range rows {
			g := dy[n*f.outputs+k]
			db += g
			for i, v := range z[n*f.stride*f.features:][:f.features] {
				dw[i] += g * v
			}
		}
		f.db[k] = db
	})
	return nil
}

func (o *linearGradOp) Launch(dz gpu.Ptr, x []gpu.Ptr) error {
	f := o.forward
	a, b := f.argument(), f.argument()
	a.W, a.DY, a.To = x[1], x[2], dz
	gpu.Launch(o.Dev.Device, &o.gpu.call, "linear_dz", gpu.Each(f.rows*f.features), a)
	b.Z, b.DY, b.To, b.Bias = x[0], x[2], o.gpu.dw, o.gpu.db
	gpu.Launch(o.Dev.Device, &o.gpu.weights, "linear_dw", gpu.Each(f.outputs*f.features), b)
	return nil
}
