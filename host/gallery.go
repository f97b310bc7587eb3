package host

import (
	"context"
	"errors"
	"image"
	"slices"
	"sync"

	"github.com/quarterturn/quarterturn/sla"
)

// A Gallery classifies by a few examples of things that the slab's net was never
// trained on: it compares what the net makes of every view of an image with what it made
// of the examples'. It is safe for concurrent use.
type Gallery struct {
	c *Classifier

	mu       sync.RWMutex
	examples []Examples
	sums     [][]float32 // per label, (M, F): the sum of its examples' directions
}

// Examples says how many there are of a label.
type Examples struct {
	Label  string
	Images int
}

// ErrEmpty says that a Gallery has no examples.
var ErrEmpty = errors.New("nothing is enrolled yet")

// NewGallery makes a Gallery without examples. It ends with its Classifier.
func (c *Classifier) NewGallery() *Gallery { return &Gallery{c: c} }

// Enrol adds an example of a label, which may be new.
func (g *Gallery) Enrol(ctx context.Context, label string, img image.Image) error {
	return g.c.show(ctx, img, func(ctx context.Context, i instance) error {
		return finish(ctx, func() (bool, error) {
			directions, err := i.features(ctx, slice)
			if err != nil || directions == nil {
				return false, err
			}
			g.add(label, directions)
			return true, nil
		})
	})
}

func (g *Gallery) add(label string, directions []float32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.find(label)
	if at < 0 {
		g.examples, g.sums = append(g.examples, Examples{label, 1}), append(g.sums, slices.Clone(directions))
		return
	}
	g.examples[at].Images++
	// A sum that was handed to a call is not changed under it.
	sum := slices.Clone(g.sums[at])
	for k, v := range directions {
		sum[k] += v
	}
	g.sums[at] = sum
}

// find is the place of a label, or -1.
func (g *Gallery) find(label string) int {
	return slices.IndexFunc(g.examples, func(e Examples) bool { return e.Label == label })
}

// Forget drops a label with its examples.
func (g *Gallery) Forget(label string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if at := g.find(label); at >= 0 {
		g.examples, g.sums = slices.Delete(g.examples, at, at+1), slices.Delete(g.sums, at, at+1)
	}
}

// Examples lists the labels in the order in which they came.
func (g *Gallery) Examples() []Examples {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return slices.Clone(g.examples)
}

// Classify gives the label whose examples an image is most like: see
// sla.Classifier.Match. Options but TopK have no meaning here.
func (g *Gallery) Classify(ctx context.Context, img image.Image, opts ...CallOption) (*Prediction, error) {
	o := call{topK: 5}
	for _, opt := range opts {
		opt(&o)
	}
	g.mu.RLock()
	var labels []string
	var gallery []float32
	for k, e := range g.examples {
		labels, gallery = append(labels, e.Label), append(gallery, g.sums[k]...)
	}
	g.mu.RUnlock()
	if len(labels) == 0 {
		return nil, ErrEmpty
	}
	var p *Prediction
	err := g.c.show(ctx, img, func(ctx context.Context, i instance) (err error) {
		p, err = predict(ctx, func() (*sla.Result, error) { return i.match(ctx, gallery, slice) })
		return err
	})
	if err != nil {
		return nil, err
	}
	p.Top = top(labels, p, o.topK)
	return p, nil
}
