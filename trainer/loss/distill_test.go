package loss

import (
	"math"
	"testing"

	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/sla"
)

// The gradient of the distillation: in the student by central differences; in
// the teacher it is stopped.
func TestDistillation(t *testing.T) {
	joint := sla.Joint{Classes: 3, Views: 4}
	const images = 2
	o := NewDistillation("distil", joint, images, 1.5, 0.7, &Balance{On: true, Weights: []float64{0.5, 1, 1.5}, Margins: []float64{0.1, 0.2, 0.3}}, nil)
	teacher, student := formattest.LCG(5, images*4*12), formattest.LCG(6, images*3)
	targets := []float32{0, 1, 0, 0.5, 0.25, 0.25}
	value := func() float64 {
		y := make([]float32, 1)
		if err := o.Host(y, [][]float32{teacher, student, targets}); err != nil {
			t.Fatal(err)
		}
		return float64(y[0])
	}
	value()
	grad := append([]float32(nil), o.grad...)
	for k := range student {
		const h = 5e-3
		start := student[k]
		student[k] = start + h
		up := value()
		student[k] = start - h
		down := value()
		student[k] = start
		if slope := (up - down) / (2 * h); math.Abs(slope-float64(grad[k])) > 1e-3 {
			t.Errorf("student %d: the slope is %v, the gradient %v", k, slope, grad[k])
		}
	}
	if d := o.DiffWRT(3); d[0] || !d[1] {
		t.Errorf("differentiable in %v; the teacher must be stopped", d)
	}
}
