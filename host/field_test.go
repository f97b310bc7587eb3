package host

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/format/pack"
	"github.com/quarterturn/quarterturn/sla"
)

// slabOf is a slab of a net of one view and a class head over so many pixels.
func slabOf(t testing.TB, height, width, classes int, layers ...format.Layer) []byte {
	t.Helper()
	m := formattest.Tiny(1)
	m.Name = "hostile"
	m.Transforms, m.Heads, m.Recommended, m.Metrics = m.Transforms[:1], m.Heads[:1], format.ModeBaseline, nil
	m.Input.Height, m.Input.Width = height, width
	m.Labels = nil
	for i := range classes {
		m.Labels = append(m.Labels, fmt.Sprint(i))
	}
	m.Layers = layers
	for i := range m.Layers {
		m.Layers[i].Name = fmt.Sprint(i)
	}
	m.Layers = append(m.Layers, format.Layer{Name: "mean", Op: format.OpMean, Input: len(layers)})
	m.Weights = nil
	for _, x := range m.TensorShapes() {
		m.Weights = append(m.Weights, make([]float32, x.Elements()))
	}
	slab, err := pack.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return slab
}

// chain repeats a layer, each reading the one before.
func chain(n int, l format.Layer) (layers []format.Layer) {
	for i := range n {
		l.Input = i
		layers = append(layers, l)
	}
	return layers
}

var (
	conv1 = format.Layer{Op: format.OpConv, Out: 1, Kernel: 1, Stride: 1}
	conv3 = format.Layer{Op: format.OpConv, Out: 1, Kernel: 3, Stride: 1}
	conv7 = format.Layer{Op: format.OpConv, Out: 1, Kernel: 7, Stride: 1}
	max3  = format.Layer{Op: format.OpMax, Out: 1, Kernel: 3, Stride: 1}
	skip  = format.Layer{Op: format.OpShortcut, Out: 1, Stride: 1}
)

// Nets of layers that multiply nothing are cut by a deadline as others are, and bounded
// by WithMaxWork: in Classify, Trace and Verify, in every engine.
func TestFieldA26LayersWithoutProducts(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	img := noise(5, 40, 33)[0]
	for name, slab := range map[string][]byte{
		"max":       slabOf(t, 64, 64, 2, chain(60, max3)...),
		"shortcut":  slabOf(t, 64, 64, 2, chain(200, skip)...),
		"one large": slabOf(t, 512, 512, 2, conv1),
		"wide":      slabOf(t, 2, 4096, 2, chain(20, max3)...),
		"head":      slabOf(t, 1, 1, 60000, format.Layer{Op: format.OpConv, Out: 64, Kernel: 1, Stride: 1}),
	} {
		m, err := format.Decode(slab)
		if err != nil {
			t.Fatal(err)
		}
		work := sla.Work(&m.Manifest)
		for _, e := range []Engine{Wazero, Native} {
			if _, err := Open(t.Context(), slab, WithEngine(e), WithMaxWork(work/2)); !errors.Is(err, format.ErrUnsupported) {
				t.Errorf("%s, %s: with half the work allowed: %v", name, e, err)
			}
			c := open(t, slab, WithEngine(e), WithPoolSize(1))
			for call, f := range map[string]func(ctx context.Context) error{
				"Classify": func(ctx context.Context) error { _, err := c.Classify(ctx, img); return err },
				"Trace":    func(ctx context.Context) error { _, err := c.Trace(ctx, img, sla.Auto); return err },
				"Verify":   c.Verify,
			} {
				ctx := &countdown{Context: t.Context()}
				ctx.left.Store(1 << 40)
				f(ctx)
				looks := 1<<40 - int(ctx.left.Load())
				// Heads and the preprocessing of the last rows come in one piece.
				if name != "head" && looks < work/slice/2 {
					t.Errorf("%s, %s: %s looked %d times whether it was wanted, for %d of work", name, e, call, looks, work)
				}
				ctx.left.Store(int64(looks / 2))
				if err := f(ctx); !errors.Is(err, context.Canceled) {
					t.Errorf("%s, %s: %s that was given up half way: %v", name, e, call, err)
				}
			}
		}
	}
}

// What a net allocates is counted before anything is: borders, channels filled up to
// groups, packed weights. The same slab is refused with the same kind of error in every
// engine, and what is accepted stays within the limit.
func TestFieldA27MemoryIsCountedAsAllocated(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	apart := func(n int, l format.Layer) []format.Layer { // all shapes differ, so that none shares memory
		layers := chain(n, l)
		for i := range layers {
			layers[i].Out = 1 + i
		}
		return layers
	}
	for name, slab := range map[string][]byte{
		"padded channels": slabOf(t, 1024, 1024, 2, chain(3, conv1)...),
		"wide maps":       slabOf(t, 4096, 4096, 2, skip),
		"borders":         slabOf(t, 1, 4096, 2, apart(20, conv7)...),
		"packed weights":  slabOf(t, 16, 16, 2, append(chain(1, format.Layer{Op: format.OpConv, Out: 2048, Kernel: 1, Stride: 1}), func() []format.Layer { l := conv3; l.Input = 1; return []format.Layer{l, l, l} }()...)...),
	} {
		m, err := format.Decode(slab)
		if err != nil {
			t.Fatal(err)
		}
		need := sla.Need(&m.Manifest)
		for _, limit := range []uint64{24 << 20, 0, uint64(need) - 1, uint64(need)} {
			var opts []Option
			if limit > 0 {
				opts = append(opts, WithMemoryLimit(limit))
			} else {
				limit = uint64(sla.DefaultMemory(&m.Manifest))
			}
			want := "accepted"
			if uint64(need) > limit {
				want = "unsupported"
			}
			if want == "accepted" && need > 200<<20 {
				continue // this machine has other work
			}
			for _, e := range []Engine{Wazero, Native} {
				c, err := Open(t.Context(), slab, append(opts, WithEngine(e), WithPoolSize(1))...)
				got := "accepted"
				if err != nil {
					got = err.Error()
					if errors.Is(err, format.ErrUnsupported) {
						got = "unsupported"
					}
				}
				if got != want {
					t.Errorf("%s (needs %d MiB), %s, limit %d MiB: %s, want %s", name, need>>20, e, limit>>20, got, want)
				}
				if c == nil {
					continue
				}
				if _, err := c.Classify(t.Context(), noise(5, 40, 33)[0]); err != nil {
					t.Errorf("%s, %s, limit %d MiB: %v", name, e, limit>>20, err)
				}
				if held := c.pool.idle[0].memory(); held > limit {
					t.Errorf("%s, %s: holds %d bytes, the limit is %d", name, e, held, limit)
				}
				c.Close(t.Context())
			}
		}
	}
}

// An instance that is given just what its net is counted to need does all that an
// instance can do.
func TestFieldA27NeedIsEnough(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	ctx := t.Context()
	big := formattest.Odd()
	big.Input.Height, big.Input.Width = 260, 210
	formattest.Weigh(big)
	for _, m := range []*format.Model{formattest.Tiny(1), formattest.Tiny(3), formattest.Odd(), big} {
		slab, err := pack.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		need := uint64(sla.Need(&m.Manifest))
		c := open(t, slab, WithMemoryLimit(need), WithPoolSize(1))
		g := c.NewGallery()
		for n := range 9 {
			img := noise(uint64(n), 1+n*97, 1+n*113)[0]
			if _, err := c.Classify(ctx, img, Mode(sla.Aggregated)); err != nil {
				t.Fatal(err)
			}
			if n%4 == 0 {
				if err := g.Enrol(ctx, fmt.Sprint(n), img); err != nil {
					t.Fatal(err)
				}
				if _, err := g.Classify(ctx, img); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Trace(ctx, img, sla.Aggregated); err != nil {
					t.Fatal(err)
				}
			}
		}
		t.Logf("%s: needs %.1f MiB, took %.1f", m.Name, float64(need)/(1<<20), float64(c.pool.idle[0].memory())/(1<<20))
	}
}

// Short deadlines end calls, not the pool: the error is the context's, and calls without
// a deadline succeed afterwards.
func TestFieldB29ShortHardDeadlines(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	c := open(t, tinySlab(t, 3), WithPoolSize(2), WithHardDeadline())
	img := noise(5, 300, 300)[0]
	want, err := c.Classify(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	for n := range 240 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(n%24)*100*time.Microsecond)
		if n%3 == 0 { // an instance is lost, so that the call begins by starting one
			i, err := c.borrow(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			c.giveBack(t.Context(), i, false, nil)
		}
		if _, err := c.Classify(ctx, img); err != nil && (!errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrEngine)) {
			t.Fatalf("call %d: %v", n, err)
		}
		cancel()
	}
	got, err := c.Classify(t.Context(), img)
	if err != nil || !slices.Equal(got.Logits, want.Logits) {
		t.Errorf("the call after them: %v", err)
	}
}

// A damaged file in WithCacheDir is made again.
func TestFieldB30DamagedCache(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles the module several times")
	}
	dir := t.TempDir()
	slab := tinySlab(t, 1)
	try := func(what string) {
		t.Helper()
		c, err := Open(t.Context(), slab, WithCacheDir(dir))
		if err != nil {
			t.Errorf("%s: %v", what, err)
			return
		}
		if err := c.Verify(t.Context()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		c.Close(t.Context())
	}
	files := func() (code []string) {
		filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				code = append(code, path)
			}
			return nil
		})
		return code
	}
	try("an empty directory")
	if len(files()) != 2 {
		t.Fatalf("the cache holds %v", files())
	}
	for what, damage := range map[string]func(b []byte) []byte{
		"empty":          func([]byte) []byte { return nil },
		"cut":            func(b []byte) []byte { return b[:len(b)/2] },
		"text":           func([]byte) []byte { return []byte("<html>disk full</html>") },
		"more functions": func(b []byte) []byte { b[14], b[15], b[16] = 0xff, 0xff, 0xff; return b },
		"other offsets":  func(b []byte) []byte { b[200] ^= 0x10; return b },
		"other code":     func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
	} {
		for _, path := range files() {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if len(b) < 300 {
				b = slices.Repeat(b, 300)
			}
			if err := os.WriteFile(path, damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			try(what)
			if what != "empty" && what != "other code" {
				break // one kind of file is enough
			}
		}
	}
	before := files()
	if err := os.Remove(before[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(before[0], 0o700); err != nil {
		t.Fatal(err)
	}
	try("a directory in the place of a file")
	if !slices.Equal(files(), before) {
		t.Errorf("afterwards the cache holds %v, it was %v", files(), before)
	}
}

// Logits that are infinite or no numbers have one order and one NaN, in every engine.
func TestFieldB31NotFinite(t *testing.T) {
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, x := range []struct {
		logits []float32
		top    []int
	}{
		{[]float32{1, nan, 3, inf, -inf, nan, 3}, []int{3, 2, 6, 0, 4, 1, 5}},
		{[]float32{nan, nan, -inf}, []int{2, 0, 1}},
		{[]float32{-inf, -inf}, []int{0, 1}},
		{[]float32{0, float32(math.Copysign(0, -1)), 0}, []int{0, 1, 2}},
	} {
		if got := sla.Top(x.logits, len(x.logits)); !slices.Equal(got, x.top) {
			t.Errorf("top of %v: %v, want %v", x.logits, got, x.top)
		}
	}
	for name, change := range map[string]func(m *format.Model, head int){
		"infinite": func(m *format.Model, h int) { fill(m.Weights[h], 3e38) },
		"opposite": func(m *format.Model, h int) {
			fill(m.Weights[h], 3e38)
			for i := range m.Weights[h] {
				m.Weights[h][i] *= float32(1 - 2*(i%2))
			}
		},
		"minus":  func(m *format.Model, h int) { fill(m.Weights[h], -3e38) },
		"scaled": func(m *format.Model, h int) { fill(m.Weights[0], 1e38); fill(m.Weights[2], 1e38) },
	} {
		m := formattest.Tiny(3)
		first := len(m.Weights) - 6
		for h := first; h < len(m.Weights); h += 2 {
			change(m, h)
		}
		slab, err := pack.Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		var want []*Prediction
		for _, e := range []Engine{Native, Wazero} {
			c := open(t, slab, WithEngine(e), WithPoolSize(1))
			for k, of := range m.Modes() {
				mode, err := sla.ParseMode(of)
				if err != nil {
					t.Fatal(err)
				}
				p, err := c.Classify(t.Context(), noise(5, 40, 33)[0], Mode(mode))
				if err != nil {
					t.Fatal(err)
				}
				for _, v := range slices.Concat(p.Logits, p.Probabilities, p.Views) {
					if v != v && math.Float32bits(v) != 0x7fc00000 {
						t.Errorf("%s, %s: a NaN of the bits %x", name, e, math.Float32bits(v))
					}
				}
				if e == Native {
					want = append(want, p)
				} else if p.Digest() != want[k].Digest() || string(sla.AppendBits(nil, p.Probabilities)) != string(sla.AppendBits(nil, want[k].Probabilities)) ||
					fmt.Sprint(p.Top) != fmt.Sprint(want[k].Top) {
					t.Errorf("%s, %s: %v, natively %v", name, mode, p, want[k])
				}
			}
		}
	}
}

func fill(s []float32, v float32) {
	for i := range s {
		s[i] = v
	}
}

// grenade is an image that panics at a pixel.
type grenade struct{ image.Image }

func (grenade) At(x, y int) color.Color {
	if y == 20 {
		panic("boom")
	}
	return color.White
}

// Nonsense is an error, in the call that it was given to and no other.
func TestFieldB32Nonsense(t *testing.T) {
	slab := tinySlab(t, 3)
	good := noise(5, 40, 33)[0]
	var none *image.NRGBA
	short := image.NewNRGBA(image.Rect(0, 0, 8, 8))
	short.Pix = short.Pix[:100]
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, e := range []Engine{Wazero, Native} {
		c := open(t, slab, WithEngine(e), WithPoolSize(2))
		bad := map[string]image.Image{
			"nil": nil, "a nil pointer": none, "a panic": grenade{good}, "cut pixels": short,
			"endless":  image.NewUniform(color.White),
			"too wide": image.NewGray(image.Rect(0, 0, sla.MaxSide+1, 1)),
			"inverted": &image.Gray{Rect: image.Rectangle{Min: image.Pt(5, 5), Max: image.Pt(1, 1)}},
			"far away": &image.Gray{Rect: image.Rectangle{Min: image.Pt(math.MinInt, 0), Max: image.Pt(math.MaxInt, 8)}},
		}
		for name, img := range bad {
			if _, err := c.Classify(t.Context(), img); !errors.Is(err, ErrImage) {
				t.Errorf("%s, %s: %v", e, name, err)
			}
			if err := c.NewGallery().Enrol(t.Context(), "x", img); !errors.Is(err, ErrImage) {
				t.Errorf("%s, enrolling %s: %v", e, name, err)
			}
			got, err := c.ClassifyBatch(t.Context(), []image.Image{good, img, good})
			if !errors.Is(err, ErrImage) || !strings.Contains(err.Error(), "image 1") || got[0] == nil || got[1] != nil || got[2] == nil {
				t.Errorf("%s, a batch with %s: %v %v", e, name, got, err)
			}
		}
		if _, err := c.Classify(t.Context(), good, TopK(-1)); !errors.Is(err, ErrOption) {
			t.Errorf("%s, the top -1: %v", e, err)
		}
		if p, err := c.Classify(t.Context(), good, TopK(math.MaxInt)); err != nil || len(p.Top) != 3 {
			t.Errorf("%s, the top of all: %v", e, err)
		}
		for name, f := range map[string]func() error{
			"Open":     func() error { _, err := Open(cancelled, slab, WithEngine(e)); return err },
			"Classify": func() error { _, err := c.Classify(cancelled, good); return err },
			"Trace":    func() error { _, err := c.Trace(cancelled, good, sla.Auto); return err },
			"Verify":   func() error { return c.Verify(cancelled) },
			"Enrol":    func() error { return c.NewGallery().Enrol(cancelled, "x", good) },
		} {
			if err := f(); !errors.Is(err, context.Canceled) {
				t.Errorf("%s, %s with a context that has ended: %v", e, name, err)
			}
		}
	}
	for name, o := range map[string]Option{
		"no pool": WithPoolSize(0), "a negative pool": WithPoolSize(-3), "a huge pool": WithPoolSize(1e8),
		"no memory": WithMemoryLimit(0), "a pool without memory": WithPoolMemory(0), "no work": WithMaxWork(0),
		"negative work": WithMaxWork(math.MinInt), "an engine": WithEngine(77), "a tracer": WithTracer(nil),
	} {
		if _, err := Open(t.Context(), slab, o); !errors.Is(err, ErrOption) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := open(t, slab, WithMemoryLimit(math.MaxUint64), WithPoolMemory(math.MaxUint64), WithMaxWork(math.MaxInt))
	if _, err := c.Classify(t.Context(), good); err != nil {
		t.Errorf("with limits as large as can be: %v", err)
	}
}

// The worst slab that the defaults accept: the smallest file that may take the most.
func TestFieldA27WorstSlab(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 250 MB")
	}
	side, slab := 1024, []byte(nil)
	for {
		next := slabOf(t, side, side, 2, conv7, func() format.Layer { l := conv7; l.Input = 1; return l }())
		m, err := format.Decode(next)
		if err != nil {
			t.Fatal(err)
		}
		if sla.CheckMemory(&m.Manifest, sla.DefaultMemory(&m.Manifest)) != nil {
			break
		}
		slab, side = next, side+16
	}
	for _, e := range []Engine{Wazero, Native} {
		c := open(t, slab, WithEngine(e), WithPoolSize(1))
		held := c.pool.idle[0].memory()
		if limit := sla.DefaultMemory(&c.Model().Manifest); held > uint64(limit) {
			t.Errorf("%s: holds %d bytes, more than %d", e, held, limit)
		}
		t.Logf("%s: a slab of %d bytes takes %d MiB, %d times its size", e, len(slab), held>>20, held/uint64(len(slab)))
	}
}
