package trainer

import (
	"math"

	G "gorgonia.org/gorgonia"

	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
)

// normaliseOp gives every row of a matrix the same length: a linear layer of
// normalised features and weights is the cosine of the angle between them.
type normaliseOp struct {
	op
	length float64
	width  int
	call   gpu.Call
}

func newNormaliseOp(name string, rows, width int, length float64) *normaliseOp {
	return &normaliseOp{op: newOp(name, []int{2}, rows, width), length: length, width: width}
}

// factor is what a row is to be multiplied by. Rows of zeros stay what they are.
func (o *normaliseOp) factor(row []float32) float64 {
	var square float64
	for _, v := range row {
		square += float64(v) * float64(v)
	}
	return o.length / max(1e-12, math.Sqrt(square))
}

// rows writes the rows of x to y, which may be x.
func (o *normaliseOp) rows(y, x []float32) {
	for at := 0; at < len(x); at += o.width {
		f := o.factor(x[at : at+o.width])
		for i, v := range x[at : at+o.width] {
			y[at+i] = float32(float64(v) * f)
		}
	}
}

func (o *normaliseOp) Do(v ...G.Value) (G.Value, error) {
	if o.dev != nil {
		return o.launch(v, o.kernels)
	}
	o.rows(o.buffer(), floats(v[0]))
	return o.out, nil
}

func (o *normaliseOp) DiffWRT(int) []bool { return []bool{true} }

func (o *normaliseOp) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	d, err := o.apply(&normaliseGradOp{op: newOp(o.name+" dx", []int{2, 2, 2}, in[0].Shape()...), forward: o}, in[0], out, grad)
	return G.Nodes{d}, err
}

type normaliseGradOp struct {
	op
	forward *normaliseOp
	call    gpu.Call
}

func (o *normaliseGradOp) Do(v ...G.Value) (G.Value, error) {
	if o.dev != nil {
		return o.launch(v, o.kernels)
	}
	f, x, y, dy, dx := o.forward, floats(v[0]), floats(v[1]), floats(v[2]), o.buffer()
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
	return o.out, nil
}
