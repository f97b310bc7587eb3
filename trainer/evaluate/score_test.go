package evaluate

import (
	"math"
	"slices"
	"testing"

	"github.com/quarterturn/quarterturn/trainer/dataset"
)

// Four images of class 0, two of class 1, none of class 2, counted by hand.
func TestScore(t *testing.T) {
	split := dataset.Split{Labels: []int{0, 0, 0, 0, 1, 1}}
	half := math.Log(2)
	outcomes := []Outcome{ // of probability 1/2 and of 1/4
		{.5, .5, 0, 1}, {.5, .5, 0, 1}, {.5, .5, 0, 1}, {.25, .5, 1, 4}, {.5, .5, 1, 1}, {.25, .5, 2, 4},
	}
	for _, c := range []struct {
		balanced           bool
		accuracy, nll, ece float64
	}{
		{false, 4. / 6, (4*half + 2*2*half) / 6, 1. / 6},
		{true, (3./4 + 1./2) / 2, ((3*half+2*half)/4 + (half+2*half)/2) / 2, .125},
	} {
		split.Balanced = c.balanced
		x := NewScore("adaptive", "test", &split, 3, outcomes)
		if math.Abs(x.Accuracy-c.accuracy) > 1e-12 || math.Abs(x.NLL-c.nll) > 1e-12 || math.Abs(x.ECE-c.ece) > 1e-12 {
			t.Errorf("balanced %v: %+v, want %+v", c.balanced, x.Metric, c)
		}
		if x.N != 6 || x.Passes != 2 || !slices.Equal(x.Classes, []Tally{{4, 3}, {2, 1}, {0, 0}}) || !slices.Equal(x.Answers, []int{0, 0, 0, 1, 1, 2}) {
			t.Errorf("balanced %v: %+v", c.balanced, x)
		}
		// Class 2 has the most training images, but none here.
		if many, medium, few := x.Accuracies([]int{7, 20, 100}); !math.IsNaN(many) || medium != .5 || few != .75 {
			t.Errorf("groups: %v %v %v", many, medium, few)
		}
	}
}
