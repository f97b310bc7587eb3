package graph

import (
	"errors"

	G "gorgonia.org/gorgonia"

	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
	"github.com/quarterturn/quarterturn/trainer/internal/op"
)

// stageOp is a chain of residual blocks, on the processor; a device has an Op for each
// layer instead.
type stageOp struct {
	op.Base
	*nhwc.Stage
	layers []*convLayer // as Stage.Units
}

func newStageOp(name string, s *nhwc.Stage, layers []*convLayer) *stageOp {
	inputs := []int{4}
	for range layers {
		inputs = append(inputs, unitInputs...)
	}
	c := &s.Blocks[len(s.Blocks)-1].Second.Conv
	return &stageOp{op.New(name, inputs, c.Images, c.Height+2, c.Width+2, c.Out), s, layers}
}

func (o *stageOp) Host(y []float32, x [][]float32) error {
	var params []nhwc.Params
	for i := range o.layers {
		params = append(params, unitParams(x[1+3*i:]))
	}
	o.Forward(y, x[0], params)
	for _, l := range o.layers {
		l.accumulateStats()
	}
	return nil
}

var errStage = errors.New("stages are for the processor")

func (*stageOp) Launch(gpu.Ptr, []gpu.Ptr) error { return errStage }

func (o *stageOp) DiffWRT(n int) []bool { return op.AllDifferentiable(n) }

func (o *stageOp) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	dx, err := o.Apply(&stageGradOp{op.New(o.Name+" dx", []int{4, 4, 4}, in[0].Shape()...), o.Stage}, in[0], out, grad)
	if err != nil {
		return nil, err
	}
	grads := G.Nodes{dx}
	for _, l := range o.layers {
		g, err := unitGrads(&o.Base, l, dx, gpu.Grads{})
		if err != nil {
			return nil, err
		}
		grads = append(grads, g...)
	}
	return grads, nil
}

type stageGradOp struct {
	op.Base
	*nhwc.Stage
}

func (o *stageGradOp) Host(dx []float32, x [][]float32) error {
	o.Backward(dx, x[0], x[1], x[2])
	return nil
}

func (*stageGradOp) Launch(gpu.Ptr, []gpu.Ptr) error { return errStage }
