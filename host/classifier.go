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
	"github.com/quarterturn/quarterturn/format/signature"
	"github.com/quarterturn/quarterturn/sla"
)

// A Classifier classifies images with one slab. It is safe for concurrent use.
type Classifier struct {
	model  *format.Model
	pool   *pool
	tracer Tracer
}

// A Prediction is what Classify returns.
type Prediction struct {
	Mode          sla.Mode     // the mode that ran, Auto resolved
	Passes        int          // passes of the network it took
	Top           []ClassScore // the most probable classes, best first
	Logits        []float32    // (N), one a class
	Probabilities []float32    // (N), the softmax of Logits
	Views         []float32    // (Passes, N): each view's logits; nil for heads without views
}

// Digest is the SHA-256 of the logits' little-endian bits, in hexadecimal: the same
// for an image on every engine and target.
func (p *Prediction) Digest() string {
	sum := sha256.Sum256(sla.AppendBits(nil, p.Logits))
	return hex.EncodeToString(sum[:])
}

// A ClassScore is one entry of Prediction.Top.
type ClassScore struct {
	Label       string  `json:"label"`
	Index       int     `json:"index"`
	Probability float32 `json:"probability"` // 0 to 1; not a number if the logits overflowed
}

// Open reads a slab, checks it and makes a Classifier of it, which should be closed. The
// slab must not be changed before that. Errors are
//
//   - those of package format for a bad slab: ErrNotSlab, ErrVersion, ErrCorrupt, and
//     ErrUnsupported also for one that needs more memory or work than the options allow,
//     the same whichever engine is to run it;
//   - signature.ErrUntrusted, with WithTrustedKeys;
//   - ErrOption for an option that makes no sense;
//   - ErrEngine if the engine cannot be started;
//   - ctx's, if it has ended.
func Open(ctx context.Context, slab []byte, opts ...Option) (*Classifier, error) {
	c, err := newConfig(opts)
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(slab) > format.MaxSize {
		return nil, &format.Error{Kind: format.ErrUnsupported, Field: "slab", Offset: -1,
			Detail: fmt.Sprintf("has %d bytes, more than %d", len(slab), format.MaxSize)}
	}
	if c.keys != nil {
		if _, err := signature.Verify(slab, c.signature, c.keys...); err != nil {
			return nil, err
		}
	}
	model, err := format.DecodeInPlace(slab)
	if err != nil {
		return nil, err
	}
	if c.memoryLimit == 0 {
		c.memoryLimit = uint64(sla.DefaultMemory(&model.Manifest))
	}
	c.memoryLimit = min(c.memoryLimit, maxMemory)
	if err := sla.CheckMemory(&model.Manifest, int(c.memoryLimit)); err != nil {
		return nil, err
	}
	if err := sla.CheckWork(&model.Manifest, c.maxWork); err != nil {
		return nil, err
	}
	// What ctx ends is Open, not an instance that will serve other calls.
	own := context.WithoutCancel(ctx)
	e, err := newEngine(own, slab, model, c)
	if err != nil {
		return nil, err
	}
	// The first instance shows now, not at the first request, what an instance takes.
	first, err := e.instantiate(own)
	if err != nil {
		return nil, errors.Join(err, e.close(own))
	}
	classifier := &Classifier{model, newPool(e, c, first), c.tracer}
	if err := ctx.Err(); err != nil {
		return nil, errors.Join(err, classifier.Close(own))
	}
	return classifier, nil
}

// Model describes the slab. Its weights lie in the slab that Open was given, wherever the
// machine can use them there. It must not be changed.
func (c *Classifier) Model() *format.Model { return c.model }

// Close waits for the calls under way and frees everything. Calls made
// afterwards fail with ErrClosed. If ctx ends before they do, nothing is closed, and its
// error is returned; where there is nothing to wait for, ctx may have ended. Close may be
// called again, and at the same time: each call returns when everything is closed.
func (c *Classifier) Close(ctx context.Context) error { return c.pool.close(ctx) }

// slice is the work, as sla.Work counts it, after which a call looks whether it is still
// wanted: some milliseconds of any engine but the interpreter.
const slice = 1 << 24

// Classify classifies an image of any size up to sla.MaxSide. It stops soon after ctx
// ends: with at most 2^24 multiply-adds and a small part of a layer still to come. Errors
// are
//
//   - ctx's, if it has ended;
//   - ErrImage for an image that is nil, empty or too large, or panics;
//   - sla.ErrMode for a mode that the slab does not have, ErrOption for a bad option;
//   - ErrEngine if an instance failed, ErrClosed after Close.
func (c *Classifier) Classify(ctx context.Context, img image.Image, opts ...CallOption) (p *Prediction, err error) {
	o, err := newCall(opts)
	if err != nil {
		return nil, err
	}
	mode, err := sla.ResolveMode(&c.model.Manifest, o.mode)
	if err != nil {
		return nil, err
	}
	ctx, end := c.tracer.Start(ctx, "classify")
	defer func() { end(err) }()
	i, err := c.borrow(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { c.giveBack(ctx, i, p != nil, err) }()
	if err := c.preprocess(ctx, i, img); err != nil {
		return nil, err
	}
	r, err := c.run(ctx, func(ctx context.Context) (*sla.Result, error) { return i.run(ctx, mode, slice) })
	if err != nil {
		return nil, err
	}
	return newPrediction(r, c.model.Labels, o.topK), nil
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
// that differs, named by sla.TraceName, is where to look. Errors are those of Classify.
func (c *Classifier) Trace(ctx context.Context, img image.Image, mode sla.Mode) (t []uint64, err error) {
	i, err := c.borrow(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { c.giveBack(ctx, i, t != nil, err) }()
	if err := c.preprocess(ctx, i, img); err != nil {
		return nil, err
	}
	r, err := resume(ctx, func() ([]uint64, error) { return i.trace(ctx, mode, slice) })
	return slices.Clone(r), err
}

// Verify runs the slab's self-test in this engine. The error is sla.ErrSelfTest if the
// slab computes other logits here than where it was made, or one of Classify's.
func (c *Classifier) Verify(ctx context.Context) (err error) {
	i, err := c.borrow(ctx)
	if err != nil {
		return err
	}
	done := false
	defer func() { c.giveBack(ctx, i, done, err) }()
	_, err = resume(ctx, func() ([]byte, error) { return i.verify(ctx, slice) })
	done = err == nil
	return err
}

// borrow waits for an instance of the pool.
func (c *Classifier) borrow(ctx context.Context) (instance, error) {
	ctx, end := c.tracer.Start(ctx, "wait")
	i, err := c.pool.acquire(ctx)
	end(err)
	return i, err
}

// giveBack returns an instance to the pool after a call that was done, or failed with an
// error, or panicked if neither is so.
func (c *Classifier) giveBack(ctx context.Context, i instance, done bool, err error) {
	var stopped *stoppedError
	broken := errors.Is(err, ErrEngine) || errors.As(err, &stopped) || !done && err == nil
	c.pool.release(ctx, i, broken)
}

// preprocess hands an image to an instance in bands of rows.
func (c *Classifier) preprocess(ctx context.Context, i instance, img image.Image) (err error) {
	ctx, end := c.tracer.Start(ctx, "preprocess")
	defer func() { end(err) }()
	b, err := newBands(img, &c.model.Manifest.Input)
	if err != nil {
		return err
	}
	if err := i.begin(ctx, b.width, b.height); err != nil {
		return err
	}
	for y := 0; y < b.height; y += b.rows {
		if err := ctx.Err(); err != nil {
			return err
		}
		rgba, err := b.at(y)
		if err != nil {
			return err
		}
		if err := i.rows(ctx, rgba); err != nil {
			return err
		}
	}
	return nil
}

// run calls step until it returns a result.
func (c *Classifier) run(ctx context.Context, step func(context.Context) (*sla.Result, error)) (r *sla.Result, err error) {
	ctx, end := c.tracer.Start(ctx, "run")
	defer func() { end(err) }()
	for r == nil && err == nil {
		if err = ctx.Err(); err == nil {
			r, err = step(ctx)
		}
	}
	return r, err
}

// resume calls step until it returns something, and looks before each call whether ctx
// has ended.
func resume[T any](ctx context.Context, step func() ([]T, error)) ([]T, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if r, err := step(); r != nil || err != nil {
			return r, err
		}
	}
}

// newPrediction copies a result, which is its instance's.
func newPrediction(r *sla.Result, labels []string, k int) *Prediction {
	p := &Prediction{
		Mode: r.Mode, Passes: r.Passes, Logits: slices.Clone(r.Logits),
		Probabilities: slices.Clone(r.Probabilities), Views: slices.Clone(r.Views),
	}
	top := sla.Top(p.Logits, k)
	p.Top = make([]ClassScore, 0, len(top)) // not nil, which JSON would call null
	for _, index := range top {
		p.Top = append(p.Top, ClassScore{labels[index], index, p.Probabilities[index]})
	}
	return p
}
