package loss

import (
	G "gorgonia.org/gorgonia"

	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
	"github.com/quarterturn/quarterturn/trainer/internal/op"
)

// A lossOp is what losses share: they compute the gradient of their logits on the way.
type lossOp struct {
	op.Base
	targets []float32 // (images, N), of the batch; on a device, too, these are the processor's
	grad    []float32 // of the logits, for a loss gradient of 1
	gpu     struct {
		rowLoss, grad    gpu.Ptr
		loss             gpu.Ptr // see op.Memory.AddLoss
		weights, margins gpu.Ptr
		call, total      gpu.Call
	}
}

// logitsGrad makes the node of the gradient that the loss, of so many rows, computed.
func (o *lossOp) logitsGrad(rows int, logits, out, grad *G.Node) (*G.Node, error) {
	d := &lossGradOp{op.New(o.Name+" dx", []int{0, 0}, logits.Shape()...), o.grad}
	if o.Dev != nil {
		o.gpu.grad, o.gpu.rowLoss = o.Dev.Floats(len(o.grad)), o.Dev.Floats(rows)
		o.gpu.loss = o.Dev.AddLoss()
		d.PutAt(o.Dev, o.gpu.grad)
	}
	return o.Apply(d, out, grad)
}

// gpuBalance is the balance of a loss on the device; scale is that of an image of weight 1.
func (o *lossOp) gpuBalance(b *Balance, scale float64) gpu.Balance {
	put := func(p *gpu.Ptr, values []float64) {
		if *p == 0 && values != nil {
			var v []float32
			for _, x := range values {
				v = append(v, float32(x))
			}
			*p = gpu.Put(o.Dev.Device, v)
		}
	}
	put(&o.gpu.margins, b.Margins)
	a := gpu.Balance{Margins: o.gpu.margins, Gamma: float32(b.Gamma), Scale: float32(scale)}
	if b.On {
		put(&o.gpu.weights, b.Weights)
		a.Weights = o.gpu.weights
	}
	return a
}

// launchTotal adds up the losses of the rows.
func (o *lossOp) launchTotal(rows int) {
	gpu.Launch(o.Dev.Device, &o.gpu.total, "total", gpu.Grid{X: 1, Y: 1, Z: 1, Threads: 256},
		gpu.Total{Src: o.gpu.rowLoss, Dst: o.gpu.loss, Count: int32(rows)})
}

type lossGradOp struct {
	op.Base
	unit []float32
}

func (o *lossGradOp) Host(d []float32, x [][]float32) error {
	g := x[1][0]
	for i, u := range o.unit {
		d[i] = u * g
	}
	return nil
}

// Launch has nothing to do: losses are added up as they are, the gradient of each is 1.
func (*lossGradOp) Launch(gpu.Ptr, []gpu.Ptr) error { return nil }
