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

// transformRow writes row y of t(src) into dst, the input of a net. src is dense (H, W, C), as
// are the rows of dst.
func transformRow(dst *value, src []float32, t format.Transform, y int) {
	h, w, channels := dst.shape.Height, dst.shape.Width, len(t.Channels)
	at := func(y, x int) int {
		y, x = RotatedSource(t.Turns, y, x, h, w)
		return (y*w + x) * channels
	}
	k := at(y, 0)
	right := at(y, 1) - k // in src, for a step in dst
	row := dst.row(y)
	switch c := t.Channels; {
	case t.Turns == 0 && (channels == 1 || c[0] == 0 && c[1] == 1): // the identity
		copy(row, src[k:])
	case channels == 1:
		for i := range row {
			row[i] = src[k]
			k += right
		}
	default:
		for r, g, b := c[0], c[1], c[2]; len(row) > 0; row = row[3:] {
			row[0], row[1], row[2] = src[k+r], src[k+g], src[k+b]
			k += right
		}
	}
}
