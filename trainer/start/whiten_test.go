package start

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/batch"
	"github.com/quarterturn/quarterturn/trainer/nets"
)

// The components of a whitening are uncorrelated over the patches of the images that it
// was made of, in all their views, with a variance of 1 less what the floor takes.
func TestWhitening(t *testing.T) {
	for _, channels := range []int{1, 3} {
		const n, side = 60, 12
		half := []float32{.5, .5, .5}[:channels]
		input := format.Input{Channels: channels, Height: side, Width: side, Mean: half, Std: half}
		transforms, err := sla.ParseTransforms(map[int]string{1: "rotation", 3: "rotation2xcolor3"}[channels], channels)
		if err != nil {
			t.Fatal(err)
		}
		v := batch.NewViews(input, transforms)
		rng := rand.New(rand.NewPCG(2, 3))
		pixels := make([]byte, n*side*side*channels)
		for i := range pixels { // smooth along x, so that patches are correlated
			pixels[i] = byte(60 + rng.IntN(120))
			if i >= channels && i%(side*channels) >= channels {
				pixels[i] = byte((3*int(pixels[i-channels]) + int(pixels[i])) / 4)
			}
		}
		w, err := NewWhitening(v, pixels)
		if err != nil {
			t.Fatal(err)
		}
		outputs := nets.StemWidth(channels)
		k := outputs / 2
		images := make([]float32, n*len(transforms)*side*side*channels)
		v.Render(images, 0, &batch.Batch{Images: pixels})
		mean, product, count := make([]float64, k), make([]float64, k*k), 0.
		for i := range n * len(transforms) {
			for y := range side - 2 {
				for x := range side - 2 {
					out := make([]float64, k)
					for o := range out {
						plus, minus := float64(w.Bias[o]), float64(w.Bias[k+o])
						for tap := range 9 {
							for c := range channels {
								v := float64(images[((i*side+y+tap/3)*side+x+tap%3)*channels+c])
								plus += v * float64(w.Weight[(tap*channels+c)*outputs+o])
								minus += v * float64(w.Weight[(tap*channels+c)*outputs+k+o])
							}
						}
						if math.Abs(plus+minus) > 1e-4 {
							t.Fatalf("component %d is %v, and with the other sign %v", o, plus, minus)
						}
						out[o] = plus
						mean[o] += plus
					}
					for a := range k {
						for b := range k {
							product[a*k+b] += out[a] * out[b]
						}
					}
					count++
				}
			}
		}
		for a := range k {
			if m := mean[a] / count; math.Abs(m) > 1e-3 {
				t.Errorf("%d channels: the mean of component %d is %v", channels, a, m)
			}
			for b := range k {
				v := product[a*k+b] / count
				if a != b && math.Abs(v) > 2e-3 || a == b && (v > 1.001 || v < 0.8) {
					t.Errorf("%d channels: components %d and %d have the covariance %v", channels, a, b, v)
				}
			}
		}
	}
	input := format.Input{Channels: 1, Height: 8, Width: 8, Mean: []float32{.5}, Std: []float32{.5}}
	if _, err := NewWhitening(batch.NewViews(input, []format.Transform{{Channels: []int{0}}}), make([]byte, 640)); err == nil {
		t.Error("black images were whitened")
	}
}
