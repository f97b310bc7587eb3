package host

import (
	"context"
	"errors"
	"image"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/format/pack"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/sla/slatest"
)

func TestBatch(t *testing.T) {
	ctx := t.Context()
	images := append(noise(1, 20, 20), noise(2, 9, 30)...)
	images = append(images, image.NewGray(image.Rect(0, 0, 0, 7)), images[0])
	for _, e := range []Engine{Wazero, Native} {
		c := open(t, tinySlab(t, 3), WithEngine(e), WithPoolSize(2))
		got, err := c.ClassifyBatch(ctx, images, WithMode(sla.Aggregated))
		if !errors.Is(err, ErrImage) || !strings.Contains(err.Error(), "image 6: the image is empty") || strings.Count(err.Error(), "image ") != 2 {
			t.Errorf("%s: %v", e, err)
		}
		for i, p := range got {
			want, err := c.Classify(ctx, images[i], WithMode(sla.Aggregated))
			if (p == nil) != (err != nil) || p != nil && !slices.Equal(p.Logits, want.Logits) {
				t.Errorf("%s, image %d: %v, want %v", e, i, p, want)
			}
		}
		if got, err := c.ClassifyBatch(ctx, nil); len(got) != 0 || err != nil {
			t.Errorf("%s: no images: %v %v", e, got, err)
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := c.ClassifyBatch(ended, images); !errors.Is(err, context.Canceled) || strings.Count(err.Error(), "\n") != len(images)-1 {
			t.Errorf("%s: after the end: %v", e, err)
		}
	}
}

// A countdown is a context that ends when it has been asked so many times.
type countdown struct {
	context.Context
	left atomic.Int64
}

func (c *countdown) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

// A call given up in the middle of an image leaves its instance fit for the next one.
func TestCancelBetweenLayers(t *testing.T) {
	m := formattest.Tiny(3)
	m.Input.Height, m.Input.Width = 256, 256 // some 10 million multiply-adds a layer
	slab := slatest.Slab(t, m)
	img := noise(5, 40, 33)[0]
	for _, e := range engines {
		if e == WazeroInterpreter {
			continue // takes seconds
		}
		c := open(t, slab, WithEngine(e), WithPoolSize(1))
		want, err := c.Classify(t.Context(), img, WithMode(sla.Aggregated))
		if err != nil {
			t.Fatal(err)
		}
		before := c.pool.idle[0]
		ctx := &countdown{Context: t.Context()}
		looks := 0
		for ; ; looks++ {
			ctx.left.Store(int64(looks))
			p, err := c.Classify(ctx, img, WithMode(sla.Aggregated))
			if err == nil {
				if !slices.Equal(p.Logits, want.Logits) {
					t.Errorf("%s: other logits after calls that were given up", e)
				}
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("%s: given up at look %d: %v", e, looks, err)
			}
		}
		if looks < 6 {
			t.Errorf("%s: the call looked %d times whether it was wanted", e, looks)
		}
		if c.pool.idle[0] != before {
			t.Errorf("%s: the instance was thrown away", e)
		}
	}
}

// longParts is a slab of a net whose parts of a layer take some tenths of a second.
func longParts(t testing.TB) []byte {
	m := formattest.Tiny(3)
	m.Input.Height, m.Input.Width = 16, 16
	m.Layers = []format.Layer{
		{Name: "widen", Op: format.OpConv, Out: 512, Kernel: 1, Stride: 1},
		{Name: "long", Op: format.OpConv, Input: 1, Out: 512, Kernel: 3, Stride: 1},
		{Name: "mean", Op: format.OpMean, Input: 2},
	}
	formattest.Weigh(m)
	slab, err := pack.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return slab
}

func TestHardDeadline(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	slab := longParts(t)
	img := noise(5, 40, 33)[0]
	c := open(t, slab, WithPoolSize(1), WithHardDeadline())
	want, err := c.Classify(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	// The deadline may also fall between two parts, which leaves the instance whole.
	stopped := false
	for ms := 10; ms < 1000 && !stopped; ms += ms/4 + 1 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(ms)*time.Millisecond)
		_, err := c.Classify(ctx, img)
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrEngine) {
			t.Fatalf("past the deadline: %v", err)
		}
		c.pool.mu.Lock()
		stopped = len(c.pool.idle) == 0
		c.pool.mu.Unlock()
	}
	if !stopped {
		t.Error("no instance was stopped in the middle of a part")
	}
	got, err := c.Classify(t.Context(), img)
	if err != nil || !slices.Equal(got.Logits, want.Logits) {
		t.Errorf("the call after it: %v", err)
	}
}

func TestPoolMemory(t *testing.T) {
	slab := tinySlab(t, 3)
	for _, e := range []Engine{Wazero, Native} {
		one := open(t, slab, WithEngine(e)).pool.idle[0].memory()
		for memory, want := range map[uint64]int{1: 1, one: 1, 3*one - 1: 2, 3 * one: 3, 100 * one: 8} {
			if n := cap(open(t, slab, WithEngine(e), WithPoolSize(8), WithPoolMemory(memory)).pool.slots); n != want {
				t.Errorf("%s: with memory for %d instances the pool has %d, want %d", e, memory/one, n, want)
			}
		}
	}
}

func isOption(err error) bool { return err != nil && errors.Is(err, ErrOption) }

// Options that are nil are refused, and end nothing.
func TestNilOptions(t *testing.T) {
	slab := tinySlab(t, 1)
	if _, err := Open(t.Context(), slab, WithPoolSize(1), nil); !isOption(err) {
		t.Errorf("Open: %v", err)
	}
	c := open(t, slab)
	img := noise(1, 9, 9)[0]
	if _, err := c.Classify(t.Context(), img, nil); !isOption(err) {
		t.Errorf("Classify: %v", err)
	}
	if p, err := c.ClassifyBatch(t.Context(), []image.Image{img, img}, WithTopK(1), nil); !isOption(err) || len(p) != 2 {
		t.Errorf("ClassifyBatch: %v %v", p, err)
	}
	if _, err := c.ClassifyFile(t.Context(), pngOf(t, img), nil); !isOption(err) {
		t.Errorf("ClassifyFile: %v", err)
	}
	g := c.NewGallery()
	if err := g.Enrol(t.Context(), "a", img); err != nil {
		t.Fatal(err)
	}
	if _, err := g.Classify(t.Context(), img, nil); !isOption(err) {
		t.Errorf("Gallery.Classify: %v", err)
	}
}
