package batch

import (
	"math/rand/v2"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/dataset"
)

// BenchmarkBatch times the making of a batch of 128 images in four views.
func BenchmarkBatch(b *testing.B) {
	input := format.Input{Channels: 3, Height: 32, Width: 32, Mean: []float32{.5, .5, .5}, Std: []float32{.5, .5, .5}}
	transforms, err := sla.ParseTransforms("rotation", 3)
	if err != nil {
		b.Fatal(err)
	}
	const images = 128
	for _, augment := range []string{"crop,flip", "crop,flip,rand,cutout"} {
		b.Run(augment, func(b *testing.B) {
			batcher, err := New(Config{Augment: augment}, input, 10, &dataset.Split{Pixels: make([]byte, images*32*32*3), Labels: make([]int, images)})
			if err != nil {
				b.Fatal(err)
			}
			views, inputs := NewViews(input, transforms), make([]float32, images*4*34*34*3)
			rng := rand.New(rand.NewPCG(1, 1))
			indices := rng.Perm(images)
			for b.Loop() {
				views.Render(inputs, 1, batcher.Next(indices, rng))
			}
		})
	}
}
