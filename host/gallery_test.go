package host

import (
	"errors"
	"fmt"
	"image"
	"math"
	"slices"
	"sync"
	"testing"

	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/sla/slatest"
)

// Every engine computes the bits of the others, and what they mean is worked out once more
// from the nets' features in float64.
func TestGallery(t *testing.T) {
	ctx := t.Context()
	m := formattest.Odd()
	slab := slatest.Slab(t, m)
	images := []image.Image{}
	for seed := range uint64(9) {
		images = append(images, noise(seed, 20+int(seed), 30)[0])
	}
	// Directions of each image's views.
	reference, err := sla.New(m)
	if err != nil {
		t.Fatal(err)
	}
	directions := func(img image.Image) (d [][]float64) {
		classifyPlainly(t, reference, img, sla.Single)
		z, err := reference.Features(math.MaxInt)
		if err != nil {
			t.Fatal(err)
		}
		width := len(z) / m.Views()
		for j := range m.Views() {
			var row []float64
			var square float64
			for _, v := range z[j*width : (j+1)*width] {
				row, square = append(row, float64(v)), square+float64(v)*float64(v)
			}
			if math.Abs(square-1) > 1e-6 {
				t.Fatalf("a direction of length² %v", square)
			}
			d = append(d, row)
		}
		return d
	}
	var want []float32
	for _, e := range engines {
		g := open(t, slab, WithEngine(e), WithPoolSize(2)).NewGallery()
		if _, err := g.Classify(ctx, images[0]); !errors.Is(err, ErrEmpty) {
			t.Fatalf("%s: an empty gallery: %v", e, err)
		}
		for i, img := range images[:6] {
			if err := g.Enrol(ctx, []string{"cup", "pen", "gone"}[i%3], img); err != nil {
				t.Fatal(err)
			}
		}
		g.Forget("gone")
		if got := fmt.Sprint(g.Labels()); got != "[{cup 2} {pen 2}]" {
			t.Errorf("%s: examples %s", e, got)
		}
		var logits []float32
		for _, img := range images {
			p, err := g.Classify(ctx, img, WithTopK(1))
			if err != nil {
				t.Fatal(err)
			}
			if p.Mode != sla.Matched || p.Passes != 2 || len(p.Top) != 1 || len(p.Views) != 4 || p.Top[0].Label != []string{"cup", "pen"}[p.Top[0].Index] {
				t.Errorf("%s: %+v", e, p)
			}
			logits = append(logits, p.Logits...)
		}
		if want == nil {
			want = logits
		} else if !slices.Equal(logits, want) {
			t.Errorf("%s: other logits than %s", e, engines[0])
		}
	}
	for i, img := range images {
		query := directions(img)
		for class := range 2 {
			var logit float64
			for j := range query {
				a, b := directions(images[class])[j], directions(images[class+3])[j]
				var dot, square float64
				for k := range a {
					dot += query[j][k] * (a[k] + b[k])
					square += (a[k] + b[k]) * (a[k] + b[k])
				}
				logit += 10 * dot / math.Sqrt(square) / float64(len(query))
			}
			if got := float64(want[2*i+class]); math.Abs(got-logit) > 2e-5 {
				t.Errorf("image %d, class %d: logit %v, want %v", i, class, got, logit)
			}
		}
	}
}

func TestGalleryConcurrency(t *testing.T) {
	g := open(t, tinySlab(t, 1), WithEngine(Native), WithPoolSize(4)).NewGallery()
	if err := g.Enrol(t.Context(), "first", noise(1, 9, 9)[0]); err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for k := range 8 {
		wait.Go(func() {
			for i := range 20 {
				img := noise(uint64(i), 8, 8)[0]
				if err := g.Enrol(t.Context(), fmt.Sprint(k%2), img); err != nil {
					t.Error(err)
				}
				if p, err := g.Classify(t.Context(), img); err != nil || len(p.Logits) < 2 {
					t.Error(p, err)
				}
			}
		})
	}
	wait.Wait()
	if got := fmt.Sprint(g.Labels()[0], len(g.Labels()), g.Labels()[1].Count+g.Labels()[2].Count); got != "{first 1} 3 160" {
		t.Error(got)
	}
}
