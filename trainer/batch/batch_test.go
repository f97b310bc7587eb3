package batch

import (
	"bytes"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
)

// batcherFor is a batcher of 4 classes.
func batcherFor(t *testing.T, c Config, input format.Input, s *dataset.Split) *Batcher {
	t.Helper()
	b, err := New(c, input, 4, s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A view is the transformation of the shifted, flipped, normalised image, with
// black (level 0, here -1) where the shift leaves nothing.
func TestBatchViews(t *testing.T) {
	input := format.Input{Channels: 3, Height: 6, Width: 6, Mean: []float32{.5, .5, .5}, Std: []float32{.5, .5, .5}}
	pixels := make([]byte, 6*6*3)
	for i := range pixels {
		pixels[i] = byte(i + 1)
	}
	transforms, err := sla.ParseTransforms("rotationxcolor", 3)
	if err != nil {
		t.Fatal(err)
	}
	c := Config{Augment: "crop,flip"}
	split := &dataset.Split{Pixels: pixels, Labels: []int{2}}
	b, views := batcherFor(t, c, input, split), NewViews(input, transforms)
	image := make([]byte, len(pixels))
	b.augmenter.apply(image, pixels, augmentation{dy: 1, dx: -2, flip: true})
	var base [6][6][3]float32
	for y := range 6 {
		for x := range 6 {
			for c := range 3 {
				level := 0
				if sy, sx := y+1, (5-x)-2; sy < 6 && sx >= 0 {
					level = (sy*6+sx)*3 + c + 1
				}
				base[y][x][c] = (float32(level)/255 - 0.5) / 0.5
			}
		}
	}
	for j, tr := range transforms {
		want := base
		for range tr.Turns { // quarter turns one at a time: out[y][x] = in[x][5-y]
			in := want
			for y := range 6 {
				for x := range 6 {
					want[y][x] = in[x][5-y]
				}
			}
		}
		dst := make([]float32, nhwc.Padded(6, 6, 3))
		views.view(dst, 1, image, nil, nil, tr)
		for y := range 6 {
			for x := range 6 {
				for c := range 3 {
					if got := dst[((y+1)*8+x+1)*3+c]; got != want[y][x][tr.Channels[c]] {
						t.Fatalf("view %d, pixel (%d, %d), channel %d is %v, want %v", j, y, x, c, got, want[y][x][tr.Channels[c]])
					}
				}
			}
		}
	}
	targets := b.Next([]int{0}, rand.New(rand.NewPCG(1, 1))).Targets
	if !slices.Equal(targets, []float32{0, 0, 1, 0}) {
		t.Errorf("targets %v", targets)
	}
	c.LabelSmoothing = 0.1
	targets = batcherFor(t, c, input, split).Next([]int{0}, rand.New(rand.NewPCG(1, 1))).Targets
	if !slices.Equal(targets, []float32{0.025, 0.025, 0.925, 0.025}) {
		t.Errorf("smoothed targets %v", targets)
	}
}

// Every view of a mixture is the same mixture of that view of both images, the bytes that
// a teacher is shown are those of the first, and the target is the mixture of their labels.
func TestMixtures(t *testing.T) {
	input := format.Input{Channels: 1, Height: 8, Width: 8, Mean: []float32{.5}, Std: []float32{.5}}
	const black, white = -1, 1
	pixels := slices.Concat(make([]byte, 64), bytes.Repeat([]byte{255}, 64))
	transforms, err := sla.ParseTransforms("rotation", 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, mix := range []string{Mixup, CutMix} {
		b := batcherFor(t, Config{Mix: mix, MixAlpha: 1, Augment: "none"}, input, &dataset.Split{Pixels: pixels, Labels: []int{1, 3}})
		views := NewViews(input, transforms)
		size := nhwc.Padded(8, 8, 1)
		inputs := make([]float32, 8*size)
		rng, mixed := rand.New(rand.NewPCG(1, 1)), 0
		for range 50 {
			batch := b.Next([]int{0, 1}, rng)
			views.Render(inputs, 1, batch)
			shown := batch.Mixed(input)
			for i := range 2 {
				row := batch.Targets[4*i : 4*i+4]
				if row[0] != 0 || row[2] != 0 || math.Abs(float64(row[1]+row[3])-1) > 1e-6 {
					t.Fatalf("%s: targets %v", mix, row)
				}
				if row[1] > 0.01 && row[3] > 0.01 {
					mixed++
				}
				for j := range 4 {
					view := inputs[(4*i+j)*size:][:size]
					var sum float64
					for y := range 8 {
						for x := range 8 {
							v := view[(y+1)*10+x+1]
							sum += float64(v)
							sy, sx := sla.RotatedSource(j, y, x, 8, 8)
							if first := inputs[4*i*size+(sy+1)*10+sx+1]; v != first {
								t.Fatalf("%s: view %d is not that of the first view", mix, j)
							}
							if level := shown[64*i+8*sy+sx]; math.Abs(float64(level)-(float64(v)+1)/2*255) > 0.501 {
								t.Fatalf("%s: a teacher is shown %d, the net %v", mix, level, v)
							}
							if mix == CutMix && v != black && v != white {
								t.Fatalf("cutmix: a pixel is %v", v)
							}
						}
					}
					// Class 1 is black and class 3 white: the mean tells the shares.
					if mean := float64(row[3] - row[1]); math.Abs(sum/64-mean) > 1e-2 {
						t.Errorf("%s: mean %v, targets %v", mix, sum/64, row)
					}
				}
			}
		}
		if mixed < 10 {
			t.Errorf("%s: only %d of 100 images are mixed", mix, mixed)
		}
	}
}

func TestAugmentations(t *testing.T) {
	input := format.Input{Channels: 3, Height: 8, Width: 8, Mean: []float32{.5, .5, .5}}
	a, err := newAugmenter("cutout", input)
	if err != nil {
		t.Fatal(err)
	}
	image := make([]byte, 8*8*3)
	for i := range image {
		image[i] = byte(i)
	}
	cut := make([]byte, len(image))
	a.apply(cut, image, augmentation{y: 7, x: 4})
	for i := range image {
		y, x := i/24, i/3%8
		want := image[i]
		if y >= 5 && x >= 2 && x < 6 { // a square of side 4 around (7, 4)
			want = 128
		}
		if cut[i] != want {
			t.Fatalf("cutout: pixel (%d, %d) is %d, want %d", y, x, cut[i], want)
		}
	}

	at := func(y, x, c int) float64 {
		if y < 0 || y > 7 || x < 0 || x > 7 {
			return 128
		}
		return float64(image[(y*8+x)*3+c])
	}
	var mean float64
	for _, v := range image {
		mean += float64(v) / float64(len(image))
	}
	sin, cos := math.Sincos(0.5 * math.Pi / 6)
	expected := map[string]func(y, x, c int) float64{
		"nothing":    at,
		"brightness": func(y, x, c int) float64 { return 1.45 * at(y, x, c) },
		"contrast":   func(y, x, c int) float64 { return mean + 1.45*(at(y, x, c)-mean) },
		"saturation": func(y, x, c int) float64 {
			grey := 0.299*at(y, x, 0) + 0.587*at(y, x, 1) + 0.114*at(y, x, 2)
			return grey + 1.45*(at(y, x, c)-grey)
		},
		"posterize": func(y, x, c int) float64 { return 4 * math.Floor(at(y, x, c)/4) },
		"solarize": func(y, x, c int) float64 {
			if v := at(y, x, c); v > 128 {
				return 255 - v
			}
			return at(y, x, c)
		},
		"autocontrast": func(y, x, c int) float64 { return math.Floor(255 * (at(y, x, c) - float64(c)) / 189) },
		"rotate": func(y, x, c int) float64 {
			fy, fx := float64(y)-3.5, float64(x)-3.5
			return at(int(math.Floor(cos*fy-sin*fx+4)), int(math.Floor(sin*fy+cos*fx+4)), c)
		},
		"shear x":     func(y, x, c int) float64 { return at(y, int(math.Floor(float64(x)+0.15*(float64(y)-3.5)+0.5)), c) },
		"shear y":     func(y, x, c int) float64 { return at(int(math.Floor(float64(y)+0.15*(float64(x)-3.5)+0.5)), x, c) },
		"translate x": func(y, x, c int) float64 { return at(y, x+1, c) },
		"translate y": func(y, x, c int) float64 { return at(y+1, x, c) },
	}
	for _, change := range changes {
		got := slices.Clone(image)
		change.apply(a, got, 0.5)
		want := expected[change.name]
		for i, v := range got {
			if w := min(255, max(0, want(i/24, i/3%8, i%3))); math.Abs(float64(v)-w) > 0.51 {
				t.Errorf("%s: pixel (%d, %d), channel %d is %d, want %v", change.name, i/24, i/3%8, i%3, v, w)
				break
			}
		}
	}
	grey, err := newAugmenter("rand", format.Input{Channels: 1, Height: 4, Width: 4, Mean: []float32{.5}})
	if err != nil {
		t.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 500 { // no change reads or writes outside, nor needs colours
		grey.apply(make([]byte, 16), make([]byte, 16), grey.draw(0, 0, rng))
	}
}

// Crops with mirrored edges, against numpy.pad(mode="reflect"): rows of a 4x4 image with
// levels 0 to 15, shifted by (-2, 1).
func TestReflectedCrop(t *testing.T) {
	a, err := newAugmenter("crop-reflect", format.Input{Channels: 1, Height: 4, Width: 4, Mean: []float32{.5}, Std: []float32{.5}})
	if err != nil {
		t.Fatal(err)
	}
	src, dst := make([]byte, 16), make([]byte, 16)
	for i := range src {
		src[i] = byte(i)
	}
	a.apply(dst, src, augmentation{dy: -2, dx: 1})
	want := []byte{9, 10, 11, 10, 5, 6, 7, 6, 1, 2, 3, 2, 5, 6, 7, 6}
	if !slices.Equal(dst, want) {
		t.Errorf("%v, want %v", dst, want)
	}
}

// Every image is flipped in one of any two epochs, and about half of them in the first.
func TestAlternatingFlip(t *testing.T) {
	a, err := newAugmenter("flip-alternate", format.Input{Channels: 1, Height: 4, Width: 4, Mean: []float32{.5}, Std: []float32{.5}})
	if err != nil {
		t.Fatal(err)
	}
	first := 0
	for i := range 1000 {
		for epoch := range 3 {
			flip := a.draw(i, epoch, nil).flip
			if flip == a.draw(i, epoch+1, nil).flip {
				t.Fatalf("image %d is the same way in epochs %d and %d", i, epoch, epoch+1)
			}
			if epoch == 0 && flip {
				first++
			}
		}
	}
	if first < 450 || first > 550 {
		t.Errorf("%d of 1000 images are flipped in the first epoch", first)
	}
	if _, err := newAugmenter("flip,flip-alternate", format.Input{}); err == nil {
		t.Error("two kinds of flip were taken")
	}
}
