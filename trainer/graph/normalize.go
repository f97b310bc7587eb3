package graph

import (
	G "gorgonia.org/gorgonia"

	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
	"github.com/quarterturn/quarterturn/trainer/internal/op"
	"github.com/quarterturn/quarterturn/trainer/internal/rows"
)

// normalizeOp gives every row of a matrix the same Euclidean length: a linear layer of
// normalised features and weights is the cosine of the angle between them.
type normalizeOp struct {
	op.Base
	length float64
	width  int
	call   gpu.Call
}

func newNormalizeOp(name string, rows, width int, length float64) *normalizeOp {
	return &normalizeOp{Base: op.New(name, []int{2}, rows, width), length: length, width: width}
}

// factor is what a row is to be multiplied by. Rows of zeros stay what they are.
func (o *normalizeOp) factor(row []float32) float64 { return o.length / rows.Length(row) }

func (o *normalizeOp) Host(y []float32, x [][]float32) error {
	for at := 0; at < len(y); at += o.width {
		f := o.factor(x[0][at : at+o.width])
		for i, v := range x[0][at : at+o.width] {
			y[at+i] = float32(float64(v) * f)
		}
	}
	return nil
}

// argument is the kernels' but for addresses.
func (o *normalizeOp) argument() gpu.Normalise {
	return gpu.Normalise{Rows: int32(o.Shape[0]), Width: int32(o.width), Length: float32(o.length)}
}

func (o *normalizeOp) Launch(y gpu.Ptr, x []gpu.Ptr) error {
	a := o.argument()
	a.X, a.To = x[0], y
	gpu.Launch(o.Dev.Device, &o.call, "normalise", gpu.Each(o.Shape[0]), a)
	return nil
}

func (o *normalizeOp) DiffWRT(int) []bool { return []bool{true} }

func (o *normalizeOp) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	d, err := o.Apply(&normalizeGradOp{Base: op.New(o.Name+" dx", []int{2, 2, 2}, in[0].Shape()...), forward: o}, in[0], out, grad)
	return G.Nodes{d}, err
}

type normalizeGradOp struct {
	op.Base
	forward *normalizeOp
	call    gpu.Call
}

func (o *normalizeGradOp) Host(dx []float32, in [][]float32) error {
	f, x, y, dy := o.forward, in[0], in[1], in[2]
	for at := 0; at < len(x); at += f.width {
		factor := f.factor(x[at : at+f.width])
		var along float64
		for i := at; i < at+f.width; i++ {
			along += float64(y[i]) * float64(dy[i])
		}
		along /= f.length * f.length
		for i := at; i < at+f.width; i++ {
			dx[i] = float32(factor * (float64(dy[i]) - along*float64(y[i])))
		}
	}
	return nil
}

func (o *normalizeGradOp) Launch(dx gpu.Ptr, x []gpu.Ptr) error {
	a := o.forward.argument()
	a.X, a.Y, a.DY, a.To = x[0], x[1], x[2], dx
	gpu.Launch(o.Dev.Device, &o.call, "normalise_grad", gpu.Each(o.forward.Shape[0]), a)
	return nil
}
