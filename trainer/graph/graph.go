package graph

import (
	"math/rand/v2"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/batch"
	"github.com/quarterturn/quarterturn/trainer/fewshot"
	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
	"github.com/quarterturn/quarterturn/trainer/internal/op"
	"github.com/quarterturn/quarterturn/trainer/loss"
	"github.com/quarterturn/quarterturn/trainer/nets"
	"github.com/quarterturn/quarterturn/trainer/optim"
	"github.com/quarterturn/quarterturn/trainer/start"
)

// A Spec is what a Graph is made from.
type Spec struct {
	Net    nets.Net
	Input  format.Input
	Joint  sla.Joint // Views is 1 for a method without views
	Images int       // a batch

	Method      Method
	StageHeads  bool    // joint heads behind every stage but the last, too
	SumViews    bool    // the joint loss is a sum over the views, not their mean
	Temperature float64 // T of the distillation: T² KL(softmax(s/T) || softmax(u/T)) + Beta CE(u, y)
	Beta        float64
	Taught      bool          // the head of the classes learns from a teacher's logits s as well
	Balance     *loss.Balance // nil: plain cross-entropy
	Cosine      bool          // classifiers of classes see angles

	Episode fewshot.Episode // a batch is an episode; without one there are heads

	Whitening    *start.Whitening // of a fast net; nil: a random one
	NormMomentum float64          // of the running statistics: the share of the last batch; 0: PyTorch's 0.1

	Rng    *rand.Rand // for the initial weights
	Device *Device    // nil: the processor
}

// A Graph is a net, its heads and its loss for batches of one size.
type Graph struct {
	inputs   []float32 // (images*M, H+2B, W+2B, C), views of an image next to each other
	border   int       // B
	targets  []float32 // (images, N), one distribution a row
	teacher  []float32 // (images, N), a teacher's logits; nil without one
	params   []*param
	convs    []*convLayer
	unscaled []float32 // by channel, the features of the slab that was imported over those of the net; nil: 1
	heads    []headLayer

	features int  // F
	episodes bool // there are no heads: each episode makes its own

	g    *G.ExprGraph
	loss *G.Node
	vm   G.VM

	input, target, taught *tensor.Dense // of inputs, targets and teacher
	device                *deviceGraph  // nil: all is on the processor
}

// A param is a trained tensor.
type param struct {
	node  *G.Node
	value []float32
	rate  float32 // of learning, over the run's; 0: once
	role  optim.Role
}

func (p *param) tensor() *tensor.Dense { return p.node.Value().(*tensor.Dense) }

// optim is the param as a solver sees it.
func (p *param) optim(grad []float32) optim.Param {
	shape := p.node.Shape()
	return optim.Param{Value: p.value, Grad: grad, Dims: p.node.Dims(), Role: p.role, Rate: p.rate, Outputs: shape[len(shape)-1]}
}

// New builds the Graph of a Spec, with initial weights. Close frees it.
func New(s Spec) (*Graph, error) {
	if s.Balance == nil {
		s.Balance = &loss.Balance{}
	}
	b := &builder{Graph: &Graph{g: G.NewGraph(), border: (&nhwc.Conv{Kernel: s.Net.Stem.Kernel}).Border()}, spec: s, rows: s.Images * s.Joint.Views}
	shape := tensor.Shape{b.rows, s.Input.Height + 2*b.border, s.Input.Width + 2*b.border, s.Input.Channels}
	b.target = tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(s.Images, s.Joint.Classes))
	b.targets = op.Floats(b.target)
	if s.Device != nil {
		b.dev = op.NewMemory(s.Device.gpu)
		b.dev.Copy(b.target)
		b.input = b.dev.Placeholder(shape, b.dev.Floats(shape.TotalSize()))
	} else {
		b.input = tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(shape...))
		b.inputs = op.Floats(b.input)
	}
	x := G.NewTensor(b.g, tensor.Float32, 4, G.WithShape(shape...), G.WithName("inputs"), G.WithValue(b.input))
	features := b.backbone(x)
	if s.Episode != (fewshot.Episode{}) {
		b.episodes = true
		b.loss = b.episodeLoss(features[0])
	} else {
		y := G.NewTensor(b.g, tensor.Float32, 2, G.WithShape(b.target.Shape()...), G.WithName("targets"), G.WithValue(b.target))
		b.loss = b.objective(features, y)
	}
	if b.err != nil {
		return nil, b.err
	}
	var nodes G.Nodes
	for _, p := range b.params {
		nodes = append(nodes, p.node)
	}
	grads, err := G.Grad(b.loss, nodes...)
	if err != nil {
		return nil, err
	}
	if b.dev != nil {
		if b.device, err = newDeviceGraph(b.Graph, b.dev, grads); err != nil {
			return nil, err
		}
		b.vm = G.NewTapeMachine(b.g, G.WithEngine(op.Engine{Memory: b.dev}))
		return b.Graph, nil
	}
	b.vm = G.NewTapeMachine(b.g, G.BindDualValues(nodes...))
	return b.Graph, nil
}

// Load makes a batch the graph's, rendered as these views.
func (g *Graph) Load(v *batch.Views, b *batch.Batch) {
	copy(g.targets, b.Targets)
	copy(g.teacher, b.Teacher)
	if d := g.device; d != nil {
		d.render(d.Where(g.input), g.border, v, b)
		gpu.Upload(d.Device, d.Where(g.target), g.targets)
		if g.taught != nil {
			gpu.Upload(d.Device, d.Where(g.taught), g.teacher)
		}
		return
	}
	v.Render(g.inputs, g.border, b)
}

// Run computes the loss of the batch and the gradients of the params.
func (g *Graph) Run() (loss float64, err error) {
	g.vm.Reset()
	if g.device != nil {
		if err := g.vm.RunAll(); err != nil {
			return 0, err
		}
		return g.device.Loss()
	}
	for _, p := range g.params {
		// Gorgonia adds to the gradients of the run before; at first there are none.
		if grad, err := p.node.Grad(); err == nil && grad != nil {
			clear(op.Floats(grad))
		}
	}
	if err := g.vm.RunAll(); err != nil {
		return 0, err
	}
	return float64(g.loss.Value().Data().(float32)), nil
}

// Step lets a solver change the params by the gradients of the last Run.
func (g *Graph) Step(s *optim.SGD) error {
	if g.device != nil {
		return g.device.step(g.params, s)
	}
	var params []optim.Param
	for _, p := range g.params {
		grad, err := p.node.Grad()
		if err != nil {
			return err
		}
		params = append(params, p.optim(op.Floats(grad)))
	}
	s.Step(params)
	return nil
}

// State lists what the net knows, params and running statistics: the graph's own memory,
// which on a device Pull and Push exchange.
func (g *Graph) State() (state [][]float32) {
	for _, p := range g.params {
		state = append(state, p.value)
	}
	for _, c := range g.convs {
		s := c.state()
		state = append(state, s[:]...)
	}
	return state
}

// Close frees what the graph holds.
func (g *Graph) Close() error { return g.vm.Close() }
