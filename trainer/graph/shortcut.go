package graph

import (
	G "gorgonia.org/gorgonia"

	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
	"github.com/quarterturn/quarterturn/trainer/internal/op"
)

// shortcutOp is the parameter-free shortcut: every stride-th pixel, and zeros for new
// channels.
type shortcutOp struct {
	op.Base
	in, out gpu.Map
	stride  int
	call    gpu.Call
}

func newShortcutOp(name string, in, out gpu.Map, stride int) *shortcutOp {
	return &shortcutOp{Base: op.New(name, []int{4}, int(out.Images), int(out.Height)+2, int(out.Width)+2, int(out.Channels)), in: in, out: out, stride: stride}
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

func (o *shortcutOp) Host(y []float32, x [][]float32) error {
	channels := int(o.in.Channels)
	o.pixels(func(in, out int) {
		clear(y[out : out+int(o.out.Channels)])
		copy(y[out:], x[0][in:in+channels])
	})
	return nil
}

func (o *shortcutOp) Launch(y gpu.Ptr, x []gpu.Ptr) error {
	gpu.Launch(o.Dev.Device, &o.call, "shortcut", gpu.Each(o.out.Elements()), gpu.Shortcut{From: x[0], To: y, In: o.in, Out: o.out, Stride: int32(o.stride)})
	return nil
}

func (o *shortcutOp) DiffWRT(int) []bool { return []bool{true} }

func (o *shortcutOp) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	d, err := o.Apply(&shortcutGradOp{Base: op.New(o.Name+" dx", []int{4}, in[0].Shape()...), forward: o}, grad)
	return G.Nodes{d}, err
}

type shortcutGradOp struct {
	op.Base
	forward *shortcutOp
	call    gpu.Call
}

func (o *shortcutGradOp) Host(dx []float32, x [][]float32) error {
	channels := int(o.forward.in.Channels)
	clear(dx)
	o.forward.pixels(func(in, out int) { copy(dx[in:in+channels], x[0][out:]) })
	return nil
}

func (o *shortcutGradOp) Launch(dx gpu.Ptr, x []gpu.Ptr) error {
	f := o.forward
	gpu.Launch(o.Dev.Device, &o.call, "shortcut_grad", gpu.Each(f.in.Elements()), gpu.Shortcut{From: x[0], To: dx, In: f.in, Out: f.out, Stride: int32(f.stride)})
	return nil
}
