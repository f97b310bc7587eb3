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

// transformInto writes t(src) into dst and returns the work that it took. src is dense
// (C, H, W).
func transformInto(dst *value, src []float32, t format.Transform) (work int) {
	h, w := dst.shape.Height, dst.shape.Width
	at := func(y, x int) int {
		y, x = RotatedSource(t.Turns, y, x, h, w)
		return y*w + x
	}
	origin := at(0, 0)
	down, right := at(1, 0)-origin, at(0, 1)-origin // in src, for a step in dst
	for c, from := range t.Channels {
		plane := src[from*h*w : (from+1)*h*w]
		for y := range h {
			row := dst.row(y)
			k := origin + y*down
			for i := c; i < len(row); i += dst.pitch {
				row[i] = plane[k]
				k += right
			}
		}
	}
	return viewWork * len(src)
}
