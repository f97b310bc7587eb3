package host

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"math/rand/v2"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/format/pack"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/sla/slatest"
)

var engines = []Engine{Wazero, WazeroInterpreter, Native}

// tinySlab returns a small slab whose self-test passes.
func tinySlab(t testing.TB, channels int) []byte {
	t.Helper()
	return slatest.Slab(t, formattest.Tiny(channels))
}

func open(t testing.TB, slab []byte, opts ...Option) *Classifier {
	t.Helper()
	c, err := Open(t.Context(), slab, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return c
}

// noise makes test images of every kind of image.Image that has its own path.
func noise(seed uint64, w, h int) []image.Image {
	rng := rand.New(rand.NewPCG(seed, 1))
	straight := image.NewNRGBA(image.Rect(3, -2, 3+w, -2+h))
	for i := range straight.Pix {
		straight.Pix[i] = byte(rng.Uint32())
	}
	grey := image.NewGray(image.Rect(0, 0, w, h))
	for i := range grey.Pix {
		grey.Pix[i] = byte(rng.Uint32())
	}
	bigger := image.NewNRGBA(image.Rect(0, 0, w+9, h+4))
	for i := range bigger.Pix {
		bigger.Pix[i] = byte(rng.Uint32())
	}
	return []image.Image{straight, grey, bigger.SubImage(image.Rect(2, 1, 2+w, 1+h))}
}

func TestEnginesGiveTheSameBits(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	ctx := t.Context()
	for _, channels := range []int{1, 3} {
		slab := tinySlab(t, channels)
		model, err := format.Decode(slab)
		if err != nil {
			t.Fatal(err)
		}
		reference, err := sla.New(model)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range engines {
			c := open(t, slab, WithEngine(e), WithPoolSize(1))
			if err := c.Verify(ctx); err != nil {
				t.Errorf("%s: %v", e, err)
			}
			for _, size := range [][2]int{{8, 8}, {1, 1}, {31, 200}, {300, 517}} {
				for n, img := range noise(uint64(size[0]), size[0], size[1]) {
					for _, mode := range []sla.Mode{sla.Auto, sla.Baseline, sla.Single, sla.Aggregated, sla.Distilled} {
						want := classifyPlainly(t, reference, img, mode)
						p, err := c.Classify(ctx, img, WithMode(mode), WithTopK(2))
						if err != nil {
							t.Fatalf("%s, %v, %s: %v", e, size, mode, err)
						}
						if !slices.Equal(p.Logits, want.Logits) || !slices.Equal(p.Probabilities, want.Probabilities) ||
							!slices.Equal(p.Views, want.Views) || p.Mode != want.Mode || p.Passes != want.Passes {
							t.Fatalf("%s, %d channels, %v, image %d, %s: got %+v, want %+v", e, channels, size, n, mode, p, want)
						}
						if len(p.Top) != 2 || p.Top[0].Probability < p.Top[1].Probability ||
							p.Top[0].Label != model.Labels[p.Top[0].Index] || p.Logits[p.Top[0].Index] != slices.Max(p.Logits) {
							t.Fatalf("%s: top %v of %v", e, p.Top, p.Logits)
						}
					}
					got, err := c.Trace(ctx, img, sla.Aggregated)
					if err != nil {
						t.Fatal(err)
					}
					classifyPlainly(t, reference, img, sla.Single)
					if want, _ := reference.Trace(sla.Aggregated); !slices.Equal(got, want) {
						t.Errorf("%s: the traces differ", e)
					}
				}
			}
		}
	}
}

// classifyPlainly goes pixel by pixel, straight to package sla.
// Every kernel, stride, tile and odd size, layer by layer.
func TestEnginesAgreeOnOddNets(t *testing.T) {
	slab := slatest.Slab(t, formattest.Odd())
	img := noise(5, 40, 33)[0]
	var want []uint64
	for i, e := range engines {
		c := open(t, slab, WithEngine(e), WithPoolSize(1))
		if err := c.Verify(t.Context()); err != nil {
			t.Errorf("%s: %v", e, err)
		}
		var traces []uint64
		for _, mode := range []sla.Mode{sla.Aggregated, sla.Adaptive} {
			trace, err := c.Trace(t.Context(), img, mode)
			if err != nil {
				t.Fatal(err)
			}
			traces = append(traces, trace...)
		}
		if i == 0 {
			want = traces
		} else if !slices.Equal(traces, want) {
			t.Errorf("%s: the traces differ from those of %s", e, engines[0])
		}
	}
}

func classifyPlainly(t *testing.T, c *sla.Classifier, img image.Image, mode sla.Mode) *sla.Result {
	t.Helper()
	b := img.Bounds()
	var rgba []byte
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			p := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			rgba = append(rgba, p.R, p.G, p.B, p.A)
		}
	}
	if err := errors.Join(c.Begin(b.Dx(), b.Dy()), c.Rows(rgba)); err != nil {
		t.Fatal(err)
	}
	r, err := c.Run(mode)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestErrors(t *testing.T) {
	ctx := t.Context()
	slab := tinySlab(t, 3)
	newer := bytes.Clone(slab)
	newer[8] = 9
	damaged := bytes.Clone(slab)
	damaged[len(damaged)-1] ^= 1
	plain := formattest.Tiny(1)
	plain.Heads, plain.Weights = plain.Heads[:1], plain.Weights[:len(plain.Weights)-4]
	plain.Recommended, plain.Metrics = format.ModeBaseline, nil
	classOnly, err := pack.Encode(plain)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range engines {
		for name, c := range map[string]struct {
			slab []byte
			want error
		}{
			"empty":   {nil, format.ErrNotSlab},
			"newer":   {newer, format.ErrVersion},
			"damaged": {damaged, format.ErrCorrupt},
		} {
			if _, err := Open(ctx, c.slab, WithEngine(e)); !errors.Is(err, c.want) {
				t.Errorf("%s, %s slab: %v, want %v", e, name, err, c.want)
			}
		}
		c := open(t, slab, WithEngine(e))
		small := noise(1, 4, 4)[0]
		if _, err := c.Classify(ctx, image.NewGray(image.Rect(0, 0, 0, 7))); !errors.Is(err, ErrImage) {
			t.Errorf("%s, empty image: %v", e, err)
		}
		if _, err := c.Classify(ctx, image.NewUniform(color.White)); !errors.Is(err, ErrImage) {
			t.Errorf("%s, endless image: %v", e, err)
		}
		if _, err := c.Classify(ctx, small, WithMode(77)); !errors.Is(err, sla.ErrMode) {
			t.Errorf("%s, unknown mode: %v", e, err)
		}
		if _, err := open(t, classOnly, WithEngine(e)).Classify(ctx, small, WithMode(sla.Aggregated)); !errors.Is(err, sla.ErrMode) {
			t.Errorf("%s, mode without a head: %v", e, err)
		}
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		if _, err := c.Classify(cancelled, small); !errors.Is(err, context.Canceled) {
			t.Errorf("%s, cancelled: %v", e, err)
		}
		if _, err := c.Classify(ctx, small); err != nil {
			t.Errorf("%s, after all that: %v", e, err)
		}
	}
}

// Inside the module as outside: cutting a slab anywhere or changing any byte
// returns a code, and the instance lives on.
func TestModuleRefusesDamagedSlabs(t *testing.T) {
	ctx := t.Context()
	slab := tinySlab(t, 1)
	c := open(t, slab, WithPoolSize(1))
	i, err := c.pool.acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { c.pool.release(ctx, i, true) }()
	w := i.(*wazeroInstance)
	try := func(s []byte, what string, n int) {
		if err := w.open(ctx, s, 0); err == nil || errors.Is(err, ErrEngine) {
			t.Fatalf("%s %d: %v", what, n, err)
		}
	}
	for n := 1; n < len(slab); n++ {
		try(slab[:n], "cut to", n)
	}
	bad := make([]byte, len(slab))
	for n := range slab {
		copy(bad, slab)
		bad[n] ^= 0x41
		try(bad, "changed byte", n)
	}
	// Go's collector lets 4 MiB of garbage pile up before it first runs.
	if size := w.mod.Memory().Size(); size > 16<<20 {
		t.Errorf("the module's memory grew to %d bytes", size)
	}
	if _, err := w.run(ctx, sla.Auto, 1); !strings.Contains(err.Error(), "no slab is open") {
		t.Errorf("running without a slab: %v", err)
	}
	if err := w.open(ctx, slab, 0); err != nil {
		t.Errorf("opening the whole slab afterwards: %v", err)
	}
}

func TestBrokenInstancesAreThrownAway(t *testing.T) {
	ctx := t.Context()
	c := open(t, tinySlab(t, 1), WithPoolSize(1), WithMemoryLimit(32<<20))
	img := noise(5, 40, 40)[0]
	before, err := c.Classify(ctx, img)
	if err != nil {
		t.Fatal(err)
	}
	poisoned, err := c.borrow(ctx)
	if err != nil {
		t.Fatal(err)
	}
	_, err = poisoned.(*wazeroInstance).alloc(ctx, 64<<20)
	c.giveBack(ctx, poisoned, false, err)
	if !errors.Is(err, ErrEngine) || !strings.Contains(err.Error(), "out of memory") {
		t.Fatalf("allocating beyond the memory limit: %v", err)
	}
	after, err := c.Classify(ctx, img)
	if err != nil || !slices.Equal(after.Logits, before.Logits) {
		t.Errorf("the call after a crash: %v", err)
	}
	for _, i := range c.pool.idle {
		if i == poisoned {
			t.Error("the poisoned instance is still in the pool")
		}
	}
}

func TestConcurrencyAndClose(t *testing.T) {
	ctx := t.Context()
	for _, e := range []Engine{Wazero, Native} {
		c, err := Open(ctx, tinySlab(t, 3), WithEngine(e), WithPoolSize(2))
		if err != nil {
			t.Fatal(err)
		}
		img := noise(2, 20, 30)[0]
		want, err := c.Classify(ctx, img)
		if err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 20 {
					p, err := c.Classify(ctx, img)
					if errors.Is(err, ErrClosed) {
						return
					}
					if err != nil || !slices.Equal(p.Logits, want.Logits) {
						t.Errorf("%s: %v", e, err)
						return
					}
				}
			})
		}
		c.pool.mu.Lock()
		if n := len(c.pool.idle); n > 2 {
			t.Errorf("%s: %d instances for a pool of 2", e, n)
		}
		c.pool.mu.Unlock()
		if err := c.Close(ctx); err != nil {
			t.Error(err)
		}
		wg.Wait()
		if _, err := c.Classify(ctx, img); !errors.Is(err, ErrClosed) {
			t.Errorf("%s, after Close: %v", e, err)
		}
		if err := c.Close(ctx); err != nil {
			t.Errorf("%s, closing twice: %v", e, err)
		}
	}
}

func TestCloseGivesUpWithItsContext(t *testing.T) {
	ctx := t.Context()
	c := open(t, tinySlab(t, 1), WithEngine(Native), WithPoolSize(1))
	i, err := c.pool.acquire(ctx)
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := c.Close(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("closing while a call is under way: %v", err)
	}
	c.pool.release(ctx, i, false)
	if _, err := c.Classify(ctx, noise(1, 3, 3)[0]); err != nil {
		t.Errorf("after the close that gave up: %v", err)
	}
}

func TestCacheDir(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		c, err := Open(t.Context(), tinySlab(t, 1), WithCacheDir(dir))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(t.Context(), tinySlab(t, 1), WithCacheDir("/dev/null/x")); err == nil {
		t.Error("a cache directory that cannot be")
	}
}

// The import law: whoever embeds host gets wazero, this module's own light
// packages and the standard library.
func TestHostStaysLight(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, dep := range strings.Fields(string(out)) {
		first, _, _ := strings.Cut(dep, "/")
		switch {
		case !strings.Contains(first, "."), strings.HasPrefix(dep, "github.com/tetratelabs/wazero"),
			strings.HasPrefix(dep, "golang.org/x/sys"),                                // wazero's
			dep == "aead.dev/minisign", strings.HasPrefix(dep, "golang.org/x/crypto"), // signatures
			dep == "github.com/quarterturn/quarterturn/format/signature",
			strings.HasPrefix(dep, "golang.org/x/image"), // WebP
			dep == "github.com/quarterturn/quarterturn/host/imagefile",
			dep == "github.com/quarterturn/quarterturn/host",
			dep == "github.com/quarterturn/quarterturn/format",
			dep == "github.com/quarterturn/quarterturn/format/plain",
			strings.HasPrefix(dep, "github.com/quarterturn/quarterturn/sla"),
			dep == "github.com/quarterturn/quarterturn/wasm/abi",
			dep == "github.com/quarterturn/quarterturn/wasm/module":
		default:
			t.Errorf("host imports %s", dep)
		}
	}
}

func BenchmarkClassify(b *testing.B) {
	slab := tinySlab(b, 3)
	img := noise(1, 32, 32)[0]
	for _, e := range engines {
		b.Run(e.String(), func(b *testing.B) {
			c := open(b, slab, WithEngine(e))
			for b.Loop() {
				if _, err := c.Classify(b.Context(), img); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestSlabsThatTakeTooLongAreRefused(t *testing.T) {
	slab := tinySlab(t, 3)
	c := open(t, slab)
	work := sla.Work(&c.Model().Manifest)
	for _, e := range engines {
		if _, err := Open(t.Context(), slab, WithEngine(e), WithMaxWork(work-1)); !errors.Is(err, format.ErrUnsupported) || !strings.Contains(err.Error(), "multiply-adds") {
			t.Errorf("%s: %v", e, err)
		}
		open(t, slab, WithEngine(e), WithMaxWork(work))
	}
}
