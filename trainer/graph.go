package trainer

import (
	"fmt"
	"math"
	"math/rand/v2"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
)

// A graph is a net, its heads and its loss for batches of one size, ready to
// run: write inputs and targets, call run, then let a solver step on params.
type graph struct {
	inputs  []float32 // (images*M, H+2B, W+2B, C) with B as net.border, views of an image next to each other
	targets []float32 // (images, N), one distribution a row
	params  []*param
	convs   []*convLayer
	heads   []headLayer

	features int  // F
	episodes bool // there are no heads: each episode makes its own

	g    *G.ExprGraph
	loss *G.Node
	vm   G.VM

	input, target *tensor.Dense // of inputs and targets
	there         *deviceGraph  // nil: all is on the processor
}

// A param is a trained tensor.
type param struct {
	node  *G.Node
	value []float32
}

// A headLayer is a linear classifier; export as in trainHead.
type headLayer struct {
	*linearOp
	weight *param
	bias   *param  // nil with a scale
	scale  float32 // of cosines; 0: a plain linear layer
	export string
}

// A graphSpec is what a graph is made from.
type graphSpec struct {
	net               net
	input             format.Input
	joint             sla.Joint // Views is 1 for a method without views
	images            int       // a batch
	method            method
	stageHeads        bool // joint heads behind every stage but the last, too
	sumViews          bool // the joint loss is a sum over the views
	temperature, beta float64
	balance           *balance   // nil: plain cross-entropy
	cosine            bool       // classifiers of classes see angles
	episode           Episode    // a batch is an episode; without one there are heads
	rng               *rand.Rand // for the initial weights
	device            *Device    // or nil
}

func newGraph(s graphSpec) (*graph, error) {
	if s.balance == nil {
		s.balance = &balance{}
	}
	b := &builder{graph: &graph{g: G.NewGraph()}, spec: s, rows: s.images * s.joint.Views}
	border := 2 * s.net.border()
	shape := tensor.Shape{b.rows, s.input.Height + border, s.input.Width + border, s.input.Channels}
	b.target = tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(s.images, s.joint.Classes))
	b.targets = floats(b.target)
	if s.device != nil {
		b.device = newDevice(s.device.gpu)
		b.device.copyOf(b.target)
		b.input = b.device.stand(shape, b.device.Floats(shape.TotalSize()))
	} else {
		b.input = tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(shape...))
		b.inputs = floats(b.input)
	}
	x := G.NewTensor(b.g, tensor.Float32, 4, G.WithShape(shape...), G.WithName("inputs"), G.WithValue(b.input))
	features := b.backbone(x)
	if s.episode != (Episode{}) {
		b.episodes = true
		b.loss = b.play(features[0])
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
	if b.device != nil {
		if b.there, err = newDeviceGraph(b.graph, b.device, grads); err != nil {
			return nil, err
		}
		b.vm = G.NewTapeMachine(b.g, G.WithEngine(engine{d: b.device}))
		return b.graph, nil
	}
	b.vm = G.NewTapeMachine(b.g, G.BindDualValues(nodes...))
	return b.graph, nil
}

// run computes the loss and the gradients of the params.
func (g *graph) run() (float64, error) {
	g.vm.Reset()
	if g.there != nil {
		if err := g.vm.RunAll(); err != nil {
			return 0, err
		}
		return g.there.loss()
	}
	for _, p := range g.params {
		// Gorgonia adds to the gradients of the run before; at first there are none.
		if grad, err := p.node.Grad(); err == nil && grad != nil {
			clear(floats(grad))
		}
	}
	if err := g.vm.RunAll(); err != nil {
		return 0, err
	}
	return float64(g.loss.Value().Data().(float32)), nil
}

// state lists what the net knows: params and running statistics.
func (g *graph) state() (state [][]float32) {
	for _, p := range g.params {
		state = append(state, p.value)
	}
	for _, c := range g.convs {
		state = append(state, c.running.mean, c.running.variance)
	}
	return state
}

func (g *graph) close() error { return g.vm.Close() }

// step lets a solver step on the params.
func (g *graph) step(s *sgd) error {
	if g.there != nil {
		return g.stepOnDevice(s)
	}
	var v []G.ValueGrad
	for _, p := range g.params {
		v = append(v, p.node)
	}
	return s.Step(v)
}

// A builder makes the nodes of a graph; the first error sticks.
type builder struct {
	*graph
	spec   graphSpec
	rows   int
	device *device // or nil
	err    error
}

func (b *builder) apply(o placer, inputs ...*G.Node) *G.Node {
	if b.err != nil {
		return nil
	}
	if b.device != nil {
		o.place(b.device)
	}
	n, err := G.ApplyOp(o, inputs...)
	if err != nil {
		b.err = fmt.Errorf("%v: %w", o, err)
	}
	return n
}

// param makes a trained tensor with initial values from init.
func (b *builder) param(name string, init func() float32, shape ...int) *param {
	t := tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(shape...))
	p := &param{value: t.Data().([]float32)}
	for i := range p.value {
		p.value[i] = init()
	}
	p.node = G.NewTensor(b.g, tensor.Float32, len(shape), G.WithShape(shape...), G.WithName(name), G.WithValue(t))
	b.params = append(b.params, p)
	if b.device != nil {
		b.device.copyOf(t)
	}
	return p
}

func constant(v float32) func() float32 { return func() float32 { return v } }

// play puts the head of an episode and its loss on the features.
func (b *builder) play(z *G.Node) *G.Node {
	if b.err != nil {
		return nil
	}
	b.features = z.Shape()[1]
	o, err := newEpisodeOp("episode", b.spec.episode, b.spec.joint.Views, b.features)
	if err != nil {
		b.err = err
		return nil
	}
	return b.apply(o, b.apply(newNormaliseOp("directions", b.rows, b.features, 1), z))
}

// objective puts the method's heads on the features of the last stage, and joint
// heads on those of the others (Yang et al. 2021, "Hierarchical Self-supervised
// Augmented Knowledge Distillation"), and adds up their losses.
func (b *builder) objective(features G.Nodes, targets *G.Node) *G.Node {
	var total, joint *G.Node
	add := func(loss *G.Node) {
		if total == nil || b.err != nil {
			total = loss
			return
		}
		var err error
		if total, err = G.Add(total, loss); err != nil {
			b.err = err
		}
	}
	z := features[len(features)-1]
	for i, h := range b.spec.method.heads {
		logits, loss := b.classify(fmt.Sprint("head", i+1), z, h, targets)
		if h.labels == jointLabels {
			joint = logits
		}
		add(loss)
	}
	if b.spec.method.distils {
		student := b.head("distilled", z, b.spec.joint.Classes, b.spec.joint.Views, b.spec.cosine, format.HeadDistilled)
		add(b.apply(newDistilOp("distillation", b.spec.joint, b.spec.images, b.spec.temperature, b.spec.beta, b.spec.balance), joint, student, targets))
	}
	for i, z := range features[:len(features)-1] {
		_, loss := b.classify(fmt.Sprint("stage head", i+1), z, trainHead{labels: jointLabels}, targets)
		add(loss)
	}
	return total
}

// classify puts a head and its loss on features.
func (b *builder) classify(name string, z *G.Node, h trainHead, targets *G.Node) (logits, loss *G.Node) {
	weight := 1
	if h.labels == jointLabels && b.spec.sumViews {
		weight = b.spec.joint.Views
	}
	o := newCrossEntropyOp(name+" loss", h.labels, b.spec.joint, b.rows, weight, b.spec.balance)
	logits = b.head(name, z, o.outputs(), 1, b.spec.cosine && h.labels != viewLabels, h.export)
	return logits, b.apply(o, logits, targets)
}

// head is a linear layer over every step-th row, with PyTorch's initial values, or
// ldamScale times the cosine between row and weight.
func (b *builder) head(name string, z *G.Node, outputs, step int, cosine bool, export string) *G.Node {
	if b.err != nil {
		return nil
	}
	features := z.Shape()[1]
	bound := 1 / math.Sqrt(float64(features))
	uniform := func() float32 { return float32((2*b.spec.rng.Float64() - 1) * bound) }
	h := headLayer{linearOp: newLinearOp(name, b.rows, features, outputs, step), export: export,
		weight: b.param(name+" weight", uniform, outputs, features)}
	weight := h.weight.node
	var bias *G.Node
	if cosine {
		h.scale = ldamScale
		z = b.apply(newNormaliseOp(name+" features", b.rows, features, ldamScale), z)
		weight = b.apply(newNormaliseOp(name+" directions", outputs, features, 1), weight)
		zeros := tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(outputs))
		bias = G.NewTensor(b.g, tensor.Float32, 1, G.WithShape(outputs), G.WithName(name+" no bias"), G.WithValue(zeros))
		if b.device != nil {
			b.device.copyOf(zeros)
		}
	} else {
		h.bias = b.param(name+" bias", uniform, outputs)
		bias = h.bias.node
	}
	b.heads = append(b.heads, h)
	return b.apply(h.linearOp, z, weight, bias)
}
