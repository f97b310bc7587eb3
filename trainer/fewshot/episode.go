package fewshot

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/internal/rows"
)

// An Episode is a small problem of classification: of some classes a few images each
// are shown, the support, and others are to be classified, the queries (Vinyals et al.
// 2016). The zero Episode is none.
type Episode struct {
	Head    string `json:"head"`    // see ParseHead
	Way     int    `json:"way"`     // classes
	Shot    int    `json:"shot"`    // images of each that are shown
	Queries int    `json:"queries"` // other images of each that are classified
}

// Images returns the number of images of an episode.
func (e Episode) Images() int { return e.Way * (e.Shot + e.Queries) }

// Check finds what is wrong with an Episode in itself.
func (e Episode) Check() error {
	if e.Way < 2 || e.Shot < 1 || e.Queries < 1 {
		return errors.New("an episode wants at least 2 classes, and an image of each to show and one to ask")
	}
	_, err := ParseHead(e.Head)
	return err
}

// A Sampler draws episodes.
type Sampler struct {
	Episode
	known   []int         // classes with images enough
	byClass map[int][]int // their images
}

// NewSampler makes a Sampler of images with these labels.
func NewSampler(e Episode, labels []int) (*Sampler, error) {
	s := &Sampler{e, nil, map[int][]int{}}
	for i, y := range labels {
		s.byClass[y] = append(s.byClass[y], i)
	}
	for y, images := range s.byClass {
		if len(images) >= e.Shot+e.Queries {
			s.known = append(s.known, y)
		}
	}
	if len(s.known) < e.Way {
		return nil, fmt.Errorf("%d classes have the %d images that an episode needs, want %d", len(s.known), e.Shot+e.Queries, e.Way)
	}
	slices.Sort(s.known)
	return s, nil
}

// Draw returns the images of an episode that are shown and those that are asked, by class.
func (s *Sampler) Draw(rng *rand.Rand) (shown, asked [][]int) {
	rng.Shuffle(len(s.known), func(a, b int) { s.known[a], s.known[b] = s.known[b], s.known[a] })
	for _, y := range s.known[:s.Way] {
		images := s.byClass[y]
		rng.Shuffle(len(images), func(a, b int) { images[a], images[b] = images[b], images[a] })
		shown, asked = append(shown, slices.Clone(images[:s.Shot])), append(asked, slices.Clone(images[s.Shot:s.Shot+s.Queries]))
	}
	return shown, asked
}

// Order returns the images of so many episodes one after the other, of each those shown
// first, class by class.
func (s *Sampler) Order(episodes int, rng *rand.Rand) (order []int) {
	for range episodes {
		shown, asked := s.Draw(rng)
		order = append(append(order, slices.Concat(shown...)...), slices.Concat(asked...)...)
	}
	return order
}

// Loss returns the loss of an episode, the mean cross-entropy over its query rows, and writes
// its gradient. features and gradient are (images*M, F), the images in the order of
// Sampler.Order and rows of length 1; M is the number of views. Classes are joint ones,
// (class, view), in support and queries alike (SLA paper, section 4.2).
func (e Episode) Loss(gradient, features []float32, views int) (loss float64, err error) {
	head, err := ParseHead(e.Head)
	if err != nil {
		return 0, err
	}
	z := rows.Widen(features)
	width := len(z) / (e.Images() * views)
	joint := sla.Joint{Classes: e.Way, Views: views}
	support, queries := e.Way*e.Shot*views, e.Way*e.Queries*views
	shown := mat.NewDense(support, width, z[:support*width])
	asked := mat.NewDense(queries, width, z[support*width:])
	classes := make([]int, support)
	for r := range classes {
		classes[r] = joint.Index(r/views/e.Shot, r%views)
	}
	logits, backward, err := head(shown, asked, classes, joint.Size())
	if err != nil {
		return 0, err
	}
	p := make([]float64, joint.Size())
	for r := range queries {
		row := logits.RawRowView(r)
		y := joint.Index(r/views/e.Queries, r%views)
		truth := row[y]
		loss += (rows.Softmax(p, row, 1) - truth) / float64(queries)
		p[y]--
		for k := range row {
			row[k] = p[k] / float64(queries)
		}
	}
	dShown, dAsked := backward(logits)
	for i, d := range append(dShown.RawMatrix().Data, dAsked.RawMatrix().Data...) {
		gradient[i] = float32(d)
	}
	return loss, nil
}
