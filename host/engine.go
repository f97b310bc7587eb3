package host

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
)

var (
	// ErrImage says that an image cannot be classified as it was given.
	ErrImage = sla.ErrImage
	// ErrEngine says that an instance failed: it trapped or ran out of memory.
	// That instance is gone; the next call gets another one.
	ErrEngine = errors.New("the engine failed")
	// ErrClosed says that the Classifier was closed.
	ErrClosed = errors.New("the classifier is closed")
)

// An engine makes instances of one slab.
type engine interface {
	instantiate(ctx context.Context) (instance, error)
	close(ctx context.Context) error
}

// An instance classifies one image at a time: begin, rows until all are there,
// then run until it returns a result. That one's slices hold until the next call. An
// error that is ErrEngine means that the instance must not be used again.
//
// Calls with work do about so much of it, as sla.Work counts it, and return nil if they are
// not done.
type instance interface {
	begin(ctx context.Context, width, height int) error
	rows(ctx context.Context, rgba []byte) error
	run(ctx context.Context, mode sla.Mode, work int) (*sla.Result, error)
	features(ctx context.Context, work int) ([]float32, error)
	match(ctx context.Context, gallery []float32, work int) (*sla.Result, error)
	trace(ctx context.Context, mode sla.Mode, work int) ([]uint64, error)
	verify(ctx context.Context, work int) (digest []byte, err error)
	memory() uint64 // bytes that it holds
	close(ctx context.Context) error
}

func newEngine(ctx context.Context, slab []byte, model *format.Model, c config) (engine, error) {
	if c.engine == Native {
		return newNativeEngine(model, int(c.memoryLimit))
	}
	return newWazeroEngine(ctx, slab, c)
}

// nativeEngine runs package sla in this process. Its instances share the weights of the
// first.
type nativeEngine struct {
	manifest *format.Manifest
	first    *sla.Classifier
	taken    atomic.Bool // by an instance
}

func newNativeEngine(model *format.Model, limit int) (*nativeEngine, error) {
	c, err := sla.NewWithin(model, limit)
	if err != nil {
		return nil, err
	}
	return &nativeEngine{manifest: &model.Manifest, first: c}, nil
}

func (e *nativeEngine) instantiate(context.Context) (instance, error) {
	if e.taken.Swap(true) {
		return nativeInstance{e.first.Twin(), e.manifest}, nil
	}
	return nativeInstance{e.first, e.manifest}, nil
}

func (*nativeEngine) close(context.Context) error { return nil }

type nativeInstance struct {
	c        *sla.Classifier
	manifest *format.Manifest
}

func (i nativeInstance) begin(_ context.Context, width, height int) error {
	return i.c.Begin(width, height)
}

func (i nativeInstance) rows(_ context.Context, rgba []byte) error { return i.c.Rows(rgba) }

func (i nativeInstance) run(_ context.Context, mode sla.Mode, work int) (*sla.Result, error) {
	return i.c.RunBudget(mode, work)
}

func (i nativeInstance) features(_ context.Context, work int) ([]float32, error) {
	return i.c.Features(work)
}

func (i nativeInstance) match(_ context.Context, gallery []float32, work int) (*sla.Result, error) {
	return i.c.Match(gallery, work)
}

func (i nativeInstance) trace(_ context.Context, mode sla.Mode, work int) ([]uint64, error) {
	return i.c.TraceBudget(mode, work)
}

func (i nativeInstance) verify(_ context.Context, work int) ([]byte, error) {
	if done, err := i.c.SelfTestBudget(work); !done || err != nil {
		return nil, err
	}
	return i.manifest.SelfTest.Digest, nil
}

// memory counts the weights in every instance, though they share them.
func (i nativeInstance) memory() uint64 { return uint64(sla.Memory(i.manifest)) }

func (nativeInstance) close(context.Context) error { return nil }

// A taggedError carries words under a kind of error of this module.
type taggedError struct {
	kind error
	text string
}

func (e *taggedError) Error() string { return e.text }
func (e *taggedError) Unwrap() error { return e.kind }

// A stoppedError is the end of a context that cost an instance its life.
type stoppedError struct{ cause error }

func (e *stoppedError) Error() string { return e.cause.Error() }
func (e *stoppedError) Unwrap() error { return e.cause }
