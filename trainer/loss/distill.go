package loss

import (
	G "gorgonia.org/gorgonia"

	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
	"github.com/quarterturn/quarterturn/trainer/internal/op"
	"github.com/quarterturn/quarterturn/trainer/internal/rows"
)

// A Distillation teaches the distilled head what aggregation says (SLA paper, eq. 5):
//
//	T² KL(softmax(s/T) || softmax(u/T)) + β CE(u, target)
//
// averaged over the images, with s the mean over the views of the joint head's
// conditional logits. Its inputs are the joint logits (images*M, N*M), u (images,
// N) and the targets (images, N). It is differentiable in u alone: the teacher
// is behind a stop-gradient.
type Distillation struct {
	lossOp
	sla.Joint
	images            int
	temperature, beta float64
	balance           *Balance // of the cross-entropy
	teacher           gpu.Ptr
}

// NewDistillation makes the Op of a Distillation of batches of so many images with these targets.
func NewDistillation(name string, joint sla.Joint, images int, temperature, beta float64, b *Balance, targets []float32) *Distillation {
	return &Distillation{lossOp: lossOp{Base: op.New(name, []int{2, 2, 2}), targets: targets, grad: make([]float32, images*joint.Classes)},
		Joint: joint, images: images, temperature: temperature, beta: beta, balance: b}
}

func (o *Distillation) Host(y []float32, x [][]float32) error {
	logits, student, targets := x[0], x[1], x[2]
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
		teacherSum, softSum := rows.Softmax(teacher, s, t), rows.Softmax(soft, u, t)
		for i := range u {
			distillation += t * t * teacher[i] * ((s[i]/t - teacherSum) - (float64(u[i])/t - softSum))
			o.grad[b*n+i] = float32(t*(soft[i]-teacher[i])/float64(o.images) + scale*hard[i])
		}
	}
	y[0] = float32(distillation/float64(o.images) + loss)
	return nil
}

func (o *Distillation) Launch(_ gpu.Ptr, x []gpu.Ptr) error {
	if o.teacher == 0 {
		o.teacher = o.Dev.Floats(o.images * o.Classes)
	}
	scale := o.beta / o.balance.total(o.targets, o.Classes)
	gpu.Launch(o.Dev.Device, &o.gpu.call, "distil", gpu.Each(o.images), gpu.Distil{
		Logits: x[0], Student: x[1], Targets: x[2], Grad: o.gpu.grad, Loss: o.gpu.rowLoss, Teacher: o.teacher,
		Balance: o.gpuBalance(o.balance, scale),
		Images:  int32(o.images), Classes: int32(o.Classes), Views: int32(o.Views), Temperature: float32(o.temperature)})
	o.launchTotal(o.images)
	return nil
}

func (o *Distillation) DiffWRT(int) []bool { return []bool{false, true, false} }

func (o *Distillation) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	d, err := o.logitsGrad(o.images, in[1], out, grad)
	return G.Nodes{nil, d, nil}, err
}
