package graph

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
	"github.com/quarterturn/quarterturn/trainer/internal/op"
	"github.com/quarterturn/quarterturn/trainer/loss"
)

// testLayer is a unit as an Op wants it; its params are the inputs of a test.
func testLayer(name string, u *nhwc.Unit) *convLayer {
	b := builder{Graph: &Graph{g: G.NewGraph()}, spec: Spec{Rng: rand.New(rand.NewPCG(1, 1))}}
	return b.conv(&format.Layer{Name: name}, u)
}

// dotOp is a test's loss: the dot product of its input with fixed weights.
type dotOp struct {
	op.Base
	weights []float32
}

func (o *dotOp) Host(y []float32, x [][]float32) error {
	var sum float64
	for i, v := range x[0] {
		sum += float64(v) * float64(o.weights[i])
	}
	y[0] = float32(sum)
	return nil
}

func (*dotOp) Launch(gpu.Ptr, []gpu.Ptr) error { return nil }

func (o *dotOp) DiffWRT(int) []bool { return []bool{true} }

func (o *dotOp) SymDiff(in G.Nodes, _, grad *G.Node) (G.Nodes, error) {
	d, err := o.Apply(&dotGradOp{op.New("dot dx", []int{0}, in[0].Shape()...), o.weights}, grad)
	return G.Nodes{d}, err
}

type dotGradOp struct {
	op.Base
	weights []float32
}

func (o *dotGradOp) Host(dx []float32, x [][]float32) error {
	for i, w := range o.weights {
		dx[i] = w * x[0][0]
	}
	return nil
}

func (*dotGradOp) Launch(gpu.Ptr, []gpu.Ptr) error { return nil }

// The gradient of every Op with respect to every input, by central differences.
func TestGradientOfEveryOp(t *testing.T) {
	joint := sla.Joint{Classes: 3, Views: 2}
	conv := func(kernel int, relu, images, residual bool) op.Op {
		n := nhwc.NewLayer(nhwc.Conv{Images: 2, Height: 3, Width: 4, In: 8, Out: 8, Kernel: kernel, Stride: 1}, relu, &nhwc.Buffers{})
		return newConvOp(testLayer("conv", &n.Unit), n, images, residual)
	}
	// stage returns a chain of blocks, and the shapes of its inputs.
	stage := func(blocks, out, stride int, project bool) (op.Op, [][]int) {
		c := nhwc.Conv{Images: 2, Height: 3, Width: 4, In: 8, Out: out, Kernel: 3, Stride: stride}
		chain := []*nhwc.Block{nhwc.NewBlock(c, project)}
		for range blocks - 1 {
			c.Height, c.Width, c.In, c.Stride = c.OutHeight(), c.OutWidth(), c.Out, 1
			chain = append(chain, nhwc.NewBlock(c, project))
		}
		s := nhwc.NewStage(chain, &nhwc.Buffers{})
		var layers []*convLayer
		shapes := [][]int{{2, 5, 6, 8}}
		for i, u := range s.Units() {
			layers = append(layers, testLayer(fmt.Sprint("unit", i), u))
			shapes = append(shapes, []int{u.Kernel, u.Kernel, u.In, u.Out}, []int{u.Out}, []int{u.Out})
		}
		return newStageOp("stage", s, layers), shapes
	}
	// group returns a group of a fast net.
	group := func() (op.Op, [][]int) {
		o := &chainOp{dx: true}
		shapes := [][]int{{2, 5, 6, 8}}
		height, width, in := 3, 4, 8
		for i, out := range []int{16, 8} {
			l := nhwc.NewLink(nhwc.Conv{Images: 2, Height: height, Width: width, In: in, Out: out, Kernel: 3, Stride: 1}, i == 1)
			o.links, o.layers = append(o.links, l), append(o.layers, testLayer(fmt.Sprint("link", i), &l.Unit))
			height, width, in = l.OutputHeight(), l.OutputWidth(), out
			shapes = append(shapes, []int{3, 3, l.In, l.Out}, []int{l.Out})
		}
		o.init("group", &nhwc.Buffers{})
		return o, shapes
	}
	image := []int{2, 5, 6, 8}
	type testCase struct {
		op     op.Op
		shapes [][]int
		fixed  int // so many of the last inputs get no gradient; -1: the first gets none
	}
	cases := map[string]testCase{
		"stem":           {conv(3, true, true, false), [][]int{image, {3, 3, 8, 8}, {8}, {8}}, -1},
		"conv":           {conv(3, true, false, false), [][]int{image, {3, 3, 8, 8}, {8}, {8}}, 0},
		"shortcut":       {conv(1, false, false, false), [][]int{image, {1, 1, 8, 8}, {8}, {8}}, 0},
		"residual":       {conv(3, true, false, true), [][]int{image, {3, 3, 8, 8}, {8}, {8}, image}, 0},
		"pixels":         {newShortcutOp("pixels", gpu.NewMap(2, 3, 4, 8), gpu.NewMap(2, 2, 2, 16), 2), [][]int{image}, 0},
		"max pooling":    {newPoolOp("pool", 2, 3, 4, 8), [][]int{image}, 0},
		"mean":           {newMeanOp("mean", 2, 3, 4, 8), [][]int{image}, 0},
		"linear":         {newLinearOp("linear", 4, 5, 3, 1), [][]int{{4, 5}, {3, 5}, {3}}, 0},
		"linear, step 2": {newLinearOp("linear", 4, 5, 3, 2), [][]int{{4, 5}, {3, 5}, {3}}, 0},
		"normalise":      {newNormalizeOp("normalise", 4, 5, 3), [][]int{{4, 5}}, 0},
		"focal loss":     {loss.NewCrossEntropy("ce", loss.JointLabels, joint, 4, 1, &loss.Balance{Gamma: 2}, nil), [][]int{{4, 6}, {2, 3}}, 1},
		"margins":        {loss.NewCrossEntropy("ce", loss.JointLabels, joint, 4, 1, &loss.Balance{Margins: []float64{1, 2, 3}, Weights: []float64{1, .5, 1.5}, On: true}, nil), [][]int{{4, 6}, {2, 3}}, 1},
		"class labels":   {loss.NewCrossEntropy("ce", loss.ClassLabels, joint, 4, 1, &loss.Balance{}, nil), [][]int{{4, 3}, {2, 3}}, 1},
		"view labels":    {loss.NewCrossEntropy("ce", loss.ViewLabels, joint, 4, 1, &loss.Balance{}, nil), [][]int{{4, 2}, {2, 3}}, 1},
		"joint labels":   {loss.NewCrossEntropy("ce", loss.JointLabels, joint, 4, 1, &loss.Balance{}, nil), [][]int{{4, 6}, {2, 3}}, 1},
	}
	for _, s := range []struct {
		blocks, out, stride int
		project             bool
	}{{1, 8, 1, false}, {1, 16, 1, false}, {1, 16, 2, false}, {1, 16, 2, true}, {1, 16, 1, true}, {3, 8, 1, false}, {2, 16, 2, true}} {
		o, shapes := stage(s.blocks, s.out, s.stride, s.project)
		cases[fmt.Sprintf("stage %+v", s)] = testCase{o, shapes, 0}
	}
	o, shapes := group()
	cases["group of a fast net"] = testCase{o, shapes, 0}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(9, 13))
			g := G.NewGraph()
			var nodes, wanted G.Nodes
			var values [][]float32
			for i, shape := range c.shapes {
				v := tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(shape...))
				f := op.Floats(v)
				for k := range f {
					if f[k] = float32(rng.NormFloat64()); name == "max pooling" {
						f[k] = float32(k*7%len(f)) / 64 // not negative, and no two the same
					}
				}
				if len(shape) == 4 && shape[1] == 5 {
					clearBorder(f, shape)
				}
				if i >= len(c.shapes)-c.fixed { // targets: rows of three that add up to 1
					for k := range f {
						f[k] = []float32{0.5, 0.125, 0.375}[k%3]
					}
				}
				n := G.NewTensor(g, tensor.Float32, len(shape), G.WithShape(shape...), G.WithName(fmt.Sprint("input ", i)), G.WithValue(v))
				nodes, values = append(nodes, n), append(values, f)
			}
			if wanted = nodes[:len(nodes)-max(0, c.fixed)]; c.fixed < 0 {
				wanted = nodes[1:]
			}
			out, err := op.Apply(nil, c.op, nodes...)
			if err != nil {
				t.Fatal(err)
			}
			sum := out
			if out.Dims() > 0 {
				weights := make([]float32, out.Shape().TotalSize())
				for k := range weights {
					weights[k] = float32(rng.NormFloat64())
				}
				if out.Dims() == 4 {
					clearBorder(weights, out.Shape())
				}
				if sum, err = op.Apply(nil, &dotOp{op.New("dot", []int{out.Dims()}), weights}, out); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := G.Grad(sum, wanted...); err != nil {
				t.Fatal(err)
			}
			vm := G.NewTapeMachine(g, G.BindDualValues(wanted...))
			defer vm.Close()
			run := func() float64 {
				vm.Reset()
				if err := vm.RunAll(); err != nil {
					t.Fatal(err)
				}
				return float64(sum.Value().Data().(float32))
			}
			run()
			var grads [][]float32
			for _, n := range wanted {
				d, err := n.Grad()
				if err != nil {
					t.Fatal(err)
				}
				grads = append(grads, append([]float32(nil), op.Floats(d)...))
			}
			for i, grad := range grads {
				i += max(0, -c.fixed)
				for range 40 {
					k := rng.IntN(len(grad))
					if len(c.shapes[i]) == 4 && c.shapes[i][1] == 5 && !inside(k, c.shapes[i]) {
						continue // the border belongs to nobody
					}
					const h = 1e-3 // small, for few outputs to come near the kink of a ReLU
					start := values[i][k]
					values[i][k] = start + h
					up := run()
					values[i][k] = start - h
					down := run()
					values[i][k] = start
					if slope := (up - down) / (2 * h); math.Abs(slope-float64(grad[k])) > 2e-2*(1+math.Abs(slope)) {
						t.Errorf("input %d, element %d: the slope is %v, the gradient %v", i, k, slope, grad[k])
					}
				}
			}
		})
	}
}

func inside(k int, shape []int) bool {
	y, x := k/(shape[3]*shape[2])%shape[1], k/shape[3]%shape[2]
	return y > 0 && y < shape[1]-1 && x > 0 && x < shape[2]-1
}

func clearBorder(f []float32, shape []int) {
	for k := range f {
		if !inside(k, shape) {
			f[k] = 0
		}
	}
}
