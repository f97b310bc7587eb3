package graph

import (
	G "gorgonia.org/gorgonia"

	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
	"github.com/quarterturn/quarterturn/trainer/internal/op"
	"github.com/quarterturn/quarterturn/trainer/internal/parallel"
)

// meanOp is global average pooling: (rows, H+2, W+2, C) to (rows, C).
type meanOp struct {
	op.Base
	rows, height, width, channels int
	call                          gpu.Call
}

func newMeanOp(name string, rows, height, width, channels int) *meanOp {
	return &meanOp{Base: op.New(name, []int{4}, rows, channels), rows: rows, height: height, width: width, channels: channels}
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

func (o *meanOp) Host(y []float32, x [][]float32) error {
	parallel.For(o.rows, func(_, n int) {
		sum := y[n*o.channels : (n+1)*o.channels]
		clear(sum)
		o.pixels(n, func(at int) {
			for c, v := range x[0][at : at+o.channels] {
				sum[c] += v
			}
		})
		for c := range sum {
			sum[c] /= float32(o.height * o.width)
		}
	})
	return nil
}

func (o *meanOp) imageMap() gpu.Map { return gpu.NewMap(o.rows, o.height, o.width, o.channels) }

func (o *meanOp) Launch(y gpu.Ptr, x []gpu.Ptr) error {
	gpu.Launch(o.Dev.Device, &o.call, "mean", gpu.Each(o.rows*o.channels), gpu.Mean{From: x[0], To: y, Map: o.imageMap()})
	return nil
}

func (o *meanOp) DiffWRT(int) []bool { return []bool{true} }

func (o *meanOp) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	d, err := o.Apply(&meanGradOp{Base: op.New(o.Name+" dx", []int{2}, in[0].Shape()...), forward: o}, grad)
	return G.Nodes{d}, err
}

type meanGradOp struct {
	op.Base
	forward *meanOp
	call    gpu.Call
}

func (o *meanGradOp) Host(dx []float32, x [][]float32) error {
	f := o.forward
	scale := 1 / float32(f.height*f.width)
	parallel.For(f.rows, func(_, n int) {
		dy := x[0][n*f.channels : (n+1)*f.channels]
		f.pixels(n, func(at int) {
			for c, v := range dy {
				dx[at+c] = v * scale
			}
		})
	})
	return nil
}

func (o *meanGradOp) Launch(dx gpu.Ptr, x []gpu.Ptr) error {
	m := o.forward.imageMap()
	gpu.Launch(o.Dev.Device, &o.call, "mean_grad", gpu.Each(m.Elements()), gpu.Mean{From: x[0], To: dx, Map: m})
	return nil
}
