package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
)

// FewShot says how classes that a net was not trained on are told apart by a few
// images of each, in many episodes.
type FewShot struct {
	Way      int // classes an episode
	Shot     int // images of each that are shown
	Queries  int // other images of each that are classified
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

// Estimate runs the episodes on images with these directions, which have so many views
// each: with the upright view alone and, if there are more, with all of them. An image
// is classified as sla.Classifier.Match does it.
func (f FewShot) Estimate(directions [][]float32, views int, classes []int) ([]Estimate, error) {
	if f.Way < 2 || f.Shot < 1 || f.Queries < 1 || f.Episodes < 2 {
		return nil, errors.New("want at least 2 classes, an image of each to show and one to ask, and 2 episodes")
	}
	byClass := map[int][]int{}
	for i, y := range classes {
		byClass[y] = append(byClass[y], i)
	}
	var known []int // classes with images enough
	for y, images := range byClass {
		if len(images) >= f.Shot+f.Queries {
			known = append(known, y)
		}
	}
	if len(known) < f.Way {
		return nil, fmt.Errorf("%d classes have the %d images that an episode needs, want %d", len(known), f.Shot+f.Queries, f.Way)
	}
	slices.Sort(known)
	used := []int{1}
	if views > 1 {
		used = append(used, views)
	}
	rng := rand.New(rand.NewPCG(uint64(f.Seed), 0))
	accuracy := make([][]float64, len(used)) // per number of views, one an episode
	for range f.Episodes {
		rng.Shuffle(len(known), func(a, b int) { known[a], known[b] = known[b], known[a] })
		var shown, asked [][]int
		for _, y := range known[:f.Way] {
			images := byClass[y]
			rng.Shuffle(len(images), func(a, b int) { images[a], images[b] = images[b], images[a] })
			shown, asked = append(shown, slices.Clone(images[:f.Shot])), append(asked, slices.Clone(images[f.Shot:f.Shot+f.Queries]))
		}
		for k, n := range used {
			accuracy[k] = append(accuracy[k], episode(directions, views, n, shown, asked))
		}
	}
	var estimates []Estimate
	for k, n := range used {
		mean, deviation := stat.MeanStdDev(accuracy[k], nil)
		estimates = append(estimates, Estimate{n, mean, 1.96 * deviation / math.Sqrt(float64(f.Episodes))})
	}
	return estimates, nil
}

// episode gives the accuracy on the images asked, by class, with the first n of the
// views.
func episode(directions [][]float32, views, n int, shown, asked [][]int) float64 {
	width := len(directions[0]) / views
	gallery := make([][]float64, len(shown)) // unit vectors per class and view
	for y, images := range shown {
		sum := make([]float64, n*width)
		for _, i := range images {
			for k := range sum {
				sum[k] += float64(directions[i][k])
			}
		}
		for j := range n {
			row := sum[j*width : (j+1)*width]
			var square float64
			for _, v := range row {
				square += v * v
			}
			for k := range row {
				row[k] /= max(1e-12, math.Sqrt(square))
			}
		}
		gallery[y] = sum
	}
	right, all := 0, 0
	for y, images := range asked {
		for _, i := range images {
			answer, top := 0, math.Inf(-1)
			for c, g := range gallery {
				var cosines float64
				for k, v := range g {
					cosines += v * float64(directions[i][k])
				}
				if cosines > top {
					answer, top = c, cosines
				}
			}
			if answer == y {
				right++
			}
			all++
		}
	}
	return float64(right) / float64(all)
}
