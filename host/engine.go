package host

import (
	"context"
	"errors"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
)

var (
	// ErrImage says that an image cannot be classified as it was given.
	ErrImage = errors.New("unusable image")
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
// then run until it gives a result. That one's slices hold until the next call. An
// error that is ErrEngine means that the instance must not be used again.
type instance interface {
	begin(ctx context.Context, width, height int) error
	rows(ctx context.Context, rgba []byte) error
	// run goes on for about that many multiply-adds; nil means that it is not done.
	run(ctx context.Context, mode sla.Mode, macs int) (*sla.Result, error)
	// features and match may give nil in the same way.
	features(ctx context.Context, macs int) ([]float32, error)
	match(ctx context.Context, gallery []float32, macs int) (*sla.Result, error)
	trace(ctx context.Context, mode sla.Mode) ([]uint64, error)
	verify(ctx context.Context) error
	memory() uint64 // bytes that it holds
	close(ctx context.Context) error
}

func newEngine(ctx context.Context, slab []byte, model *format.Model, c config) (engine, error) {
	if c.engine == Native {
		return nativeEngine{model}, nil
	}
	return newWazeroEngine(ctx, slab, c)
}

// nativeEngine runs package sla in this process.
type nativeEngine struct{ model *format.Model }

func (e nativeEngine) instantiate(context.Context) (instance, error) {
	c, err := sla.New(e.model)
	if err != nil {
		return nil, err
	}
	return nativeInstance{c}, nil
}

func (nativeEngine) close(context.Context) error { return nil }

type nativeInstance struct{ c *sla.Classifier }

func (i nativeInstance) begin(_ context.Context, width, height int) error {
	return imageError(i.c.Begin(width, height))
}

func (i nativeInstance) rows(_ context.Context, rgba []byte) error { return imageError(i.c.Rows(rgba)) }

func (i nativeInstance) run(_ context.Context, mode sla.Mode, macs int) (*sla.Result, error) {
	return i.c.RunFor(mode, macs)
}

func (i nativeInstance) features(_ context.Context, macs int) ([]float32, error) {
	return i.c.Features(macs)
}

func (i nativeInstance) match(_ context.Context, gallery []float32, macs int) (*sla.Result, error) {
	return i.c.Match(gallery, macs)
}

func (i nativeInstance) trace(_ context.Context, mode sla.Mode) ([]uint64, error) {
	return i.c.Trace(mode)
}

func (i nativeInstance) verify(context.Context) error { return i.c.SelfTest() }

func (i nativeInstance) memory() uint64 { return uint64(i.c.Memory()) }

func (nativeInstance) close(context.Context) error { return nil }

func imageError(err error) error {
	if err != nil {
		return &taggedError{ErrImage, err.Error()}
	}
	return nil
}

// A taggedError carries the words of another error under a kind of this module.
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
