package dataset

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// A long tail has n, ..., n/r images of the classes, in their order.
func TestImbalance(t *testing.T) {
	d, err := Load(t.Context(), "fashion-mini")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Limit(16, 8, rand.New(rand.NewPCG(1, 1))); err != nil {
		t.Fatal(err)
	}
	counts := make([]int, 10)
	for _, y := range d.Train.Labels {
		counts[y]++
	}
	if want := []int{16, 12, 10, 8, 6, 5, 4, 3, 2, 2}; !slices.Equal(counts, want) {
		t.Errorf("%v images of the classes, want %v", counts, want)
	}
}
