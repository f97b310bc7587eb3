package evaluate

import (
	"fmt"
	"slices"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/internal/parallel"
)

// A Teacher says what a slab makes of the images of a batch, for a net that learns from
// its answers (Hinton et al. 2015, "Distilling the Knowledge in a Neural Network"). It
// answers in the aggregated mode if the slab has it, else in the one the slab recommends.
type Teacher struct {
	mode        sla.Mode
	classifiers []*sla.Classifier // one a worker
	data        *dataset.Dataset
	order       []int // the slab's output for each class of the data set
}

// NewTeacher makes a Teacher of a slab for the images of a data set. Classes are matched
// by name: the error is that of Dataset.Order.
func NewTeacher(m *format.Model, d *dataset.Dataset) (*Teacher, error) {
	t := &Teacher{data: d}
	name := m.Recommended
	if slices.Contains(m.Modes(), sla.Aggregated.String()) {
		name = sla.Aggregated.String()
	}
	var err error
	if t.mode, err = sla.ParseMode(name); err != nil {
		return nil, err
	}
	classes, err := Ensemble{m}.classes(d)
	if err != nil {
		return nil, fmt.Errorf("the teacher: %w", err)
	}
	t.order = classes[0]
	for range parallel.Workers() {
		c, err := sla.New(m)
		if err != nil {
			return nil, err
		}
		t.classifiers = append(t.classifiers, c)
	}
	return t, nil
}

// Logits writes the teacher's logits for images, (n, H, W, C) bytes, to dst, (n, N) in the
// order of the data set's classes.
func (t *Teacher) Logits(dst []float32, images []byte) error {
	d, n := t.data, len(t.order)
	batch := &dataset.Split{Pixels: images}
	return parallel.Try(len(images)/(d.Height*d.Width*d.Channels), func(worker, i int) error {
		c := t.classifiers[worker]
		if err := loadImage([]*sla.Classifier{c}, d.Image(batch, i)); err != nil {
			return err
		}
		r, err := run(c, t.mode)
		if err != nil {
			return err
		}
		for y, k := range t.order {
			dst[i*n+y] = r.Logits[k]
		}
		return nil
	})
}
