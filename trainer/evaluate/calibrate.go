package evaluate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/internal/rows"
)

// LeastForExits is how many images Calibrate wants.
const LeastForExits = 100

// CanExit tells whether a model can have the mode adaptive: one pass with the distilled head, and views of the joint one.
func CanExit(m *format.Model) bool {
	return m.HasHead(format.HeadJoint) && m.HasHead(format.HeadDistilled) && m.Views() > 1
}

// Calibrate returns a model with exits for the mode adaptive, fitted to all images of a
// split, which the model should not have been trained on, and what is otherwise m's. loss is the share
// of the images, such as 0.001, by which the mode's accuracy on them may fall short of
// full aggregation's; in a balanced split every class counts alike. The scores are those of
// every mode on the split.
//
// Of exit k < M the margin is the smallest with which at most a share ε of the images
// that have it get another answer than by full aggregation: one number ε, the largest
// with which the loss is kept. The temperature of an exit is that of the smallest
// negative log-likelihood on the images that take it (Guo et al. 2017).
func Calibrate(ctx context.Context, m *format.Model, images Images, loss float64) (*format.Model, []Score, error) {
	d, s := images.Data, images.Split
	if loss < 0 || loss >= 1 {
		return nil, nil, errors.New("the wanted loss must be at least 0 and below 1")
	}
	if !CanExit(m) {
		return nil, nil, errors.New("the mode adaptive needs a joint and a distilled head, and two views or more")
	}
	labels, err := slabLabels(m, images)
	if err != nil {
		return nil, nil, err
	}
	if s.Len() < LeastForExits {
		return nil, nil, fmt.Errorf("%d images are too few to fit the exits of the mode adaptive to; want %d or more", s.Len(), LeastForExits)
	}
	exits, err := exitLogits(ctx, m, d, s)
	if err != nil {
		return nil, nil, err
	}
	out := *m
	out.Exits = fitExits(exits, labels, imageWeights(s.Labels, s.Balanced), loss)
	scores, err := Evaluate(ctx, Ensemble{&out}, images, nil)
	if err != nil {
		return nil, nil, err
	}
	out.Metrics = slices.DeleteFunc(slices.Clone(m.Metrics), func(x format.Metric) bool { return x.Mode == format.ModeAdaptive })
	out.Metrics = append(out.Metrics, scores[len(scores)-1].Metric)
	return &out, scores, nil
}

// slabLabels returns the labels of images, of which there must be some, as a slab numbers its classes.
func slabLabels(m *format.Model, images Images) ([]int, error) {
	classes, err := Ensemble{m}.classes(images.Data)
	if err != nil {
		return nil, err
	}
	if images.Split.Len() == 0 {
		return nil, images.none()
	}
	labels := make([]int, images.Split.Len())
	for i, y := range images.Split.Labels {
		labels[i] = classes[0][y]
	}
	return labels, nil
}

// exitLogits returns, for each image, the logits of each exit: the distilled head's, then
// the means of the joint head's over two views, three, and so on.
func exitLogits(ctx context.Context, m *format.Model, d *dataset.Dataset, s *dataset.Split) ([][][]float32, error) {
	exits := make([][][]float32, s.Len())
	return exits, EachImage(ctx, m, d, s, func(c *sla.Classifier, i int) error {
		r, err := run(c, sla.Distilled)
		if err != nil {
			return err
		}
		exits[i] = append(exits[i], slices.Clone(r.Logits))
		if r, err = run(c, sla.Aggregated); err != nil {
			return err
		}
		n := len(r.Logits)
		for k := 2; k <= m.Views(); k++ {
			mean := make([]float32, n)
			sla.MeanOfViews(mean, r.Views[:k*n])
			exits[i] = append(exits[i], mean)
		}
		return nil
	})
}

// fitExits finds the exits; logits are (images, exits, classes), weights how much each image
// counts.
func fitExits(logits [][][]float32, labels []int, weights []float64, loss float64) []format.Exit {
	views := len(logits[0])
	right := func(taken []int) (n float64) {
		for i, k := range taken {
			if rows.Argmax(logits[i][k]) == labels[i] {
				n += weights[i]
			}
		}
		return n
	}
	full := make([]int, len(logits))
	for i := range full {
		full[i] = views - 1
	}
	wanted := right(full) - loss*float64(len(logits)) - 1e-9
	ranked := rankByMargin(logits)
	// From every image's answer after one pass to none before the last.
	var exits []format.Exit
	var taken []int
	for e := 1.0; ; e *= 0.97 {
		if e < 1e-5 {
			e = 0
		}
		exits = fitMargins(ranked, e)
		if taken = exitTaken(logits, exits); right(taken) >= wanted || e == 0 {
			break
		}
	}
	for k := range exits {
		var images [][]float32
		var truth []int
		for i, t := range taken {
			if t == k {
				images, truth = append(images, logits[i][k]), append(truth, labels[i])
			}
		}
		exits[k].Share = float64(len(images)) / float64(len(logits))
		if len(images) < 50 { // too few to tell a temperature: all that could have come here
			images, truth = nil, labels
			for i := range logits {
				images = append(images, logits[i][k])
			}
		}
		exits[k].Temperature = temperature(images, truth, nil)
	}
	return exits
}

// An exitMargin is how sure an exit is of an image, and whether the last exit's answer differs.
type exitMargin struct {
	margin  float32
	differs bool
}

// rankByMargin returns the margins of the images at each exit but the last, the surest first.
func rankByMargin(logits [][][]float32) [][]exitMargin {
	last := len(logits[0]) - 1
	ranked := make([][]exitMargin, last)
	for k := range ranked {
		for _, l := range logits {
			ranked[k] = append(ranked[k], exitMargin{sla.Margin(l[k]), rows.Argmax(l[k]) != rows.Argmax(l[last])})
		}
		slices.SortFunc(ranked[k], func(a, b exitMargin) int { return cmp.Compare(b.margin, a.margin) })
	}
	return ranked
}

// fitMargins returns the smallest margins with which at most a share e of the images beyond
// them get another answer than at the last exit.
func fitMargins(ranked [][]exitMargin, e float64) []format.Exit {
	exits := make([]format.Exit, len(ranked)+1)
	for k, images := range ranked {
		exits[k].Margin = math.Nextafter32(images[0].margin, math.MaxFloat32) // which none has
		differ := 0
		for n, x := range images {
			if x.differs {
				differ++
			}
			last := n+1 == len(images) || images[n+1].margin < x.margin
			if last && float64(differ) <= e*float64(n+1) {
				exits[k].Margin = x.margin
			}
		}
	}
	return exits
}

// exitTaken returns the exit, from 0, that each image takes.
func exitTaken(logits [][][]float32, exits []format.Exit) []int {
	taken := make([]int, len(logits))
	for i, l := range logits {
		for !sla.TakesExit(exits, taken[i], l[taken[i]]) {
			taken[i]++
		}
	}
	return taken
}
