package trainer

import (
	"math/rand/v2"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
)

// pad is how many pixels an image may be shifted to each side: a crop of the
// image padded with black, as in the SLA paper.
const pad = 4

// A batcher fills batches: image -> crop and flip -> normalise -> M views.
type batcher struct {
	input      format.Input
	transforms []format.Transform // of the batch: the identity alone for a method without views
	classes    int
	pixels     []byte // of the split, (n, H, W, C)
	labels     []int
	norm       [][256]float32 // per channel
	on, off    float32        // the targets of an image's class and of the others
}

func newBatcher(input format.Input, transforms []format.Transform, classes int, smoothing float64, s *Split) *batcher {
	b := &batcher{input: input, transforms: transforms, classes: classes, pixels: s.Pixels, labels: s.Classes}
	share := smoothing / float64(classes) // Szegedy et al. 2016
	b.on, b.off = float32(1-smoothing+share), float32(share)
	b.norm = sla.Normalised(input)
	return b
}

// An augmentation is one draw: a shift by dy, dx pixels and perhaps a flip.
type augmentation struct {
	dy, dx int
	flip   bool
}

func drawAugmentation(rng *rand.Rand) augmentation {
	return augmentation{rng.IntN(2*pad+1) - pad, rng.IntN(2*pad+1) - pad, rng.IntN(2) == 1}
}

// fill writes the images with the given indices to inputs, (len(indices)*M, H+2,
// W+2, C), and their labels to targets, (len(indices), N). All draws are made
// first, in order, so that the work may be shared out.
func (b *batcher) fill(inputs, targets []float32, indices []int, rng *rand.Rand) {
	draws := make([]augmentation, len(indices))
	for i := range draws {
		draws[i] = drawAugmentation(rng)
	}
	size := nhwc.Padded(b.input.Height, b.input.Width, b.input.Channels)
	views := len(b.transforms)
	nhwc.Parallel(len(indices), func(_, i int) {
		target := targets[i*b.classes : (i+1)*b.classes]
		for y := range target {
			target[y] = b.off
		}
		target[b.labels[indices[i]]] = b.on
		for j, t := range b.transforms {
			at := (i*views + j) * size
			b.view(inputs[at:at+size], indices[i], draws[i], t)
		}
	})
}

// view writes one view of an image into a padded image.
func (b *batcher) view(dst []float32, index int, a augmentation, t format.Transform) {
	h, w, channels := b.input.Height, b.input.Width, b.input.Channels
	src := b.pixels[index*h*w*channels:][:h*w*channels]
	for y := range h {
		for x := range w {
			sy, sx := sla.Source(t.Turns, y, x, h, w)
			if a.flip {
				sx = w - 1 - sx
			}
			sy, sx = sy+a.dy, sx+a.dx
			to := dst[((y+1)*(w+2)+x+1)*channels:][:channels]
			for c, from := range t.Channels {
				v := byte(0)
				if sy >= 0 && sy < h && sx >= 0 && sx < w {
					v = src[(sy*w+sx)*channels+from]
				}
				to[c] = b.norm[from][v]
			}
		}
	}
}
