package trainer

import (
	"fmt"
	"strings"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
)

// A Verdict is what is wrong with a net that was trained.
type Verdict struct {
	Useless bool   // nobody should use it: it guesses
	Text    string // what is wrong and what to try, a sentence or two; empty: nothing
}

// Verdict judges a model by its scores on the test images, as Run returned them.
func (f *RunDir) Verdict(m *format.Model, scores []evaluate.Score) Verdict {
	if f.Config.episodic() {
		return Verdict{}
	}
	if f.Data.Test.Len() == 0 {
		return Verdict{false, "There are no test images, so the accuracies are those of the images held out, by which the epoch was chosen: others may fare worse. More pictures that differ, in each class, or a folder test/ would tell."}
	}
	s := &scores[evaluate.Served(m, scores)]
	if missing := untested(s, m.Labels); len(missing) > 0 {
		return Verdict{false, fmt.Sprintf("The test has no image of %s, so its accuracy says nothing about them. Add some, or let the test images be split off: leave test/ out.", strings.Join(missing, ", "))}
	}
	guess, name := bestGuess(s, m.Labels)
	low, high := s.Interval()
	switch {
	case s.Accuracy <= guess || s.N >= 50 && low <= guess:
		return Verdict{true, fmt.Sprintf("The net guesses: %.1f %% of %d test images are right, and always answering %s makes %.1f %%. "+
			"Try a tenth of the learning rate (--lr %.2g), more epochs, the default net, or more images of each class, and look whether they are in the right folders.",
			100*s.Accuracy, s.N, name, 100*guess, f.Config.LR/10)}
	case low <= guess:
		return Verdict{false, fmt.Sprintf("The test has too few images to say much: %d, so that the accuracy lies anywhere from %.0f to %.0f %%. More images would tell.", s.N, 100*low, 100*high)}
	}
	return f.overfit(m.Recommended)
}

// untested names the classes of which there are no test images.
func untested(s *evaluate.Score, names []string) (missing []string) {
	for y, t := range s.Classes {
		if t.Images == 0 {
			missing = append(missing, names[y])
		}
	}
	return missing
}

// bestGuess is the accuracy of always giving the same answer, and which: where classes count
// alike, it is that of any. Each has test images.
func bestGuess(s *evaluate.Score, names []string) (accuracy float64, name string) {
	most, n := 0, 0
	for y, t := range s.Classes {
		n += t.Images
		if t.Images > s.Classes[most].Images {
			most = y
		}
	}
	if s.Balanced() {
		return 1 / float64(len(s.Classes)), names[most]
	}
	return float64(s.Classes[most].Images) / float64(n), names[most]
}

// seenRise is the least rise of the negative log-likelihood, in nats, that anybody would see: with it the
// probability of the true class, in the geometric mean over the images, falls by a tenth (exp(-0.1) is
// 0.90). On easy pictures, of which a net is nearly sure, a rise by half may be one from 0.002 to 0.003.
const seenRise = 0.1

// overfit finds out whether the net became surer of wrong answers as it learned its
// training images by heart.
func (f *RunDir) overfit(mode string) Verdict {
	nll := make([]float64, len(f.epochs))
	best := 0
	for i, e := range f.epochs {
		for _, m := range e.Metrics {
			if m.Mode == mode {
				nll[i] = m.NLL
			}
		}
		if nll[i] < nll[best] {
			best = i
		}
	}
	if n := len(nll); n < 3 || best >= n-1 || nll[n-1] < 1.3*nll[best] || nll[n-1]-nll[best] < seenRise {
		return Verdict{}
	}
	return Verdict{false, fmt.Sprintf("After epoch %d the net learned its training images by heart: the negative log-likelihood of the validation images rose from %.2f to %.2f. "+
		"Fewer epochs, --augment crop,flip,rand,cutout, --mix cutmix or more images help.", f.epochs[best].Epoch, nll[best], nll[len(nll)-1])}
}
