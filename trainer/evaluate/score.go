package evaluate

import (
	"math"
	"slices"
	"strings"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/dataset"
)

// A Score is what one mode made of a split.
type Score struct {
	format.Metric
	Passes      float64   `json:"passes"` // of the network, the mean over the images
	Classes     []Tally   `json:"classes"`
	Answers     []int     `json:"-"` // the class given for each image
	Confidences []float64 `json:"-"` // the probabilities of the answers
}

// balanced begins the name of a split whose classes count alike.
const balanced = "class-balanced "

// Balanced says whether every class counts alike in the accuracy.
func (s *Score) Balanced() bool { return strings.HasPrefix(s.Split, balanced) }

// A Tally counts the images of a class.
type Tally struct {
	Images int `json:"images"`
	Right  int `json:"right"`
}

// Accuracies returns the mean of the classes' accuracies over three groups of them, by
// their numbers of training images, counts: the third of the classes with the most, those
// between, and the third with the fewest. A group none of whose classes has images to
// score has NaN.
func (s *Score) Accuracies(counts []int) (many, medium, few float64) {
	order := make([]int, len(counts))
	for y := range order {
		order[y] = y
	}
	slices.SortStableFunc(order, func(a, b int) int { return counts[b] - counts[a] })
	third := len(order) / 3
	mean := func(classes []int) float64 {
		var sum, n float64
		for _, y := range classes {
			if t := s.Classes[y]; t.Images > 0 {
				sum += float64(t.Right) / float64(t.Images)
				n++
			}
		}
		return sum / n
	}
	return mean(order[:third]), mean(order[third : len(order)-third]), mean(order[len(order)-third:])
}

// An Outcome is what is said of one image in one mode.
type Outcome struct {
	Truth  float64 // the probability of its class
	Top    float64 // the probability of the answer
	Answer int
	Passes int // of the network
}

// NewScore sums up the outcomes of a mode, one an image of the split. In a balanced split
// images count so that every class counts alike. The expected calibration error has 15 bins
// (Guo et al. 2017, "On Calibration of Modern Neural Networks").
func NewScore(mode, split string, s *dataset.Split, classes int, outcomes []Outcome) Score {
	if s.Balanced {
		split = balanced + split
	}
	n := float64(len(outcomes))
	x := Score{Metric: format.Metric{Mode: mode, Split: split, N: len(outcomes)}, Classes: make([]Tally, classes)}
	weights := imageWeights(s.Labels[:len(outcomes)], s.Balanced)
	const bins = 15
	var total, right float64
	var gap [bins]float64 // of accuracy over confidence
	for i, o := range outcomes {
		t, weight := &x.Classes[s.Labels[i]], weights[i]
		t.Images++
		total += weight
		bin := min(int(o.Top*bins), bins-1)
		gap[bin] -= weight * o.Top
		if o.Answer == s.Labels[i] {
			t.Right++
			right += weight
			gap[bin] += weight
		}
		x.NLL -= weight * math.Log(max(o.Truth, 1e-12)) / n
		x.Passes += float64(o.Passes)
		x.Answers, x.Confidences = append(x.Answers, o.Answer), append(x.Confidences, o.Top)
	}
	x.Accuracy = right / total
	x.Passes /= n
	for _, g := range gap {
		x.ECE += math.Abs(g) / n
	}
	return x
}

// imageWeights returns how much images with these labels count, 1 in the mean: all alike,
// or so that every class that is there counts alike.
func imageWeights(labels []int, balanced bool) []float64 {
	counts := map[int]float64{}
	for _, y := range labels {
		counts[y]++
	}
	weights := make([]float64, len(labels))
	for i, y := range labels {
		if weights[i] = 1; balanced {
			weights[i] = float64(len(labels)) / float64(len(counts)) / counts[y]
		}
	}
	return weights
}

// Scores returns the scores that a slab keeps, of whichever split.
func Scores(m *format.Model) (s []Score) {
	for _, x := range m.Metrics {
		s = append(s, Score{Metric: x, Passes: float64(m.Passes(x.Mode))})
	}
	return s
}

// Served returns the index of the score of the mode that a slab recommends, or 0 without one.
func Served(m *format.Model, scores []Score) int {
	return max(0, slices.IndexFunc(scores, func(s Score) bool { return s.Mode == m.Recommended }))
}

// Metrics returns what a slab keeps of scores.
func Metrics(scores []Score) (m []format.Metric) {
	for _, s := range scores {
		m = append(m, s.Metric)
	}
	return m
}
