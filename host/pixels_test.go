package host

import (
	"errors"
	"image"
	"image/color"
	"math/rand/v2"
	"slices"
	"testing"
)

// atOnly leaves nothing of an image but its three methods.
type atOnly struct{ image.Image }

// An image means what its At says, whatever its type.
func TestImagesMeanWhatAtSays(t *testing.T) {
	c := open(t, tinySlab(t, 3), WithEngine(Native))
	rng := rand.New(rand.NewPCG(1, 2))
	fill := func(pix ...[]byte) {
		for _, p := range pix {
			for i := range p {
				p[i] = byte(rng.Uint32())
			}
		}
	}
	all, part := image.Rect(-7, -5, 26, 28), image.Rect(-3, -2, 12, 13)
	nrgba, nrgba64, rgba, rgba64 := image.NewNRGBA(all), image.NewNRGBA64(all), image.NewRGBA(all), image.NewRGBA64(all)
	gray, gray16, alpha, alpha16, cmyk := image.NewGray(all), image.NewGray16(all), image.NewAlpha(all), image.NewAlpha16(all), image.NewCMYK(all)
	fill(nrgba.Pix, nrgba64.Pix, rgba.Pix, rgba64.Pix, gray.Pix, gray16.Pix, alpha.Pix, alpha16.Pix, cmyk.Pix)
	var palette color.Palette
	for range 200 {
		v := rng.Uint32()
		palette = append(palette, color.NRGBA{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)})
	}
	paletted := image.NewPaletted(all, palette)
	for i := range paletted.Pix {
		paletted.Pix[i] = byte(rng.IntN(len(palette)))
	}
	repeated := &image.NRGBA{Pix: nrgba.Pix, Stride: 0, Rect: image.Rect(0, 0, 20, 20)} // one row, again and again
	images := []image.Image{nrgba, nrgba64, rgba, rgba64, gray, gray16, alpha, alpha16, cmyk, paletted, repeated,
		nrgba.SubImage(part), nrgba64.SubImage(part), rgba.SubImage(part), paletted.SubImage(part), image.NewUniform(color.NRGBA64{1000, 20000, 60000, 30000})}
	for ratio := image.YCbCrSubsampleRatio444; ratio <= image.YCbCrSubsampleRatio410; ratio++ {
		plain, withAlpha := image.NewYCbCr(all, ratio), image.NewNYCbCrA(all, ratio)
		fill(plain.Y, plain.Cb, plain.Cr, withAlpha.Y, withAlpha.Cb, withAlpha.Cr, withAlpha.A)
		images = append(images, plain, withAlpha, plain.SubImage(part), withAlpha.SubImage(part))
	}
	for _, img := range images {
		if u, ok := img.(*image.Uniform); ok {
			img = clipped{u, part}
		}
		want, err := c.Classify(t.Context(), atOnly{img})
		if err != nil {
			t.Errorf("%T by At: %v", img, err)
			continue
		}
		if got, err := c.Classify(t.Context(), img); err != nil || got.Digest() != want.Digest() {
			t.Errorf("%T %v: %v %v, by At %v", img, img.Bounds(), got, err, want)
		}
	}
	// Straight samples of 16 bits keep their upper eight, also by At.
	upper := image.NewNRGBA(all)
	for i := range upper.Pix {
		upper.Pix[i] = nrgba64.Pix[2*i]
	}
	want, err := c.Classify(t.Context(), upper)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.Classify(t.Context(), atOnly{nrgba64}); err != nil || got.Digest() != want.Digest() {
		t.Errorf("16 bits: %v %v, want %v", got, err, want)
	}

	// What At cannot say is refused.
	beyond := image.NewPaletted(all, palette)
	beyond.Pix[500] = 200
	for name, img := range map[string]image.Image{
		"no palette": image.NewPaletted(all, nil), "beyond the palette": beyond,
		"cut":       &image.NRGBA{Pix: slices.Clip(nrgba.Pix[:len(nrgba.Pix)-1]), Stride: nrgba.Stride, Rect: all},
		"cut, wide": &image.NRGBA{Pix: make([]byte, 100*30+79), Stride: 100, Rect: image.Rect(0, 0, 20, 31)},
		"no stride": &image.NRGBA{Pix: make([]byte, 10), Rect: image.Rect(0, 0, 20, 20)},
	} {
		for _, img := range []image.Image{img, atOnly{img}} {
			if p, err := c.Classify(t.Context(), img); !errors.Is(err, ErrImage) {
				t.Errorf("%s, %T: %v %v", name, img, p, err)
			}
		}
	}
}

// clipped is an image within bounds.
type clipped struct {
	image.Image
	bounds image.Rectangle
}

func (c clipped) Bounds() image.Rectangle { return c.bounds }
