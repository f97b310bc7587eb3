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

	mu     sync.RWMutex
	labels []EnrolledLabel
	sums   [][]float32 // per label, (M, F): the sum of its examples' directions
}

// An EnrolledLabel is a label of a Gallery, and the number of its examples.
type EnrolledLabel struct {
	Label string
	Count int
}

// ErrEmpty says that a Gallery has no examples.
var ErrEmpty = errors.New("nothing is enrolled yet")

// NewGallery makes a Gallery without examples. It ends with its Classifier.
func (c *Classifier) NewGallery() *Gallery { return &Gallery{c: c} }

// Enrol adds an example of a label, which may be new. Errors are those of
// Classifier.Classify.
func (g *Gallery) Enrol(ctx context.Context, label string, img image.Image) (err error) {
	i, err := g.c.borrow(ctx)
	if err != nil {
		return err
	}
	var directions []float32
	defer func() { g.c.giveBack(ctx, i, directions != nil, err) }()
	if err := g.c.preprocess(ctx, i, img); err != nil {
		return err
	}
	if directions, err = resume(ctx, func() ([]float32, error) { return i.features(ctx, slice) }); err != nil {
		return err
	}
	g.add(label, directions)
	return nil
}

func (g *Gallery) add(label string, directions []float32) {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := g.find(label)
	if at < 0 {
		g.labels, g.sums = append(g.labels, EnrolledLabel{label, 1}), append(g.sums, slices.Clone(directions))
		return
	}
	g.labels[at].Count++
	// A sum that was handed to a call is not changed under it.
	sum := slices.Clone(g.sums[at])
	for k, v := range directions {
		sum[k] += v
	}
	g.sums[at] = sum
}

// find is the place of a label, or -1.
func (g *Gallery) find(label string) int {
	return slices.IndexFunc(g.labels, func(e EnrolledLabel) bool { return e.Label == label })
}

// Forget drops a label with its examples.
func (g *Gallery) Forget(label string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if at := g.find(label); at >= 0 {
		g.labels, g.sums = slices.Delete(g.labels, at, at+1), slices.Delete(g.sums, at, at+1)
	}
}

// Labels lists the labels in the order in which they came.
func (g *Gallery) Labels() []EnrolledLabel {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return slices.Clone(g.labels)
}

// Classify returns the label whose examples an image is most like: see
// sla.Classifier.Match. The error is ErrEmpty if there are none, or one of
// Classifier.Classify. Options but TopK have no meaning here.
func (g *Gallery) Classify(ctx context.Context, img image.Image, opts ...CallOption) (p *Prediction, err error) {
	o, err := newCall(opts)
	if err != nil {
		return nil, err
	}
	g.mu.RLock()
	var labels []string
	var gallery []float32
	for k, e := range g.labels {
		labels, gallery = append(labels, e.Label), append(gallery, g.sums[k]...)
	}
	g.mu.RUnlock()
	if len(labels) == 0 {
		return nil, ErrEmpty
	}
	ctx, end := g.c.tracer.Start(ctx, "classify")
	defer func() { end(err) }()
	i, err := g.c.borrow(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { g.c.giveBack(ctx, i, p != nil, err) }()
	if err := g.c.preprocess(ctx, i, img); err != nil {
		return nil, err
	}
	r, err := g.c.run(ctx, func(ctx context.Context) (*sla.Result, error) { return i.match(ctx, gallery, slice) })
	if err != nil {
		return nil, err
	}
	return newPrediction(r, labels, o.topK), nil
}
