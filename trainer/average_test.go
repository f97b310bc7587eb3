package trainer

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/quarterturn/quarterturn/format"
)

func TestAverage(t *testing.T) {
	state := [][]float32{{1}, {2, -4}}
	a := newAverage(0.9, state)
	want := []float64{1, 2, -4}
	for step := 1; step <= 100; step++ {
		keep := math.Min(0.9, (1+float64(step))/(10+float64(step)))
		for i, v := range []*float32{&state[0][0], &state[1][0], &state[1][1]} {
			*v += float32(step*(i+1)) / 64
			want[i] = keep*want[i] + (1-keep)*float64(*v)
		}
		a.add(state)
	}
	now := slices.Concat(state...)
	a.with(state, func() {
		for i, v := range slices.Concat(state...) {
			if math.Abs(float64(v)-want[i]) > 1e-4 {
				t.Errorf("average %d is %v, want %v", i, v, want[i])
			}
		}
	})
	if !slices.Equal(now, slices.Concat(state...)) {
		t.Error("the state did not come back")
	}
}

// The epoch that is kept is the last of those whose served mode is the best on
// the validation images, and the slab says which it was.
func TestBestEpochIsKept(t *testing.T) {
	for _, serve := range []string{auto, "aggregated"} {
		config := smallConfig()
		config.Epochs, config.Serve, config.Average = 6, serve, 0.9
		best, epoch, mode := -1.0, 0, ""
		model, slab, err := Train(t.Context(), small(t), config, func(e Event) {
			if e.Validation == nil {
				return
			}
			m := &format.Manifest{Transforms: make([]format.Transform, 4)}
			name := serve
			if serve == auto {
				name = recommend(m, e.Validation)
			}
			for _, x := range e.Validation {
				if x.Mode == name && x.Accuracy >= best {
					best, epoch, mode = x.Accuracy, e.Epoch, name
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if model.Recommended != mode || served(model) != best || model.Provenance.Epochs != epoch || model.Provenance.Steps != epoch*11 {
			t.Errorf("%s: kept epoch %d with %v %v, want epoch %d with %v %v", serve, model.Provenance.Epochs, model.Recommended, served(model), epoch, mode, best)
		}
		if decoded, err := format.Decode(slab); err != nil || decoded.Provenance.Epochs != epoch {
			t.Errorf("%s: the slab is of epoch %+v (%v)", serve, decoded.Provenance, err)
		}
	}
}

// A long tail has n, ..., n/r images of the classes, in their order.
func TestImbalance(t *testing.T) {
	d := small(t)
	if err := d.limit(16, 8, rand.New(rand.NewPCG(1, 1))); err != nil {
		t.Fatal(err)
	}
	counts := make([]int, 10)
	for _, y := range d.Train.Classes {
		counts[y]++
	}
	if want := []int{16, 12, 10, 8, 6, 5, 4, 3, 2, 2}; !slices.Equal(counts, want) {
		t.Errorf("%v images of the classes, want %v", counts, want)
	}
}
