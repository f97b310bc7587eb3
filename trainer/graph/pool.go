package graph

import (
	G "gorgonia.org/gorgonia"

	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
	"github.com/quarterturn/quarterturn/trainer/internal/op"
)

// poolOp is max pooling.
type poolOp struct {
	op.Base
	*nhwc.Pool
	call gpu.Call
}

func newPoolOp(name string, rows, height, width, channels int) *poolOp {
	p := &nhwc.Pool{Images: rows, Height: height, Width: width, Channels: channels}
	return &poolOp{Base: op.New(name, []int{4}, rows, p.OutHeight()+2, p.OutWidth()+2, channels), Pool: p}
}

// poolMaps returns the images that go into pooling and come out of it.
func poolMaps(p *nhwc.Pool) (in, out gpu.Map) {
	return gpu.NewMap(p.Images, p.Height, p.Width, p.Channels), gpu.NewMap(p.Images, p.OutHeight(), p.OutWidth(), p.Channels)
}

func (o *poolOp) Host(y []float32, x [][]float32) error {
	o.Forward(y, x[0])
	return nil
}

func (o *poolOp) Launch(y gpu.Ptr, x []gpu.Ptr) error {
	in, out := poolMaps(o.Pool)
	gpu.Launch(o.Dev.Device, &o.call, "pool", gpu.Each(out.Elements()), gpu.Pool{X: x[0], To: y, In: in, Out: out, Size: 3})
	return nil
}

func (o *poolOp) DiffWRT(int) []bool { return []bool{true} }

func (o *poolOp) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	d, err := o.Apply(&poolGradOp{Base: op.New(o.Name+" dx", []int{4, 4, 4}, in[0].Shape()...), Pool: o.Pool}, in[0], out, grad)
	return G.Nodes{d}, err
}

type poolGradOp struct {
	op.Base
	*nhwc.Pool
	call gpu.Call
}

func (o *poolGradOp) Host(dx []float32, x [][]float32) error {
	o.Backward(dx, x[0], x[1], x[2])
	return nil
}

func (o *poolGradOp) Launch(dx gpu.Ptr, x []gpu.Ptr) error {
	in, out := poolMaps(o.Pool)
	gpu.Launch(o.Dev.Device, &o.call, "pool_grad", gpu.Each(in.Elements()), gpu.Pool{X: x[0], Y: x[1], DY: x[2], To: dx, In: in, Out: out, Size: 3})
	return nil
}
