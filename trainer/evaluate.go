package trainer

import (
	"context"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
)

// Evaluate runs every mode of a model on the first limit images of a split (all
// of them if limit is 0), with the inference code that runs everywhere. Metrics
// come in the order of Manifest.Modes. progress, if not nil, is called after
// each image, from several goroutines.
func Evaluate(ctx context.Context, m *format.Model, d *Dataset, s *Split, split string, limit int, progress func(done, of int)) ([]format.Metric, error) {
	if m.Classes() != len(d.Labels) {
		return nil, fmt.Errorf("the slab knows %d classes, the data set %s has %d", m.Classes(), d.Name, len(d.Labels))
	}
	n := s.Len()
	if limit > 0 {
		n = min(n, limit)
	}
	if n == 0 {
		return nil, fmt.Errorf("the %s split of %s is empty", split, d.Name)
	}
	modes := m.Modes()
	classifiers := make([]*sla.Classifier, nhwc.Workers())
	for i := range classifiers {
		var err error
		if classifiers[i], err = sla.New(m); err != nil {
			return nil, err
		}
	}
	// Per image and mode: the probability of the truth, that of the answer, and
	// whether it is right.
	type outcome struct {
		truth, top float64
		right      bool
	}
	outcomes := make([][]outcome, n)
	var failure atomic.Pointer[error]
	var done atomic.Int64
	nhwc.Parallel(n, func(worker, i int) {
		if ctx.Err() != nil || failure.Load() != nil {
			return
		}
		c := classifiers[worker]
		img := d.Image(s, i)
		err := c.Begin(d.Width, d.Height)
		if err == nil {
			err = c.Rows(img.Pix)
		}
		for _, name := range modes {
			var r *sla.Result
			if err == nil {
				mode, _ := sla.ParseMode(name) // the names come from the manifest
				r, err = c.Run(mode)
			}
			if err != nil {
				failure.Store(&err)
				return
			}
			best := 0
			for k, v := range r.Logits {
				if v > r.Logits[best] {
					best = k
				}
			}
			p := r.Probabilities
			outcomes[i] = append(outcomes[i], outcome{float64(p[s.Classes[i]]), float64(p[best]), best == s.Classes[i]})
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
	var metrics []format.Metric
	for k, name := range modes {
		x := format.Metric{Mode: name, Split: split, N: n}
		const bins = 15 // Guo et al. 2017, "On Calibration of Modern Neural Networks"
		var count, confidence, right [bins]float64
		for _, o := range outcomes {
			x.NLL -= math.Log(max(o[k].truth, 1e-12)) / float64(n)
			bin := min(int(o[k].top*bins), bins-1)
			count[bin]++
			confidence[bin] += o[k].top
			if o[k].right {
				right[bin]++
				x.Accuracy++
			}
		}
		x.Accuracy /= float64(n)
		for bin := range bins {
			x.ECE += math.Abs(right[bin]-confidence[bin]) / float64(n)
		}
		metrics = append(metrics, x)
	}
	return metrics, nil
}
