package fewshot

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// Directions that say the class in the second view alone, and noise in the first: with
// both the answers are right, with the first a matter of chance.
func TestEvaluation(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const classes, images, width = 8, 12, 8
	var directions [][]float32
	var truth []int
	for y := range classes {
		for range images {
			z := make([]float32, 2*width)
			var square float64
			for k := range width {
				v := rng.NormFloat64()
				z[k], square = float32(v), square+v*v
			}
			for k := range width {
				z[k] /= float32(math.Sqrt(square) * 1e3) // so that it decides nothing beside the other
			}
			z[width+y] = 1
			directions, truth = append(directions, z), append(truth, y)
		}
	}
	f := Evaluation{Episode{"proto", 4, 2, 3}, 400, 5}
	got, err := f.Estimate(directions, 2, truth)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Views != 1 || got[1] != (Estimate{2, 1, 0}) || math.Abs(got[0].Accuracy-.25) > 3*got[0].Interval || got[0].Interval < .005 || got[0].Interval > .03 {
		t.Errorf("%+v", got)
	}
	if again, _ := f.Estimate(directions, 2, truth); !slices.Equal(again, got) {
		t.Errorf("the second time %+v, the first %+v", again, got)
	}
	for want, f := range map[string]Evaluation{
		"8 classes have the 5 images":  {Episode{"proto", 9, 2, 3}, 5, 0},
		"0 classes have the 13 images": {Episode{"proto", 2, 10, 3}, 5, 0},
		"at least 2 classes":           {Episode{"proto", 1, 1, 1}, 5, 0},
	} {
		if _, err := f.Estimate(directions, 2, truth); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, have %v", want, err)
		}
	}
}
