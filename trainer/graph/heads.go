package graph

import (
	"fmt"
	"math"
	"slices"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/internal/op"
	"github.com/quarterturn/quarterturn/trainer/loss"
	"github.com/quarterturn/quarterturn/trainer/optim"
)

// A headLayer is a linear classifier; export as in trainHead.
type headLayer struct {
	*linearOp
	weight *param
	bias   *param  // nil: none
	scale  float32 // of cosines; 0: a plain linear layer
	labels loss.Labels
	stage  bool // behind another stage than the last
	export string
}

// A builder makes the nodes of a graph; the first error sticks.
type builder struct {
	*Graph
	spec Spec
	rows int
	dev  *op.Memory // nil: the processor
	err  error
}

func (b *builder) apply(o op.Op, inputs ...*G.Node) *G.Node {
	if b.err != nil {
		return nil
	}
	var n *G.Node
	n, b.err = op.Apply(b.dev, o, inputs...)
	return n
}

// param makes a trained tensor with initial values from init.
func (b *builder) param(name string, init func() float32, shape ...int) *param {
	t := tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(shape...))
	p := &param{value: op.Floats(t)}
	for i := range p.value {
		p.value[i] = init()
	}
	p.node = G.NewTensor(b.g, tensor.Float32, len(shape), G.WithShape(shape...), G.WithName(name), G.WithValue(t))
	b.params = append(b.params, p)
	if b.dev != nil {
		b.dev.Copy(t)
	}
	return p
}

// constant makes a tensor that is not trained, with these values.
func (b *builder) constant(name string, values []float32, shape ...int) *param {
	t := tensor.New(tensor.WithShape(shape...), tensor.WithBacking(slices.Clone(values)))
	if b.dev != nil {
		b.dev.Copy(t)
	}
	return &param{value: op.Floats(t), node: G.NewTensor(b.g, tensor.Float32, len(shape), G.WithShape(shape...), G.WithName(name), G.WithValue(t))}
}

func constant(v float32) func() float32 { return func() float32 { return v } }

// episodeLoss puts the head of an episode and its loss on the features.
func (b *builder) episodeLoss(z *G.Node) *G.Node {
	if b.err != nil {
		return nil
	}
	b.features = z.Shape()[1]
	unit := b.apply(newNormalizeOp("unit features", b.rows, b.features, 1), z)
	return b.apply(loss.NewEpisode("episode", b.spec.Episode, b.spec.Joint.Views, b.features), unit)
}

// objective puts the method's heads on the features of the last stage, and joint
// heads on those of the others (Yang et al. 2021, "Hierarchical Self-supervised
// Augmented Knowledge Distillation"), and adds up their losses.
func (b *builder) objective(features G.Nodes, targets *G.Node) *G.Node {
	var total, joint *G.Node
	add := func(term *G.Node) {
		if total == nil || b.err != nil {
			total = term
			return
		}
		var err error
		if total, err = G.Add(total, term); err != nil {
			b.err = err
		}
	}
	z := features[len(features)-1]
	if b.spec.Taught {
		return b.taughtLoss(z, targets)
	}
	for i, h := range b.spec.Method.heads {
		logits, term := b.classify(fmt.Sprint("head", i+1), z, h, targets)
		if h.labels == loss.JointLabels {
			joint = logits
		}
		add(term)
	}
	if b.spec.Method.distils {
		student := b.head("distilled", z, b.spec.Joint.Classes, b.spec.Joint.Views, b.spec.Cosine, format.HeadDistilled)
		add(b.apply(loss.NewDistillation("distillation", b.spec.Joint, b.spec.Images, b.spec.Temperature, b.spec.Beta, b.spec.Balance, b.targets), joint, student, targets))
	}
	for i, z := range features[:len(features)-1] {
		_, term := b.classify(fmt.Sprint("stage head", i+1), z, trainHead{labels: loss.JointLabels}, targets)
		if b.err == nil {
			b.heads[len(b.heads)-1].stage = true
		}
		add(term)
	}
	return total
}

// taughtLoss puts the head of the classes on features, taught by labels and by the logits of
// a net that was trained before (Hinton et al. 2015): the loss of the distilled head, with
// that net's answers in the place of the joint head's.
func (b *builder) taughtLoss(z, targets *G.Node) *G.Node {
	images, classes := b.spec.Images, b.spec.Joint.Classes
	b.taught = tensor.New(tensor.Of(tensor.Float32), tensor.WithShape(images, classes))
	b.teacher = op.Floats(b.taught)
	if b.dev != nil {
		b.dev.Copy(b.taught)
	}
	teacher := G.NewTensor(b.g, tensor.Float32, 2, G.WithShape(images, classes), G.WithName("teacher"), G.WithValue(b.taught))
	student := b.head("head1", z, classes, 1, b.spec.Cosine, format.HeadClass)
	answers := sla.Joint{Classes: classes, Views: 1} // the teacher's are one row an image
	return b.apply(loss.NewDistillation("distillation", answers, images, b.spec.Temperature, b.spec.Beta, b.spec.Balance, b.targets), teacher, student, targets)
}

// classify puts a head and its loss on features.
func (b *builder) classify(name string, z *G.Node, h trainHead, targets *G.Node) (logits, term *G.Node) {
	weight := 1
	if h.labels == loss.JointLabels && b.spec.SumViews {
		weight = b.spec.Joint.Views
	}
	o := loss.NewCrossEntropy(name+" loss", h.labels, b.spec.Joint, b.rows, weight, b.spec.Balance, b.targets)
	logits = b.head(name, z, o.Outputs(), 1, b.spec.Cosine && h.labels != loss.ViewLabels, h.export)
	if b.err == nil {
		b.heads[len(b.heads)-1].labels = h.labels
	}
	return logits, b.apply(o, logits, targets)
}

// head is a linear layer over every stride-th row, with PyTorch's initial values, or
// loss.CosineScale times the cosine between row and weight.
func (b *builder) head(name string, z *G.Node, outputs, stride int, cosine bool, export string) *G.Node {
	if b.err != nil {
		return nil
	}
	features := z.Shape()[1]
	bound := 1 / math.Sqrt(float64(features))
	if b.spec.Net.IsFast() {
		bound = math.Sqrt(3) / float64(features)
	}
	uniform := func() float32 { return float32((2*b.spec.Rng.Float64() - 1) * bound) }
	h := headLayer{linearOp: newLinearOp(name, b.rows, features, outputs, stride), export: export,
		weight: b.param(name+" weight", uniform, outputs, features)}
	h.weight.role = optim.Head
	weight := h.weight.node
	var bias *G.Node
	if cosine {
		h.scale = loss.CosineScale
		z = b.apply(newNormalizeOp(name+" features", b.rows, features, loss.CosineScale), z)
		weight = b.apply(newNormalizeOp(name+" directions", outputs, features, 1), weight)
	}
	if cosine || b.spec.Net.IsFast() {
		bias = b.constant(name+" no bias", make([]float32, outputs), outputs).node
	} else {
		h.bias = b.param(name+" bias", uniform, outputs)
		h.bias.role = optim.Bias
		bias = h.bias.node
	}
	b.heads = append(b.heads, h)
	return b.apply(h.linearOp, z, weight, bias)
}
