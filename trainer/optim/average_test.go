package optim

import (
	"math"
	"slices"
	"testing"
)

func TestAverage(t *testing.T) {
	state := [][]float32{{1}, {2, -4}}
	a := NewAverage(0.9, state)
	want := []float64{1, 2, -4}
	for step := 1; step <= 100; step++ {
		keep := math.Min(0.9, (1+float64(step))/(10+float64(step)))
		for i, v := range []*float32{&state[0][0], &state[1][0], &state[1][1]} {
			*v += float32(step*(i+1)) / 64
			want[i] = keep*want[i] + (1-keep)*float64(*v)
		}
		a.Add(state)
	}
	now := slices.Concat(state...)
	a.With(state, func() {
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
