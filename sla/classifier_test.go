//go:build !wasm

package sla

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
)

// show gives a classifier a random image.
func show(t *testing.T, c *Classifier, seed uint64) {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 1))
	const width, height = 20, 25
	rgba := make([]byte, 4*width*height)
	for i := range rgba {
		rgba[i] = byte(rng.Uint32())
	}
	if err := c.Begin(width, height); err != nil {
		t.Fatal(err)
	}
	if err := c.Rows(rgba); err != nil {
		t.Fatal(err)
	}
}

// Adaptive inference, told once more from what the other modes say.
func TestAdaptive(t *testing.T) {
	m := formattest.Tiny(3)
	m.Exits = make([]format.Exit, 4)
	c := open(t, m)
	rng := rand.New(rand.NewPCG(3, 4))
	margin := func(logits []float32) float32 {
		s := slices.Sorted(slices.Values(logits))
		return s[len(s)-1] - s[len(s)-2]
	}
	taken := map[int]int{}
	for seed := range uint64(200) {
		for i := range m.Exits[:3] {
			m.Exits[i] = format.Exit{Margin: .5 * rng.Float32(), Temperature: 1 + rng.Float32()}
		}
		m.Exits[3].Temperature = .5
		show(t, c, seed)
		d, err := c.Run(Distilled)
		if err != nil {
			t.Fatal(err)
		}
		want, passes := slices.Clone(d.Logits), 1
		a, err := c.Run(Aggregated)
		if err != nil {
			t.Fatal(err)
		}
		views := slices.Clone(a.Views)
		for ; margin(want) < m.Exits[passes-1].Margin; passes++ {
			for i := range want {
				var sum float32
				for j := range passes + 1 {
					sum += views[j*len(want)+i]
				}
				want[i] = sum / float32(passes+1)
			}
		}
		show(t, c, seed) // nothing is known of the image any more
		got, err := c.Run(Adaptive)
		if err != nil {
			t.Fatal(err)
		}
		if got.Mode != Adaptive || got.Passes != passes || !slices.Equal(got.Logits, want) {
			t.Fatalf("image %d: %d passes, logits %v; want %d, %v", seed, got.Passes, got.Logits, passes, want)
		}
		if (got.Views == nil) != (passes == 1) || passes > 1 && !slices.Equal(got.Views, views[:passes*len(want)]) {
			t.Fatalf("image %d: %d passes, views %v", seed, passes, got.Views)
		}
		var sum float64
		for _, v := range want {
			sum += math.Exp(float64(v) / float64(m.Exits[passes-1].Temperature))
		}
		for i, p := range got.Probabilities {
			if e := math.Exp(float64(want[i])/float64(m.Exits[passes-1].Temperature)) / sum; math.Abs(float64(p)-e) > 1e-6 {
				t.Fatalf("image %d: probability %v, want %v", seed, p, e)
			}
		}
		taken[passes]++
	}
	if len(taken) != 4 {
		t.Errorf("exits taken: %v; the images are to take every one", taken)
	}
}

// A run in pieces returns what a whole one returns, also if another mode or image
// comes in between.
func TestRunBudget(t *testing.T) {
	m := formattest.Odd()
	c := open(t, m)
	whole := func(seed uint64, mode Mode) []float32 {
		show(t, c, seed)
		r, err := c.Run(mode)
		if err != nil {
			t.Fatal(err)
		}
		return slices.Clone(r.Logits)
	}
	for _, mode := range []Mode{Baseline, Single, Aggregated, Distilled, Adaptive} {
		for _, work := range []int{1, 50_000} {
			wantA, wantB := whole(1, mode), whole(2, Aggregated)
			show(t, c, 1)
			pieces := 0
			var r *Result
			for ; r == nil; pieces++ {
				var err error
				if r, err = c.RunBudget(mode, work); err != nil {
					t.Fatal(err)
				}
			}
			if !slices.Equal(r.Logits, wantA) || pieces < 3 {
				t.Errorf("%s in %d pieces: other logits", mode, pieces)
			}
			show(t, c, 1)
			if r, err := c.RunBudget(mode, work); r != nil || err != nil {
				t.Fatalf("%s was done at once: %v", mode, err)
			}
			if r, err := c.Run(mode); err != nil || !slices.Equal(r.Logits, wantA) {
				t.Errorf("%s, interrupted and then run whole: other logits (%v)", mode, err)
			}
			show(t, c, 1)
			if r, err := c.RunBudget(mode, work); r != nil || err != nil {
				t.Fatalf("%s was done at once: %v", mode, err)
			}
			if !slices.Equal(whole(2, Aggregated), wantB) {
				t.Errorf("%s, interrupted by another image: other logits", mode)
			}
		}
	}
}

// Views that go through the later layers together give the bits that each gives alone, in
// logits, features and every layer, whatever the pieces.
func TestGroupsOfViews(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 1))
	six := formattest.Tiny(3)
	six.Transforms = append(six.Transforms, format.Transform{Turns: 1, Channels: []int{1, 2, 0}}, format.Transform{Turns: 2, Channels: []int{2, 0, 1}})
	formattest.Weigh(six)
	models := []*format.Model{six, formattest.Odd()}
	for range 200 {
		dice := make(formattest.Dice, 200)
		for i := range dice {
			dice[i] = byte(rng.Uint32())
		}
		models = append(models, formattest.Random(&dice))
	}
	kinds := map[[2]bool]int{}
	for i, m := range models {
		c := open(t, m)
		largest := c.net.group
		kinds[[2]bool{largest > 1, c.net.from > 0}]++
		type answer struct {
			logits, directions []float32
			trace              []uint64
		}
		ask := func(group, work int) (a answer) {
			c.net.group = group
			show(t, c, uint64(i))
			for a.directions == nil {
				z, err := c.Features(work)
				if err != nil {
					t.Fatal(err)
				}
				a.directions = slices.Clone(z)
			}
			for a.trace == nil {
				trace, err := c.TraceBudget(Aggregated, work)
				if err != nil {
					t.Fatal(err)
				}
				a.trace = slices.Clone(trace)
			}
			a.logits = slices.Clone(c.result.Logits)
			return a
		}
		want := ask(1, math.MaxInt)
		if n := m.Views()*len(m.Layers) + 1; len(want.trace) != n {
			t.Fatalf("net %d: a trace of %d entries, want %d", i, len(want.trace), n)
		}
		for group := 1; group <= largest; group++ {
			for _, work := range []int{math.MaxInt, 1 << rng.IntN(20)} {
				got := ask(group, work)
				if !slices.Equal(got.trace, want.trace) || fingerprint(0, got.directions) != fingerprint(0, want.directions) || fingerprint(0, got.logits) != fingerprint(0, want.logits) {
					t.Errorf("net %d, %d views together, in pieces of %d: other bits than one by one\n%+v", i, group, work, m.Layers)
				}
			}
		}
	}
	if len(kinds) < 3 {
		t.Errorf("nets that group views, from the first layer on or a later one: %v; there are to be some of each, and some that do not", kinds)
	}
	t.Log(kinds)
}

// A twin answers as its original does, while that answers about another image.
func TestTwin(t *testing.T) {
	c := open(t, formattest.Odd())
	twin := c.Twin()
	show(t, c, 1)
	show(t, twin, 2)
	for _, mode := range []Mode{Aggregated, Adaptive} {
		var got [2][]float32
		for got[0] == nil || got[1] == nil {
			for i, x := range []*Classifier{c, twin} { // in turn
				r, err := x.RunBudget(mode, 100_000)
				if err != nil {
					t.Fatal(err)
				}
				if r != nil {
					got[i] = slices.Clone(r.Logits)
				}
			}
		}
		alone := open(t, formattest.Odd())
		for i, seed := range []uint64{1, 2} {
			show(t, alone, seed)
			want, err := alone.Run(mode)
			if err != nil || !slices.Equal(got[i], want.Logits) {
				t.Errorf("%s, image %d: other logits than alone (%v)", mode, seed, err)
			}
		}
	}
}

// What Memory counts is what the collector finds, once the largest image and a trace
// have been there.
func TestMemoryIsWhatIsAllocated(t *testing.T) {
	resnet, _ := resnet8(t)
	for _, m := range []*format.Model{resnet, formattest.Odd()} {
		heap := func() uint64 {
			var s runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&s)
			return s.HeapAlloc
		}
		const n = 16
		before := heap()
		var keep [n]*Classifier
		for i := range keep {
			keep[i] = open(t, m)
			if err := keep[i].Begin(MaxSide, MaxSide); err != nil {
				t.Fatal(err)
			}
			show(t, keep[i], 1)
			if _, err := keep[i].Trace(Aggregated); err != nil {
				t.Fatal(err)
			}
		}
		each := float64(heap()-before) / n
		said := float64(Memory(&m.Manifest))
		if said < 0.93*each || said > 1.05*each {
			t.Errorf("%s: a Classifier takes %.0f bytes, Memory counts %.0f", m.Name, each, said)
		}
		t.Logf("%s: counted %.0f, found %.0f", m.Name, said, each)
		runtime.KeepAlive(keep)
	}
}

// A head with a scale computes cosines, also where the feature is zero.
func TestCosineHead(t *testing.T) {
	m := formattest.Tiny(3)
	m.Heads[1].Scale = 30
	plain, scaled := open(t, formattest.Tiny(3)), open(t, m)
	show(t, plain, 1)
	show(t, scaled, 1)
	if _, err := plain.Run(Aggregated); err != nil {
		t.Fatal(err)
	}
	r, err := scaled.Run(Aggregated)
	if err != nil {
		t.Fatal(err)
	}
	for j, z := range plain.features {
		var square float64
		for _, v := range z.z {
			square += float64(v) * float64(v)
		}
		for i := range 3 {
			want := 30 * float64(plain.views[3*j+i]) / math.Sqrt(square)
			if got := float64(r.Views[3*j+i]); math.Abs(got-want) > 1e-5*math.Abs(want) {
				t.Errorf("view %d, class %d: %v, want %v", j, i, got, want)
			}
		}
	}
	for i := range m.Weights[:len(m.Weights)-6] {
		clear(m.Weights[i])
	}
	clear(m.Weights[len(m.Weights)-3]) // the joint head's bias
	zero := open(t, m)
	show(t, zero, 1)
	if r, err := zero.Run(Single); err != nil || !slices.Equal(r.Logits, make([]float32, 3)) {
		t.Errorf("of a feature of zeros: %v %v", r, err)
	}
}
