package loss

import (
	G "gorgonia.org/gorgonia"

	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
	"github.com/quarterturn/quarterturn/trainer/internal/op"
)

// Labels are what the outputs of a head are labels of.
type Labels int

// The kinds of labels.
const (
	ClassLabels Labels = iota // y: the same for every view
	ViewLabels                // j, the transformation
	JointLabels               // (y, j), class-major
)

// A CrossEntropy is the mean over the rows of a batch of the cross-entropy
// between logits (rows, K) and labels made of the targets (images, N), where a
// target is a distribution over the classes and row r is view r % M of image
// r / M. With JointLabels it is the SLA objective (SLA paper, eq. 3); with
// ClassLabels the baseline's and DA's; class and view labels together are MT's.
// A weight of M makes a sum over the views of it. A balance may weigh the images and
// change the loss of each.
type CrossEntropy struct {
	lossOp
	labels Labels
	sla.Joint
	rows, weight int
	balance      *Balance
}

// NewCrossEntropy makes the Op of a CrossEntropy of a head with such labels, for batches of
// so many rows with these targets.
func NewCrossEntropy(name string, labels Labels, joint sla.Joint, rows, weight int, b *Balance, targets []float32) *CrossEntropy {
	if labels == ViewLabels {
		b = &Balance{} // there are as many of every view
	}
	o := &CrossEntropy{lossOp: lossOp{Base: op.New(name, []int{2, 2}), targets: targets}, labels: labels, Joint: joint, rows: rows, weight: weight, balance: b}
	o.grad = make([]float32, rows*o.Outputs())
	return o
}

// Outputs is the number of labels of the kind: K.
func (o *CrossEntropy) Outputs() int {
	switch o.labels {
	case ViewLabels:
		return o.Views
	case JointLabels:
		return o.Size()
	}
	return o.Classes
}

// label is the probability that the label of a row is output k.
func (o *CrossEntropy) label(target []float32, row, k int) float64 {
	y, j := k, row%o.Views
	switch o.labels {
	case ViewLabels:
		if k == j {
			return 1
		}
		return 0
	case JointLabels:
		var view int
		if y, view = o.Split(k); view != j {
			return 0
		}
	}
	return float64(target[y])
}

// class is the class that output k is about.
func (o *CrossEntropy) class(k int) int {
	if o.labels == JointLabels {
		k, _ = o.Split(k)
	}
	return k
}

func (o *CrossEntropy) Host(y []float32, x [][]float32) error {
	logits, targets, k := x[0], x[1], o.Outputs()
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

func (o *CrossEntropy) Launch(_ gpu.Ptr, x []gpu.Ptr) error {
	scale := float64(o.weight) / (o.balance.total(o.targets, o.Classes) * float64(o.Views))
	gpu.Launch(o.Dev.Device, &o.gpu.call, "cross_entropy", gpu.Each(o.rows), gpu.CrossEntropy{
		Logits: x[0], Targets: x[1], Grad: o.gpu.grad, Loss: o.gpu.rowLoss, Balance: o.gpuBalance(o.balance, scale),
		Rows: int32(o.rows), Outputs: int32(o.Outputs()), Classes: int32(o.Classes), Views: int32(o.Views), Labels: int32(o.labels)})
	o.launchTotal(o.rows)
	return nil
}

func (o *CrossEntropy) DiffWRT(int) []bool { return []bool{true, false} }

func (o *CrossEntropy) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	d, err := o.logitsGrad(o.rows, in[0], out, grad)
	return G.Nodes{d, nil}, err
}
