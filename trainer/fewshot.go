package trainer

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/stat"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
)

// FewShot says how classes that a net was not trained on are told apart by a few
// images of each, in many episodes.
type FewShot struct {
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

// Directions gives the directions of every image of a split, (images, M, F): see
// sla.Classifier.Features.
func Directions(ctx context.Context, m *format.Model, d *Dataset, s *Split) ([][]float32, error) {
	directions := make([][]float32, s.Len())
	return directions, eachImage(ctx, m, d, s, func(c *sla.Classifier, i int) error {
		z, err := c.Features(math.MaxInt)
		directions[i] = slices.Clone(z)
		return err
	})
}

// Estimate gives the accuracy of the episodes on images with these directions, which have
// so many views each: with the upright view alone and, if there are more, with all of them.
func (f FewShot) Estimate(directions [][]float32, views int, classes []int) ([]Estimate, error) {
	outcomes, err := f.play(directions, views, classes)
	if err != nil {
		return nil, err
	}
	var estimates []Estimate
	for k, n := range viewsUsed(views) {
		var accuracy []float64 // of each episode
		for episode := range slices.Chunk(outcomes[k], f.Way*f.Queries) {
			right := 0
			for i, o := range episode {
				if o.answer == i/f.Queries {
					right++
				}
			}
			accuracy = append(accuracy, float64(right)/float64(len(episode)))
		}
		mean, deviation := stat.MeanStdDev(accuracy, nil)
		estimates = append(estimates, Estimate{n, mean, 1.96 * deviation / math.Sqrt(float64(f.Episodes))})
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

// play gives, for each number of views used, what is said of the images asked: episode
// after episode, class after class.
func (f FewShot) play(directions [][]float32, views int, classes []int) (outcomes [][]outcome, err error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	if f.Episodes < 2 {
		return nil, errors.New("want at least 2 episodes")
	}
	episodes, err := newSampler(f.Episode, classes)
	if err != nil {
		return nil, err
	}
	rng := rand.New(rand.NewPCG(uint64(f.Seed), 0))
	shown, asked := make([][][]int, f.Episodes), make([][][]int, f.Episodes)
	for i := range f.Episodes {
		shown[i], asked[i] = episodes.draw(rng)
	}
	outcomes = make([][]outcome, len(viewsUsed(views)))
	for k, n := range viewsUsed(views) {
		of, failures := make([][]outcome, f.Episodes), make([]error, f.Episodes)
		nhwc.Parallel(f.Episodes, func(_, i int) { of[i], failures[i] = f.episode(directions, views, n, shown[i], asked[i]) })
		if err := errors.Join(failures...); err != nil {
			return nil, err
		}
		outcomes[k] = slices.Concat(of...)
	}
	return outcomes, nil
}

// episode gives the outcomes of the images asked, by class, with the first n of the views.
// The classes of the head are joint ones, and of a query's logits under each view those
// that belong to it are averaged (SLA paper, eq. 4).
func (f FewShot) episode(directions [][]float32, views, n int, shown, asked [][]int) ([]outcome, error) {
	head, err := parseShotHead(f.Head)
	if err != nil {
		return nil, err
	}
	joint := sla.Joint{Classes: len(shown), Views: n}
	width := len(directions[0]) / views
	// rows gives the views of images, and their joint classes.
	rows := func(byClass [][]int) (*mat.Dense, []int) {
		var z []float64
		var classes []int
		for y, images := range byClass {
			for _, i := range images {
				z = append(z, widened(directions[i][:n*width])...)
				for j := range n {
					classes = append(classes, joint.Index(y, j))
				}
			}
		}
		return mat.NewDense(len(classes), width, z), classes
	}
	support, classes := rows(shown)
	queries, truths := rows(asked)
	logits, _, err := head(support, queries, classes, joint.Size())
	if err != nil {
		return nil, err
	}
	var outcomes []outcome
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
		softmax(p, mean, 1)
		truth, _ := joint.Split(truths[r])
		outcomes = append(outcomes, outcome{p[truth], p[answer], answer, n})
	}
	return outcomes, nil
}

// widened gives float32s as float64s.
func widened(v []float32) []float64 {
	w := make([]float64, len(v))
	for i, x := range v {
		w[i] = float64(x)
	}
	return w
}
