package sla

import "github.com/quarterturn/quarterturn/format"

// RotatedSource returns the pixel of an untransformed height x width image that stands
// at (y, x) after the given number of counter-clockwise quarter turns, as in
// numpy.rot90(image, turns). Odd turns need a square image.
func RotatedSource(turns, y, x, height, width int) (int, int) {
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

// transformRow writes row y of t(src) into dst. src is dense (C, H, W).
func transformRow(dst *value, src []float32, t format.Transform, y int) {
	h, w := dst.shape.Height, dst.shape.Width
	at := func(y, x int) int {
		y, x = RotatedSource(t.Turns, y, x, h, w)
		return y*w + x
	}
	first := at(y, 0)
	right := at(y, 1) - first // in src, for a step in dst
	row := dst.row(y)
	for c, from := range t.Channels {
		plane := src[from*h*w : (from+1)*h*w]
		k := first
		for i := c; i < len(row); i += dst.pitch {
			row[i] = plane[k]
			k += right
		}
	}
}
