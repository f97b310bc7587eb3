package evaluate

import (
	"context"
	"math"
	"slices"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/internal/rows"
)

// Temper returns a model whose modes, but for adaptive, have the temperatures that are best on
// images, which it should not have been trained on, so that its probabilities are as often right as they say
// (temperature scaling, Guo et al. 2017). What else the model is stays, but for the scores on this
// split of theirs, which are those with the temperatures; in a balanced split every class counts alike.
//
// A temperature T, like those of exits, minimises the sum of the negative log-likelihood over the images and (ln T)², a
// prior around 1, since the images may be few.
func Temper(ctx context.Context, m *format.Model, images Images) (*format.Model, []Score, error) {
	d, s := images.Data, images.Split
	truth, err := slabLabels(m, images)
	if err != nil {
		return nil, nil, err
	}
	var modes []string
	for _, mode := range m.Modes() {
		if mode != format.ModeAdaptive {
			modes = append(modes, mode)
		}
	}
	logits := make([][][]float32, len(modes)) // by mode and image
	for k := range logits {
		logits[k] = make([][]float32, s.Len())
	}
	err = EachImage(ctx, m, d, s, func(c *sla.Classifier, i int) error {
		for k, name := range modes {
			results, err := classify([]*sla.Classifier{c}, name)
			if err != nil {
				return err
			}
			logits[k][i] = slices.Clone(results[0].Logits)
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	weights := imageWeights(s.Labels, s.Balanced)
	out := *m
	out.Metrics = nil // the scores come with the temperatures
	for k, mode := range modes {
		out.Metrics = append(out.Metrics, format.Metric{Mode: mode, Split: images.Name, Temperature: temperature(logits[k], truth, weights)})
	}
	scores, err := Evaluate(ctx, Ensemble{&out}, images, nil)
	if err != nil {
		return nil, nil, err
	}
	for i := range scores {
		if k := slices.Index(modes, scores[i].Mode); k >= 0 {
			scores[i].Temperature = out.Metrics[k].Temperature
		}
	}
	out.Metrics = nil
	replaced := map[string]bool{}
	for _, x := range m.Metrics {
		x.Temperature = 0 // one on other images gives way
		for _, s := range scores {
			if s.Mode == x.Mode && s.Split == x.Split {
				x, replaced[s.Mode] = s.Metric, true
			}
		}
		out.Metrics = append(out.Metrics, x)
	}
	for _, s := range scores {
		if !replaced[s.Mode] {
			out.Metrics = append(out.Metrics, s.Metric)
		}
	}
	return &out, scores, nil
}

// temperature is that with the smallest negative log-likelihood, and the prior; weights are how
// much images count, nil: all alike.
func temperature(logits [][]float32, truth []int, weights []float64) float32 {
	p := make([]float64, len(logits[0]))
	loss := func(logT float64) float64 {
		t := math.Exp(logT)
		sum := logT * logT
		for i, l := range logits {
			nll := rows.Softmax(p, l, t) - float64(l[truth[i]])/t
			if weights != nil {
				nll *= weights[i]
			}
			sum += nll
		}
		return sum
	}
	return float32(math.Exp(rows.Minimum(loss, -3, 3, 40)))
}
