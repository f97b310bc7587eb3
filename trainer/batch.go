package trainer

import (
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/stat/distuv"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
)

// The ways to mix pairs of images.
const (
	mixup  = "mixup"  // a weighted sum (Zhang et al. 2018)
	cutmix = "cutmix" // a rectangle of the other (Yun et al. 2019)
)

// A batcher fills batches: images -> augmentation -> perhaps mixed in pairs ->
// normalised -> M views, which share all of that.
type batcher struct {
	input      format.Input
	border     int                // of zeros around the images
	transforms []format.Transform // of the batch: the identity alone for a method without views
	classes    int
	pixels     []byte // of the split, (n, H, W, C)
	labels     []int
	norm       [][256]float32 // per channel
	on, off    float32        // the targets of an image's class and of the others
	augmenter  *augmenter
	mix        string
	alpha      float64

	images []byte // of a batch, augmented
}

func newBatcher(c Config, input format.Input, border int, transforms []format.Transform, classes int, s *Split) (*batcher, error) {
	b := &batcher{input: input, border: border, transforms: transforms, classes: classes, pixels: s.Pixels, labels: s.Classes,
		norm: sla.Normalised(input), mix: c.Mix, alpha: c.MixAlpha}
	share := c.Smoothing / float64(classes) // Szegedy et al. 2016
	b.on, b.off = float32(1-c.Smoothing+share), float32(share)
	var err error
	b.augmenter, err = newAugmenter(c.Augment, input)
	return b, err
}

// A mixture says how the images of a batch are mixed: each with the one at its
// place in partner.
type mixture struct {
	partner                  []int
	share                    float32 // of the image itself
	top, left, bottom, right int     // what comes from the partner under cutmix
}

// drawMixture draws one mixture for a batch of n images; without a mix, nil.
func (b *batcher) drawMixture(n int, rng *rand.Rand) *mixture {
	if b.mix == "" {
		return nil
	}
	share := distuv.Beta{Alpha: b.alpha, Beta: b.alpha, Src: rng}.Rand()
	m := &mixture{share: float32(share), partner: rng.Perm(n)}
	if b.mix == cutmix {
		side := math.Sqrt(1 - share)
		h, w := b.input.Height, b.input.Width
		y, x := rng.IntN(h), rng.IntN(w) // the middle
		dy, dx := int(side*float64(h))/2, int(side*float64(w))/2
		m.top, m.bottom = max(0, y-dy), min(h, y+dy)
		m.left, m.right = max(0, x-dx), min(w, x+dx)
		m.share = 1 - float32((m.bottom-m.top)*(m.right-m.left))/float32(h*w)
	}
	return m
}

// fill makes the images with the given indices a graph's batch: its inputs, (len(indices)*M,
// H+2B, W+2B, C) with a border B, and their labels its targets, (len(indices), N). All
// draws are made first, in order, so that the work may be shared out.
func (b *batcher) fill(g *graph, indices []int, rng *rand.Rand) {
	m := b.augment(indices, rng)
	nhwc.Parallel(len(indices), func(_, i int) { b.target(g.targets[i*b.classes:(i+1)*b.classes], indices, i, m) })
	if g.there != nil {
		g.render(b, len(indices), m)
		return
	}
	size := b.size()
	padded, views := len(g.inputs)/len(indices)/len(b.transforms), len(b.transforms)
	nhwc.Parallel(len(indices), func(_, i int) {
		other := i
		if m != nil {
			other = m.partner[i]
		}
		for j, t := range b.transforms {
			at := (i*views + j) * padded
			b.view(g.inputs[at:at+padded], b.images[i*size:(i+1)*size], b.images[other*size:(other+1)*size], m, t)
		}
	})
}

// size is the number of bytes of an image.
func (b *batcher) size() int { return b.input.Height * b.input.Width * b.input.Channels }

// augment writes the images with the given indices, augmented, to b.images, and draws how
// they are to be mixed.
func (b *batcher) augment(indices []int, rng *rand.Rand) *mixture {
	draws := make([]augmentation, len(indices))
	for i := range draws {
		draws[i] = b.augmenter.draw(rng)
	}
	m := b.drawMixture(len(indices), rng)
	size := b.size()
	if len(b.images) != len(indices)*size {
		b.images = make([]byte, len(indices)*size)
	}
	nhwc.Parallel(len(indices), func(_, i int) {
		b.augmenter.apply(b.images[i*size:(i+1)*size], b.pixels[indices[i]*size:][:size], draws[i])
	})
	return m
}

// target writes the distribution over the classes of image i of a batch.
func (b *batcher) target(target []float32, indices []int, i int, m *mixture) {
	for y := range target {
		target[y] = b.off
	}
	if m == nil {
		target[b.labels[indices[i]]] = b.on
		return
	}
	target[b.labels[indices[i]]] += m.share * (b.on - b.off)
	target[b.labels[indices[m.partner[i]]]] += (1 - m.share) * (b.on - b.off)
}

// view writes one view of an image, mixed with the other if m is not nil, into a
// padded image.
func (b *batcher) view(dst []float32, image, other []byte, m *mixture, t format.Transform) {
	h, w, channels := b.input.Height, b.input.Width, b.input.Channels
	for y := range h {
		for x := range w {
			sy, sx := sla.RotatedSource(t.Turns, y, x, h, w)
			at := (sy*w + sx) * channels
			src := image
			if m != nil && sy >= m.top && sy < m.bottom && sx >= m.left && sx < m.right {
				src = other
			}
			to := dst[((y+b.border)*(w+2*b.border)+x+b.border)*channels:][:channels]
			for c, from := range t.Channels {
				to[c] = b.norm[from][src[at+from]]
				if b.mix == mixup {
					to[c] = m.share*to[c] + (1-m.share)*b.norm[from][other[at+from]]
				}
			}
		}
	}
}
