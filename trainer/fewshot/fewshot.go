package fewshot

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
	"github.com/quarterturn/quarterturn/trainer/internal/parallel"
	"github.com/quarterturn/quarterturn/trainer/internal/rows"
)

// An Evaluation says how classes that a net was not trained on are told apart by a few
// images of each, in many episodes.
type Evaluation struct {
	Episode
	Episodes int
	Seed     int
}

// An Estimate is the accuracy of episodes that look at so many views of an image.
type Estimate struct {
	Views    int     `json:"views"`
	Accuracy float64 `json:"accuracy"` // the mean over the episodes
	Interval float64 `json:"interval"` // the half width of its 95 % confidence interval
}

// Features returns the features of every image of a split, (images, M, F), each of length
// 1: see sla.Classifier.Features.
func Features(ctx context.Context, m *format.Model, d *dataset.Dataset, s *dataset.Split) ([][]float32, error) {
	features := make([][]float32, s.Len())
	return features, evaluate.EachImage(ctx, m, d, s, func(c *sla.Classifier, i int) error {
		z, err := c.Features(math.MaxInt)
		features[i] = slices.Clone(z)
		return err
	})
}

// Estimate returns the accuracy of the episodes on images with these features and labels,
// which have so many views each: with the upright view alone and, if there are more, with all of them.
func (e Evaluation) Estimate(features [][]float32, views int, labels []int) ([]Estimate, error) {
	outcomes, err := e.play(features, views, labels)
	if err != nil {
		return nil, err
	}
	var estimates []Estimate
	for k, n := range viewsUsed(views) {
		var accuracy []float64 // of each episode
		for episode := range slices.Chunk(outcomes[k], e.Way*e.Queries) {
			right := 0
			for i, o := range episode {
				if o.Answer == i/e.Queries {
					right++
				}
			}
			accuracy = append(accuracy, float64(right)/float64(len(episode)))
		}
		mean, deviation := stat.MeanStdDev(accuracy, nil)
		estimates = append(estimates, Estimate{n, mean, 1.96 * deviation / math.Sqrt(float64(e.Episodes))})
	}
	return estimates, nil
}

// viewsUsed is one, and all if there are more.
func viewsUsed(views int) []int {
	if views == 1 {
		return []int{1}
	}
	return []int{1, views}
}

// play returns, for each number of views used, what is said of the images asked: episode
// after episode, class after class.
func (e Evaluation) play(features [][]float32, views int, labels []int) (outcomes [][]evaluate.Outcome, err error) {
	if err := e.Check(); err != nil {
		return nil, err
	}
	if e.Episodes < 2 {
		return nil, errors.New("want at least 2 episodes")
	}
	episodes, err := NewSampler(e.Episode, labels)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(uint64(e.Seed), 0))
	shown, asked := make([][][]int, e.Episodes), make([][][]int, e.Episodes)
	for i := range e.Episodes {
		shown[i], asked[i] = episodes.Draw(rng)
	}
	outcomes = make([][]evaluate.Outcome, len(viewsUsed(views)))
	for k, n := range viewsUsed(views) {
		of := make([][]evaluate.Outcome, e.Episodes)
		err := parallel.Try(e.Episodes, func(_, i int) (err error) {
			of[i], err = e.episode(features, views, n, shown[i], asked[i])
			return err
		})
		if err != nil {
			return nil, err
		}
		outcomes[k] = slices.Concat(of...)
	}
	return outcomes, nil
}

// episode returns the outcomes of the images asked, by class, with the first n of the views.
// The classes of the head are joint ones, and of a query's logits under each view those
// that belong to it are averaged (SLA paper, eq. 4).
func (e Evaluation) episode(features [][]float32, views, n int, shown, asked [][]int) ([]evaluate.Outcome, error) {
	head, err := ParseHead(e.Head)
	if err != nil {
		return nil, err
	}
	joint := sla.Joint{Classes: len(shown), Views: n}
	width := len(features[0]) / views
	// stack returns the views of images, and their joint classes.
	stack := func(byClass [][]int) (*mat.Dense, []int) {
		var z []float64
		var classes []int
		for y, images := range byClass {
			for _, i := range images {
				z = append(z, rows.Widen(features[i][:n*width])...)
				for j := range n {
					classes = append(classes, joint.Index(y, j))
				}
			}
		}
		return mat.NewDense(len(classes), width, z), classes
	}
	support, classes := stack(shown)
	queries, truths := stack(asked)
	logits, _, err := head(support, queries, classes, joint.Size())
	if err != nil {
		return nil, err
	}
	var outcomes []evaluate.Outcome
	mean, p := make([]float64, joint.Classes), make([]float64, joint.Classes)
	for r := 0; r < len(truths); r += n {
		answer := 0
		for y := range mean {
			mean[y] = 0
			for j := range n {
				mean[y] += logits.At(r+j, joint.Index(y, j)) / float64(n)
			}
			if mean[y] > mean[answer] {
				answer = y
			}
		}
		rows.Softmax(p, mean, 1)
		truth, _ := joint.Split(truths[r])
		outcomes = append(outcomes, evaluate.Outcome{Truth: p[truth], Top: p[answer], Answer: answer, Passes: n})
	}
	return outcomes, nil
}

// Scores returns what modes with these names, that with one view and if there are more that
// with all, answer in the episodes.
func (e Evaluation) Scores(modes []string, features [][]float32, views int, labels []int) ([]evaluate.Score, error) {
	outcomes, err := e.play(features, views, labels)
	if err != nil {
		return nil, err
	}
	var truth dataset.Split
	for range e.Episodes {
		for y := range e.Way {
			truth.Labels = append(truth.Labels, slices.Repeat([]int{y}, e.Queries)...)
		}
	}
	var scores []evaluate.Score
	for k, mode := range modes {
		scores = append(scores, evaluate.NewScore(mode, fmt.Sprintf("%d-way %d-shot validation", e.Way, e.Shot), &truth, e.Way, outcomes[k]))
	}
	return scores, nil
}

// SetPrototypes makes the last head of a model that was trained in episodes: of every class
// and view the mean direction of the first twenty images of a split.
func SetPrototypes(ctx context.Context, m *format.Model, d *dataset.Dataset, s *dataset.Split) error {
	const most = 20
	seen := make([]int, m.Classes())
	var indices []int
	for i, y := range s.Labels {
		if seen[y]++; seen[y] <= most {
			indices = append(indices, i)
		}
	}
	shown := d.Subset(s, indices)
	features, err := Features(ctx, m, d, &shown)
	if err != nil {
		return err
	}
	weight := m.Weights[len(m.Weights)-2] // (N*M, F), class-major
	clear(weight)
	for i, z := range features {
		for k, v := range z {
			weight[shown.Labels[i]*len(z)+k] += v
		}
	}
	rows.Normalize(weight, len(weight)/(m.Classes()*m.Views()))
	return nil
}
