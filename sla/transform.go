package sla

import "github.com/quarterturn/quarterturn/format"

// Source gives the pixel of an untransformed height x width image that stands
// at (y, x) after the given number of counter-clockwise quarter turns, as in
// numpy.rot90(image, turns). Odd turns need a square image.
func Source(turns, y, x, height, width int) (int, int) {
	switch turns {
	case 1:
		return x, width - 1 - y
	case 2:
		return height - 1 - y, width - 1 - x
	case 3:
		return height - 1 - x, y
	}
	return y, x
}

// transformInto writes t(src) into dst. src is dense (C, H, W).
func transformInto(dst *value, src []float32, t format.Transform) {
	h, w := dst.shape.Height, dst.shape.Width
	for y := range h {
		for x := range w {
			sy, sx := Source(t.Turns, y, x, h, w)
			to := dst.pixel(y, x)
			for c, from := range t.Channels {
				to[c] = src[(from*h+sy)*w+sx]
			}
		}
	}
}
