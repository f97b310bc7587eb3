package trainer

import (
	"fmt"
	"math"

	G "gorgonia.org/gorgonia"

	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
)

// What the outputs of a head are labels of.
type labelKind int

const (
	classLabels labelKind = iota // y: the same for every view
	viewLabels                   // j, the transformation
	jointLabels                  // (y, j), class-major
)

// crossEntropyOp is the mean over the rows of a batch of the cross-entropy
// between logits (rows, K) and labels made of the targets (images, N), where a
// target is a distribution over the classes and row r is view r % M of image
// r / M. With jointLabels it is the SLA objective (SLA paper, eq. 3); with
// classLabels the baseline's and DA's; class and view labels together are MT's.
// A weight of M makes a sum over the views of it. A balance may weigh the images and
// change the loss of each.
type crossEntropyOp struct {
	op
	kind labelKind
	sla.Joint
	rows, weight int
	balance      *balance
	grad         []float32 // of the logits, for a loss gradient of 1
	lossDevice
}

func newCrossEntropyOp(name string, kind labelKind, joint sla.Joint, rows, weight int, b *balance) *crossEntropyOp {
	if kind == viewLabels {
		b = &balance{} // there are as many of every view
	}
	o := &crossEntropyOp{op: newOp(name, []int{2, 2}), kind: kind, Joint: joint, rows: rows, weight: weight, balance: b}
	o.grad = make([]float32, rows*o.outputs())
	return o
}

// outputs is the number of labels of the kind.
func (o *crossEntropyOp) outputs() int {
	switch o.kind {
	case viewLabels:
		return o.Views
	case jointLabels:
		return o.Size()
	}
	return o.Classes
}

// label is the probability that the label of a row gives output k.
func (o *crossEntropyOp) label(target []float32, row, k int) float64 {
	y, j := k, row%o.Views
	switch o.kind {
	case viewLabels:
		if k == j {
			return 1
		}
		return 0
	case jointLabels:
		var view int
		if y, view = o.Split(k); view != j {
			return 0
		}
	}
	return float64(target[y])
}

func (o *crossEntropyOp) Do(v ...G.Value) (G.Value, error) {
	if o.dev != nil {
		return o.launchLoss(v)
	}
	logits, targets, k := floats(v[0]), floats(v[1]), o.outputs()
	grad := make([]float64, k)
	total := o.balance.total(targets, o.Classes) * float64(o.Views)
	var loss float64
	for r := range o.rows {
		target := targets[r/o.Views*o.Classes:][:o.Classes]
		scale := float64(o.weight) * o.balance.weight(target) / total
		loss += scale * o.balance.loss(grad, logits[r*k:(r+1)*k], func(i int) float64 { return o.label(target, r, i) }, o.class)
		for i, g := range grad {
			o.grad[r*k+i] = float32(g * scale)
		}
	}
	return G.NewF32(float32(loss)), nil
}

// class is the class that output k is about.
func (o *crossEntropyOp) class(k int) int {
	if o.kind == jointLabels {
		k, _ = o.Split(k)
	}
	return k
}

func (o *crossEntropyOp) DiffWRT(int) []bool { return []bool{true, false} }

func (o *crossEntropyOp) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	d, err := o.lossGrad(o.grad, o.device(&o.op, len(o.grad), o.rows), in[0], out, grad)
	return G.Nodes{d, nil}, err
}

// softmax writes the softmax of logits/t to p and gives the logarithm of the
// sum of exp(logits/t).
func softmax[F float32 | float64](p []float64, logits []F, t float64) float64 {
	top := math.Inf(-1)
	for _, v := range logits {
		top = max(top, float64(v)/t)
	}
	var sum float64
	for i, v := range logits {
		p[i] = math.Exp(float64(v)/t - top)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return top + math.Log(sum)
}

// distilOp teaches the distilled head what aggregation says (SLA paper, eq. 5):
//
//	T² KL(softmax(s/T) || softmax(u/T)) + β CE(u, target)
//
// averaged over the images, with s the mean over the views of the joint head's
// conditional logits. Its inputs are the joint logits (images*M, N*M), u (images,
// N) and the targets (images, N). It is differentiable in u alone: the teacher
// is behind a stop-gradient.
type distilOp struct {
	op
	sla.Joint
	images            int
	temperature, beta float64
	balance           *balance // of the cross-entropy
	grad              []float32
	lossDevice
	teacher gpu.Ptr
}

func newDistilOp(name string, joint sla.Joint, images int, temperature, beta float64, b *balance) *distilOp {
	return &distilOp{op: newOp(name, []int{2, 2, 2}), Joint: joint, images: images, temperature: temperature, beta: beta, balance: b,
		grad: make([]float32, images*joint.Classes)}
}

func (o *distilOp) Do(v ...G.Value) (G.Value, error) {
	if o.dev != nil {
		return o.launchLoss(v)
	}
	logits, student, targets := floats(v[0]), floats(v[1]), floats(v[2])
	n, t := o.Classes, o.temperature
	s, teacher, soft, hard := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	total := o.balance.total(targets, n)
	var distillation, loss float64
	for b := range o.images {
		for i := range s {
			s[i] = 0
			for j := range o.Views {
				s[i] += float64(logits[(b*o.Views+j)*o.Size()+o.Index(i, j)])
			}
			s[i] /= float64(o.Views)
		}
		u := student[b*n : (b+1)*n]
		target := targets[b*n : (b+1)*n]
		scale := o.beta * o.balance.weight(target) / total
		loss += scale * o.balance.loss(hard, u, func(i int) float64 { return float64(target[i]) }, func(i int) int { return i })
		teacherSum, softSum := softmax(teacher, s, t), softmax(soft, u, t)
		for i := range u {
			distillation += t * t * teacher[i] * ((s[i]/t - teacherSum) - (float64(u[i])/t - softSum))
			o.grad[b*n+i] = float32(t*(soft[i]-teacher[i])/float64(o.images) + scale*hard[i])
		}
	}
	return G.NewF32(float32(distillation/float64(o.images) + loss)), nil
}

func (o *distilOp) DiffWRT(int) []bool { return []bool{false, true, false} }

func (o *distilOp) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	d, err := o.lossGrad(o.grad, o.device(&o.op, len(o.grad), o.images), in[1], out, grad)
	return G.Nodes{nil, d, nil}, err
}

// lossGrad makes the node of a gradient that the loss computed on its way, here or on the
// device.
func (o *op) lossGrad(here []float32, there gpu.Ptr, logits, out, grad *G.Node) (*G.Node, error) {
	d := &lossGradOp{newOp(o.name+" dx", []int{0, 0}, logits.Shape()...), here}
	if o.dev != nil {
		d.out = o.dev.stand(d.shape, there)
	}
	return o.apply(d, out, grad)
}

type lossGradOp struct {
	op
	unit []float32
}

func (o *lossGradOp) Do(v ...G.Value) (G.Value, error) {
	if o.dev != nil {
		return o.out, nil // losses are added up as they are: the gradient of each is 1
	}
	g, ok := v[1].Data().(float32)
	if !ok {
		return nil, fmt.Errorf("%s: the loss gradient is a %T", o.name, v[1].Data())
	}
	d := o.buffer()
	for i, u := range o.unit {
		d[i] = u * g
	}
	return o.out, nil
}
