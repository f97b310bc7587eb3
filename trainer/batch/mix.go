package batch

import (
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/internal/parallel"
)

// The ways to mix pairs of images.
const (
	Mixup  = "mixup"  // a weighted sum (Zhang et al. 2018)
	CutMix = "cutmix" // a rectangle of the other (Yun et al. 2019)
)

// A Mixture says how the images of a batch are mixed: each with the one at its
// place in Partner.
type Mixture struct {
	Kind                     string // Mixup or CutMix
	Partner                  []int
	Share                    float32 // of the image itself
	Top, Left, Bottom, Right int     // what comes from the partner under CutMix
}

// drawMixture draws one mixture for a batch of n images; without a mix, nil.
func (b *Batcher) drawMixture(n int, rng *rand.Rand) *Mixture {
	if b.config.Mix == "" {
		return nil
	}
	share := distuv.Beta{Alpha: b.config.MixAlpha, Beta: b.config.MixAlpha, Src: rng}.Rand()
	m := &Mixture{Kind: b.config.Mix, Share: float32(share), Partner: rng.Perm(n)}
	if m.Kind == CutMix {
		side := math.Sqrt(1 - share)
		h, w := b.input.Height, b.input.Width
		y, x := rng.IntN(h), rng.IntN(w) // the middle
		dy, dx := int(side*float64(h))/2, int(side*float64(w))/2
		m.Top, m.Bottom = max(0, y-dy), min(h, y+dy)
		m.Left, m.Right = max(0, x-dx), min(w, x+dx)
		m.Share = 1 - float32((m.Bottom-m.Top)*(m.Right-m.Left))/float32(h*w)
	}
	return m
}

// cuts says whether the pixel comes from the partner.
func (m *Mixture) cuts(y, x int) bool {
	return m != nil && y >= m.Top && y < m.Bottom && x >= m.Left && x < m.Right
}

// sum weighs a number of the image itself and one of its partner.
func (m *Mixture) sum(a, b float32) float32 {
	return float32(m.Share*a) + float32((1-m.Share)*b)
}

// Mixed returns the images as a teacher is shown them, (n, H, W, C) bytes: mixed, and a weighted
// sum rounded to the nearest level.
func (b *Batch) Mixed(input format.Input) []byte {
	m := b.Mixture
	if m == nil {
		return b.Images
	}
	size := input.Height * input.Width * input.Channels
	b.mixed = slices.Grow(b.mixed[:0], len(b.Images))[:len(b.Images)]
	parallel.For(len(m.Partner), func(_, i int) {
		image, other, dst := b.Images[i*size:][:size], b.Images[m.Partner[i]*size:][:size], b.mixed[i*size:][:size]
		if m.Kind == Mixup {
			for at := range dst {
				dst[at] = byte(m.sum(float32(image[at]), float32(other[at])) + 0.5)
			}
			return
		}
		copy(dst, image)
		for y := m.Top; y < m.Bottom; y++ {
			left, right := (y*input.Width+m.Left)*input.Channels, (y*input.Width+m.Right)*input.Channels
			copy(dst[left:right], other[left:right])
		}
	})
	return b.mixed
}
