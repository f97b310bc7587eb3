package evaluate

import (
	"context"
	"errors"
	"fmt"
	"image"
	"slices"
	"sync/atomic"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/internal/parallel"
)

// An Ensemble is models whose probabilities are averaged (the SLA paper's IE);
// mostly it is one model alone.
type Ensemble []*format.Model

// Modes lists the modes that all models have.
func (e Ensemble) Modes() (modes []string) {
	for _, mode := range e[0].Modes() {
		if !slices.ContainsFunc(e, func(m *format.Model) bool { return !slices.Contains(m.Modes(), mode) }) {
			modes = append(modes, mode)
		}
	}
	return modes
}

// Passes is the number of passes through a net that an image takes, at most.
func (e Ensemble) Passes(mode string) (n int) {
	for _, m := range e {
		n += m.Passes(mode)
	}
	return n
}

// classes finds out whether the models can be scored on a data set, and returns for each of
// them which of its classes each class of the data set is, by name.
func (e Ensemble) classes(d *dataset.Dataset) ([][]int, error) {
	var classes [][]int
	for _, m := range e {
		order, err := d.Order(m.Labels)
		if err != nil {
			return nil, err
		}
		inverse := make([]int, len(order))
		for k, y := range order {
			inverse[y] = k
		}
		classes = append(classes, inverse)
	}
	if len(e.Modes()) == 0 {
		return nil, errors.New("the slabs have no mode in common")
	}
	return classes, nil
}

// scorePrediction compares an answer, the mean of the results, with the truth; classes are
// the results' classes for those of the data set. Of one result the logits decide: they
// tell more than rounded probabilities.
func scorePrediction(results []*sla.Result, classes [][]int, truth int) Outcome {
	mean := make([]float64, len(results[0].Probabilities))
	passes := 0
	for i, r := range results {
		passes += r.Passes
		for y, k := range classes[i] {
			mean[y] += float64(r.Probabilities[k]) / float64(len(results))
		}
	}
	best := 0
	logit := func(y int) float32 { return results[0].Logits[classes[0][y]] }
	for k := range mean {
		if len(results) == 1 && logit(k) > logit(best) || len(results) > 1 && mean[k] > mean[best] {
			best = k
		}
	}
	return Outcome{mean[truth], mean[best], best, passes}
}

// Images are those that models are scored on.
type Images struct {
	Data  *dataset.Dataset
	Split *dataset.Split // of Data, or a part of one
	Name  string         // of the split, as scores have it
	Limit int            // the first so many images of the split alone; 0: all
}

// none is the error of a split without images.
func (images Images) none() error {
	return fmt.Errorf("the %s split of %s is empty", images.Name, images.Data.Name)
}

// Validation is the split of the images that a run holds out.
const Validation = "validation"

// HeldOutImages are the images of a data set that a run held out.
func HeldOutImages(d *dataset.Dataset, held *dataset.Split) Images {
	return Images{Data: d, Split: held, Name: Validation}
}

// TestImages are all test images of a data set.
func TestImages(d *dataset.Dataset) Images { return Images{Data: d, Split: &d.Test, Name: "test"} }

// Evaluate runs every mode of an ensemble on images, with the inference code that runs
// everywhere. Scores come in the order of Modes. progress, if not nil, is called after each
// image, from several goroutines.
func Evaluate(ctx context.Context, e Ensemble, images Images, progress func(done, of int)) ([]Score, error) {
	d, s := images.Data, images.Split
	classes, err := e.classes(d)
	if err != nil {
		return nil, err
	}
	n := s.Len()
	if images.Limit > 0 {
		n = min(n, images.Limit)
	}
	if n == 0 {
		return nil, images.none()
	}
	modes := e.Modes()
	classifiers := make([][]*sla.Classifier, parallel.Workers())
	for i := range classifiers {
		for _, m := range e {
			c, err := sla.New(m)
			if err != nil {
				return nil, err
			}
			classifiers[i] = append(classifiers[i], c)
		}
	}
	outcomes := make([][]Outcome, n) // per image and mode
	var failure atomic.Pointer[error]
	var done atomic.Int64
	parallel.For(n, func(worker, i int) {
		if ctx.Err() != nil || failure.Load() != nil {
			return
		}
		img := d.Image(s, i)
		err := loadImage(classifiers[worker], img)
		for _, name := range modes {
			var results []*sla.Result
			if err == nil {
				results, err = classify(classifiers[worker], name)
			}
			if err != nil {
				failure.Store(&err)
				return
			}
			outcomes[i] = append(outcomes[i], scorePrediction(results, classes, s.Labels[i]))
		}
		if progress != nil {
			progress(int(done.Add(1)), n)
		}
	})
	if err := failure.Load(); err != nil {
		return nil, *err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var scores []Score
	for k, name := range modes {
		of := make([]Outcome, n)
		for i := range of {
			of[i] = outcomes[i][k]
		}
		scores = append(scores, NewScore(name, images.Name, s, len(d.ClassNames), of))
	}
	return scores, nil
}

// EachImage calls f for every image of a split, on all processors, with a classifier
// that was given the image.
func EachImage(ctx context.Context, m *format.Model, d *dataset.Dataset, s *dataset.Split, f func(c *sla.Classifier, i int) error) error {
	classifiers := make([]*sla.Classifier, parallel.Workers())
	for i := range classifiers {
		var err error
		if classifiers[i], err = sla.New(m); err != nil {
			return err
		}
	}
	err := parallel.Try(s.Len(), func(worker, i int) error {
		if ctx.Err() != nil {
			return nil
		}
		c := classifiers[worker]
		if err := loadImage([]*sla.Classifier{c}, d.Image(s, i)); err != nil {
			return err
		}
		return f(c, i)
	})
	if err != nil {
		return err
	}
	return ctx.Err()
}

// run runs a mode on the image that a classifier was given. Answers that are not finite have no score.
func run(c *sla.Classifier, mode sla.Mode) (*sla.Result, error) {
	r, err := c.Run(mode)
	if err == nil {
		err = sla.CheckFinite(r.Logits)
	}
	return r, err
}

// loadImage hands classifiers an image.
func loadImage(classifiers []*sla.Classifier, img *image.NRGBA) error {
	for _, c := range classifiers {
		if err := c.Begin(img.Rect.Dx(), img.Rect.Dy()); err != nil {
			return err
		}
		if err := c.Rows(img.Pix); err != nil {
			return err
		}
	}
	return nil
}

// classify asks classifiers in a mode.
func classify(classifiers []*sla.Classifier, name string) ([]*sla.Result, error) {
	mode, err := sla.ParseMode(name)
	if err != nil {
		return nil, err
	}
	var results []*sla.Result
	for _, c := range classifiers {
		r, err := run(c, mode)
		if err != nil {
			return nil, err
		}
		results = append(results, r)
	}
	return results, nil
}
