package host

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
)

// A Classifier classifies images with one slab. It is safe for concurrent use.
type Classifier struct {
	model  *format.Model
	pool   *pool
	tracer Tracer
}

// A Prediction is what Classify gives.
type Prediction struct {
	Mode          sla.Mode  // the mode that ran, Auto resolved
	Passes        int       // passes of the network it took
	Top           []Label   // the most probable classes, best first
	Logits        []float32 // one a class
	Probabilities []float32 // the softmax of Logits
	Views         []float32 // (Passes, classes): each view's logits; nil for heads without views
}

// Digest is the SHA-256 of the logits' little-endian bits, in hexadecimal: the same
// for an image on every engine and target.
func (p *Prediction) Digest() string {
	sum := sha256.Sum256(sla.AppendBits(nil, p.Logits))
	return hex.EncodeToString(sum[:])
}

// A Label is one entry of Prediction.Top.
type Label struct {
	Label       string  `json:"label"`
	Index       int     `json:"index"`
	Probability float32 `json:"probability"`
}

// Open reads a slab and makes a Classifier of it. Errors in the slab are those
// of package format, such as format.ErrCorrupt. The slab must not be changed
// before Close.
func Open(ctx context.Context, slab []byte, opts ...Option) (*Classifier, error) {
	c := newConfig(slab, opts)
	model, err := format.Decode(slab)
	if err != nil {
		return nil, err
	}
	if work := model.MACs() * model.Views(); work > c.maxWork {
		return nil, &format.Error{Kind: format.ErrUnsupported, Field: "layers", Offset: -1,
			Detail: fmt.Sprintf("an image takes up to %d multiply-adds, more than %d", work, c.maxWork)}
	}
	e, err := newEngine(ctx, slab, model, c)
	if err != nil {
		return nil, err
	}
	if c.engine != Native {
		model.Weights = nil // the guest holds its own
	}
	// The first instance shows now, not at the first request, whether the slab
	// fits the engine's limits, and what an instance takes.
	first, err := e.instantiate(ctx)
	if err != nil {
		return nil, errors.Join(err, e.close(ctx))
	}
	size := c.pool
	if c.poolMemory > 0 {
		size = int(max(1, min(uint64(size), c.poolMemory/max(1, first.memory()))))
	}
	return &Classifier{model, newPool(e, size, first), c.tracer}, nil
}

// Model describes the slab. It must not be changed.
func (c *Classifier) Model() *format.Model { return c.model }

// Close waits for the calls under way and frees everything. Calls made
// afterwards fail with ErrClosed. If ctx ends first, nothing is closed.
func (c *Classifier) Close(ctx context.Context) error { return c.pool.close(ctx) }

// slice is the number of multiply-adds after which a call looks whether it is still
// wanted: some milliseconds of any engine but the interpreter.
const slice = 1 << 24

// Classify classifies an image of any size. It gives up soon after ctx ends: between
// two layers, with at most 2^24 multiply-adds and one layer still to come.
func (c *Classifier) Classify(ctx context.Context, img image.Image, opts ...CallOption) (*Prediction, error) {
	o := call{topK: 5}
	for _, opt := range opts {
		opt(&o)
	}
	mode, err := sla.ResolveMode(&c.model.Manifest, o.mode)
	if err != nil {
		return nil, err
	}
	var p *Prediction
	err = c.show(ctx, img, func(ctx context.Context, i instance) (err error) {
		p, err = predict(ctx, func() (*sla.Result, error) { return i.run(ctx, mode, slice) })
		return err
	})
	if err != nil {
		return nil, err
	}
	p.Top = top(c.model.Labels, p, o.topK)
	return p, nil
}

// show runs f on an instance that was given an image.
func (c *Classifier) show(ctx context.Context, img image.Image, f func(context.Context, instance) error) error {
	ctx, end := c.tracer.Start(ctx, "classify")
	err := c.with(ctx, func(i instance) error {
		if err := c.span(ctx, "preprocess", func(ctx context.Context) error { return feed(ctx, i, img) }); err != nil {
			return err
		}
		return c.span(ctx, "run", func(ctx context.Context) error { return f(ctx, i) })
	})
	end(err)
	return err
}

// span has f traced.
func (c *Classifier) span(ctx context.Context, name string, f func(context.Context) error) error {
	ctx, end := c.tracer.Start(ctx, name)
	err := f(ctx)
	end(err)
	return err
}

// finish calls step until it is done, and looks before each call whether ctx has ended.
func finish(ctx context.Context, step func() (done bool, err error)) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if done, err := step(); done || err != nil {
			return err
		}
	}
}

// predict calls run until it gives a result.
func predict(ctx context.Context, run func() (*sla.Result, error)) (*Prediction, error) {
	var r *sla.Result
	if err := finish(ctx, func() (done bool, err error) {
		r, err = run()
		return r != nil, err
	}); err != nil {
		return nil, err
	}
	return &Prediction{
		Mode: r.Mode, Passes: r.Passes, Logits: slices.Clone(r.Logits),
		Probabilities: slices.Clone(r.Probabilities), Views: slices.Clone(r.Views),
	}, nil
}

// ClassifyBatch classifies images side by side, as many at a time as the pool holds.
// Predictions come in the order of the images. One that fails has nil, and its place
// and its reason in the error, which joins all of them; the others are classified.
// When ctx ends, those that have not begun fail with it.
func (c *Classifier) ClassifyBatch(ctx context.Context, images []image.Image, opts ...CallOption) ([]*Prediction, error) {
	predictions, failures := make([]*Prediction, len(images)), make([]error, len(images))
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(cap(c.pool.slots), len(images)) {
		wait.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(images) {
					return
				}
				p, err := c.Classify(ctx, images[i], opts...)
				if err != nil {
					failures[i] = fmt.Errorf("image %d: %w", i, err)
				}
				predictions[i] = p
			}
		})
	}
	wait.Wait()
	return predictions, errors.Join(failures...)
}

// Trace fingerprints what every layer makes of an image: for each pass a number
// a layer, then one for the logits. Where two engines disagree, the first entry
// that differs, named by sla.TraceName, is where to look.
func (c *Classifier) Trace(ctx context.Context, img image.Image, mode sla.Mode) (t []uint64, err error) {
	err = c.with(ctx, func(i instance) error {
		if err := feed(ctx, i, img); err != nil {
			return err
		}
		r, err := i.trace(ctx, mode)
		t = slices.Clone(r)
		return err
	})
	return t, err
}

// Verify runs the slab's self-test in this engine.
func (c *Classifier) Verify(ctx context.Context) error {
	return c.with(ctx, func(i instance) error { return i.verify(ctx) })
}

// with runs f on an instance of the pool, and throws the instance away if it broke.
func (c *Classifier) with(ctx context.Context, f func(i instance) error) error {
	var i instance
	err := c.span(ctx, "wait", func(ctx context.Context) (err error) {
		i, err = c.pool.acquire(ctx)
		return err
	})
	if err != nil {
		return err
	}
	broken := true // if f panics
	defer func() { c.pool.release(ctx, i, broken) }()
	err = f(i)
	var stopped *stoppedError
	broken = errors.Is(err, ErrEngine) || errors.As(err, &stopped)
	return err
}

// top lists the k largest logits; equal ones in the order of their index.
func top(labels []string, p *Prediction, k int) []Label {
	order := make([]int, len(p.Logits))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case p.Logits[a] > p.Logits[b]:
			return -1
		case p.Logits[a] < p.Logits[b]:
			return 1
		}
		return 0
	})
	top := make([]Label, min(k, len(order)))
	for i := range top {
		top[i] = Label{labels[order[i]], order[i], p.Probabilities[order[i]]}
	}
	return top
}

// feed hands an image to an instance in bands of rows.
func feed(ctx context.Context, i instance, img image.Image) error {
	b := img.Bounds()
	if b.Empty() {
		return &taggedError{ErrImage, fmt.Sprintf("the image is empty (%dx%d)", b.Dx(), b.Dy())}
	}
	if err := i.begin(ctx, b.Dx(), b.Dy()); err != nil {
		return err
	}
	bands := newBands(img)
	for y := b.Min.Y; y < b.Max.Y; y += bands.height {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := i.rows(ctx, bands.at(y)); err != nil {
			return err
		}
	}
	return nil
}
