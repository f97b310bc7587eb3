package host

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"math/rand/v2"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/format/pack"
	"github.com/quarterturn/quarterturn/sla"
)

var nets = flag.Int("nets", 100, "random nets of TestRandomNetsNativeAgainstWazero")

// differential runs a net that bytes choose in both engines, in one runtime, on an image
// that they choose, and compares every bit of every answer.
type differential struct {
	w *wazeroEngine
	i *wazeroInstance
}

func newDifferential(t testing.TB) *differential {
	ctx := context.Background()
	w, err := newWazeroEngine(ctx, tinySlab(t, 1), config{engine: Wazero, memoryLimit: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.close(ctx) })
	return &differential{w: w}
}

func (d *differential) run(t testing.TB, b []byte) {
	ctx := t.Context()
	dice := formattest.Dice(b)
	m := formattest.Random(&dice)
	slab, err := pack.Encode(m)
	if err != nil {
		t.Fatalf("a random model is not valid: %v\n%+v", err, m.Manifest)
	}
	img := image.NewNRGBA(image.Rect(0, 0, 1+dice.Of(50), 1+dice.Of(50)))
	for k := range img.Pix {
		img.Pix[k] = byte(k*31) + byte(len(dice))
		if len(dice) > 0 {
			img.Pix[k] += dice[k%len(dice)]
		}
	}
	engine, err := newNativeEngine(m, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	native, err := engine.instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if d.i == nil {
		i, err := d.w.instantiate(ctx)
		if err != nil {
			t.Fatal(err)
		}
		d.i = i.(*wazeroInstance)
	}
	if err := d.i.open(ctx, slab, 1<<30); err != nil {
		t.Fatalf("wazero refuses what native takes: %v\n%+v", err, m.Manifest)
	}
	work := 1 << (10 + dice.Of(16)) // in pieces, or whole
	a, c := answers(ctx, m, native, img, work), answers(ctx, m, d.i, img, work)
	for k := range a {
		if !bytes.Equal(a[k], c[k]) {
			t.Fatalf("answer %d: native %x, wazero %x\n%+v", k, a[k], c[k], m.Layers)
		}
	}
}

// answers is what an instance answers in every mode, with a gallery, and its trace, as bytes.
func answers(ctx context.Context, m *format.Model, i instance, img image.Image, work int) (all [][]byte) {
	c := &Classifier{model: m, tracer: noTracer{}}
	note := func(r *sla.Result, err error) {
		if err != nil {
			all = append(all, fmt.Append(nil, errors.Is(err, sla.ErrMode), errors.Is(err, ErrEngine)))
			return
		}
		b := fmt.Append(nil, r.Mode, r.Passes, sla.Top(r.Logits, 3))
		all = append(all, sla.AppendBits(sla.AppendBits(sla.AppendBits(b, r.Logits), r.Probabilities), r.Views))
	}
	for mode := sla.Auto; mode <= sla.Matched; mode++ {
		if err := c.preprocess(ctx, i, img); err != nil {
			return append(all, []byte(err.Error()))
		}
		note(c.run(ctx, func(ctx context.Context) (*sla.Result, error) { return i.run(ctx, mode, work) }))
	}
	if err := c.preprocess(ctx, i, img); err != nil {
		return append(all, []byte(err.Error()))
	}
	directions, err := resume(ctx, func() ([]float32, error) { return i.features(ctx, work) })
	if err != nil {
		return append(all, []byte(err.Error()))
	}
	all = append(all, sla.AppendBits(nil, directions))
	gallery := append(append([]float32(nil), directions...), make([]float32, len(directions))...)
	note(c.run(ctx, func(ctx context.Context) (*sla.Result, error) { return i.match(ctx, gallery, work) }))
	trace, err := resume(ctx, func() ([]uint64, error) { return i.trace(ctx, sla.Aggregated, work) })
	return append(all, fmt.Append(nil, trace, err))
}

// An instance that reads one slab after the other does not grow: its collector works.
func TestInstancesDoNotGrow(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	ctx := t.Context()
	d := newDifferential(t)
	i, err := d.w.instantiate(ctx)
	if err != nil {
		t.Fatal(err)
	}
	m := formattest.Odd()
	slab, err := pack.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	for range 400 {
		if err := i.(*wazeroInstance).open(ctx, slab, 1<<30); err != nil {
			t.Fatal(err)
		}
	}
	if need := uint64(sla.Need(&m.Manifest)); i.memory() > need {
		t.Errorf("an instance holds %d bytes, the slab needs %d", i.memory(), need)
	}
}

// 100,000 nets are go test -run RandomNets ./host -nets 100000.
func TestRandomNetsNativeAgainstWazero(t *testing.T) {
	d := newDifferential(t)
	rng := rand.New(rand.NewPCG(17, 1))
	b := make([]byte, 200)
	for n := range *nets {
		if n%1000 == 999 {
			t.Logf("%d nets", n+1)
		}
		for k := range b {
			b[k] = byte(rng.Uint32())
		}
		d.run(t, b)
	}
}

func FuzzNativeAgainstWazero(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz"))
	f.Add(bytes.Repeat([]byte{3, 1, 4, 1, 5, 9, 2, 6}, 20))
	d := newDifferential(f)
	f.Fuzz(func(t *testing.T, b []byte) { d.run(t, b) })
}
