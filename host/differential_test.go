package host

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"image"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/format/pack"
	"github.com/quarterturn/quarterturn/sla"
)

var nets = flag.Int("nets", 100, "random nets of TestRandomNetsNativeAgainstWazero")

// differential runs a net that bytes choose in both engines, under wazero in one of two
// instances that read one net after the other, and compares every bit of every answer.
type differential struct {
	builds [2]*wazeroInstance // plain, SIMD
}

// newDifferentials returns so many, all of the same compiled code.
func newDifferentials(t testing.TB, n int) []differential {
	ctx := context.Background()
	all := make([]differential, n)
	for k := range all[0].builds {
		w, err := newWazeroEngine(ctx, tinySlab(t, 1), config{engine: Wazero, memoryLimit: 1 << 30, simd: k == 1})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { w.close(ctx) })
		for i := range all {
			instance, err := w.instantiate(ctx)
			if err != nil {
				t.Fatal(err)
			}
			all[i].builds[k] = instance.(*wazeroInstance)
		}
	}
	return all
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
	i := d.builds[dice.Of(len(d.builds))]
	if err := i.open(ctx, slab, 1<<30); err != nil {
		t.Fatalf("wazero refuses what native takes: %v\n%+v", err, m.Manifest)
	}
	s := session{m: m, img: img, work: 1 << (10 + dice.Of(16)), fresh: dice.Of(4) == 0, first: sla.Mode(dice.Of(int(sla.Matched) + 1))}
	x, y := s.answers(ctx, native), s.answers(ctx, i)
	for k := range x {
		if !bytes.Equal(x[k], y[k]) {
			t.Fatalf("answer %d of the net of %x: native %x, wazero %x\n%+v", k, b, x[k], y[k], m.Layers)
		}
	}
}

// A session is what is asked of an instance.
type session struct {
	m     *format.Model
	img   image.Image
	work  int      // of a call: in pieces, or whole
	fresh bool     // the image is given anew for every answer; else answers share their passes
	first sla.Mode // of all modes
}

// answers is what an instance answers in every mode, with a gallery, and its trace, as bytes.
func (s *session) answers(ctx context.Context, i instance) (all [][]byte) {
	c := &Classifier{model: s.m, tracer: noTracer{}}
	note := func(r *sla.Result, err error) {
		if err != nil {
			all = append(all, fmt.Append(nil, errors.Is(err, sla.ErrMode), errors.Is(err, ErrEngine)))
			return
		}
		b := fmt.Append(nil, r.Mode, r.Passes, sla.Top(r.Logits, 3))
		all = append(all, sla.AppendBits(sla.AppendBits(sla.AppendBits(b, r.Logits), r.Probabilities), r.Views))
	}
	const modes = sla.Matched + 1
	for k := range modes {
		if k == 0 || s.fresh {
			if err := c.preprocess(ctx, i, s.img); err != nil {
				return append(all, []byte(err.Error()))
			}
		}
		note(c.run(ctx, func(ctx context.Context) (*sla.Result, error) { return i.run(ctx, (s.first+k)%modes, s.work) }))
	}
	if s.fresh {
		if err := c.preprocess(ctx, i, s.img); err != nil {
			return append(all, []byte(err.Error()))
		}
	}
	directions, err := resume(ctx, func() ([]float32, error) { return i.features(ctx, s.work) })
	if err != nil {
		return append(all, []byte(err.Error()))
	}
	all = append(all, sla.AppendBits(nil, directions))
	gallery := append(append([]float32(nil), directions...), make([]float32, len(directions))...)
	note(c.run(ctx, func(ctx context.Context) (*sla.Result, error) { return i.match(ctx, gallery, s.work) }))
	trace, err := resume(ctx, func() ([]uint64, error) { return i.trace(ctx, sla.Aggregated, s.work) })
	return append(all, fmt.Append(nil, trace, err))
}

// An instance that reads one slab after the other does not grow: its collector works.
func TestInstancesDoNotGrow(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	ctx := t.Context()
	i := newDifferentials(t, 1)[0].builds[0]
	m := formattest.Odd()
	slab, err := pack.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	for range 400 {
		if err := i.open(ctx, slab, 1<<30); err != nil {
			t.Fatal(err)
		}
	}
	if need := uint64(sla.Need(&m.Manifest)); i.memory() > need {
		t.Errorf("an instance holds %d bytes, the slab needs %d", i.memory(), need)
	}
}

// 100,000 nets are go test -run RandomNets ./host -nets 100000. Net n is the same however
// many processors take part.
func TestRandomNetsNativeAgainstWazero(t *testing.T) {
	var next atomic.Int64
	workers := newDifferentials(t, runtime.GOMAXPROCS(0))
	for i := range workers {
		t.Run(fmt.Sprint("processor ", i+1), func(t *testing.T) {
			t.Parallel()
			d := &workers[i]
			b := make([]byte, 200)
			for n := next.Add(1); n <= int64(*nets); n = next.Add(1) {
				rng := rand.New(rand.NewPCG(17, uint64(n)))
				for k := range b {
					b[k] = byte(rng.Uint32())
				}
				d.run(t, b)
				if n%1000 == 0 {
					t.Logf("%d nets", n)
				}
			}
		})
	}
}

func FuzzNativeAgainstWazero(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz"))
	f.Add(bytes.Repeat([]byte{3, 1, 4, 1, 5, 9, 2, 6}, 20))
	d := &newDifferentials(f, 1)[0]
	f.Fuzz(func(t *testing.T, b []byte) { d.run(t, b) })
}
