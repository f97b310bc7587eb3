package graph

import (
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
	lossOp
	kind labelKind
	sla.Joint
	rows, weight int
	balance      *Balance
}

func newCrossEntropyOp(name string, kind labelKind, joint sla.Joint, rows, weight int, b *Balance, targets []float32) *crossEntropyOp {
	if kind == viewLabels {
		b = &Balance{} // there are as many of every view
	}
	o := &crossEntropyOp{lossOp: lossOp{op: newOp(name, []int{2, 2}), targets: targets}, kind: kind, Joint: joint, rows: rows, weight: weight, balance: b}
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

// class is the class that output k is about.
func (o *crossEntropyOp) class(k int) int {
	if o.kind == jointLabels {
		k, _ = o.Split(k)
	}
	return k
}

func (o *crossEntropyOp) host(y []float32, x [][]float32) error {
	logits, targets, k := x[0], x[1], o.outputs()
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
	y[0] = float32(loss)
	return nil
}

func (o *crossEntropyOp) launch(_ gpu.Ptr, x []gpu.Ptr) error {
	scale := float64(o.weight) / (o.balance.total(o.targets, o.Classes) * float64(o.Views))
	gpu.Launch(o.dev.Device, &o.gpu.call, "cross_entropy", gpu.Each(o.rows), gpu.CrossEntropy{
		Logits: x[0], Targets: x[1], Grad: o.gpu.grad, Loss: o.gpu.rowLoss, Balance: o.gpuBalance(o.balance, scale),
		Rows: int32(o.rows), Outputs: int32(o.outputs()), Classes: int32(o.Classes), Views: int32(o.Views), Labels: int32(o.kind)})
	o.launchTotal(o.rows)
	return nil
}

func (o *crossEntropyOp) DiffWRT(int) []bool { return []bool{true, false} }

func (o *crossEntropyOp) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	d, err := o.logitsGrad(o.rows, in[0], out, grad)
	return G.Nodes{d, nil}, err
}
