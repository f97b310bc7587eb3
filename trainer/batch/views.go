package batch

import (
	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/internal/parallel"
)

// Views says how the images of a batch are rendered for a net.
type Views struct {
	Input      format.Input
	Transforms []format.Transform // M of them: the identity alone for a method without views
	Levels     [][256]float32     // per channel, what the net gets for each level of a byte
}

// NewViews makes Views.
func NewViews(input format.Input, transforms []format.Transform) *Views {
	return &Views{Input: input, Transforms: transforms, Levels: sla.Normalised(input)}
}

// Render writes the views of a batch, (n*M, H+2B, W+2B, C), the views of an image next to
// each other, each with a border of B pixels that it does not touch.
func (v *Views) Render(dst []float32, border int, b *Batch) {
	h, w, channels := v.Input.Height, v.Input.Width, v.Input.Channels
	size, padded := h*w*channels, (h+2*border)*(w+2*border)*channels
	parallel.For(len(b.Images)/size, func(_, i int) {
		image, other := b.Images[i*size:(i+1)*size], []byte(nil)
		if m := b.Mixture; m != nil {
			other = b.Images[m.Partner[i]*size:][:size]
		}
		for j, t := range v.Transforms {
			v.view(dst[(i*len(v.Transforms)+j)*padded:][:padded], border, image, other, b.Mixture, t)
		}
	})
}

// view writes one view of an image, mixed with the other if m is not nil.
func (v *Views) view(dst []float32, border int, image, other []byte, m *Mixture, t format.Transform) {
	h, w, channels := v.Input.Height, v.Input.Width, v.Input.Channels
	for y := range h {
		for x := range w {
			sy, sx := sla.RotatedSource(t.Turns, y, x, h, w)
			at := (sy*w + sx) * channels
			src := image
			if m.cuts(sy, sx) {
				src = other
			}
			to := dst[((y+border)*(w+2*border)+x+border)*channels:][:channels]
			for c, from := range t.Channels {
				to[c] = v.Levels[from][src[at+from]]
				if m != nil && m.Kind == Mixup {
					to[c] = m.sum(to[c], v.Levels[from][other[at+from]])
				}
			}
		}
	}
}
