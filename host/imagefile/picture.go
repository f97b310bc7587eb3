package imagefile

import (
	"image"
	"image/color"
)

// A Picture is a decoded image file. As an image.Image it is of 8-bit RGBA with straight
// alpha (color.NRGBA), upright, with its origin at (0, 0). Rows reads it many times faster
// than At.
type Picture struct {
	Format string // "PNG", "JPEG", "GIF" or "WebP"
	Grey   bool   // whether the file holds grey levels, not colours

	// The stored samples: one, three (RGB) or four (RGBA) bytes a pixel. One byte is an
	// index to palette.
	pix           []byte
	channels      int
	palette       *[256][4]byte
	width, height int // as stored
	orientation   orientation
}

// greys is the palette of grey levels.
var greys = func() *[256][4]byte {
	var p [256][4]byte
	for i := range p {
		p[i] = [4]byte{byte(i), byte(i), byte(i), 255}
	}
	return &p
}()

// Bounds returns the picture's size, orientation applied.
func (p *Picture) Bounds() image.Rectangle {
	if p.orientation.swapped() {
		return image.Rect(0, 0, p.height, p.width)
	}
	return image.Rect(0, 0, p.width, p.height)
}

// ColorModel returns color.NRGBAModel.
func (p *Picture) ColorModel() color.Model { return color.NRGBAModel }

// At returns the color.NRGBA at (x, y).
func (p *Picture) At(x, y int) color.Color {
	if !(image.Pt(x, y).In(p.Bounds())) {
		return color.NRGBA{}
	}
	start, step := p.line(y)
	var c [4]byte
	p.pixel(c[:], start+x*step)
	return color.NRGBA{c[0], c[1], c[2], c[3]}
}

// Rows fills dst with whole rows from row y on: red, green, blue and straight alpha.
func (p *Picture) Rows(dst []byte, y int) {
	width := p.Bounds().Dx()
	for ; len(dst) > 0; y++ {
		i, step := p.line(y)
		row := dst[:4*width]
		if step == 1 && p.channels == 4 {
			copy(row, p.pix[4*i:])
		} else {
			for ; len(row) > 0; row = row[4:] {
				p.pixel(row, i)
				i += step
			}
		}
		dst = dst[4*width:]
	}
}

// NRGBA returns all pixels.
func (p *Picture) NRGBA() *image.NRGBA {
	n := image.NewNRGBA(p.Bounds())
	p.Rows(n.Pix, 0)
	return n
}

// line returns which stored pixel the row y begins with, and how far the following ones
// are apart.
func (p *Picture) line(y int) (first, step int) {
	w, last := p.width, p.width*p.height-1
	switch p.orientation {
	default:
		return y * w, 1
	case 2:
		return y*w + w - 1, -1
	case 3:
		return last - y*w, -1
	case 4:
		return last - y*w - (w - 1), 1
	case 5:
		return y, w
	case 6:
		return last - (w - 1) + y, -w
	case 7:
		return last - y, -w
	case 8:
		return w - 1 - y, w
	}
}

// pixel writes stored pixel i.
func (p *Picture) pixel(dst []byte, i int) {
	switch p.channels {
	case 1:
		copy(dst[:4], p.palette[p.pix[i]][:])
	case 3:
		rgb := p.pix[3*i : 3*i+3 : 3*i+3]
		dst[0], dst[1], dst[2], dst[3] = rgb[0], rgb[1], rgb[2], 255
	default:
		copy(dst[:4], p.pix[4*i:4*i+4])
	}
}
