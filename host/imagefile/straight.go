package imagefile

import (
	"image"
	"image/color"
	"image/draw"
)

// Rows fills dst with rows of any image from row y of its bounds on, as straight RGBA.
// Images with straight alpha keep their samples as they are, the upper eight bits of 16;
// premultiplied ones (image.RGBA, image.RGBA64) are divided by their alpha. An image.YCbCr
// is taken as JPEG's, full range; that of package webp is not: read such files with Decode.
func Rows(dst []byte, img image.Image, y int) {
	b := img.Bounds()
	rows := len(dst) / (4 * b.Dx())
	switch m := img.(type) {
	case *Picture:
		m.Rows(dst, y)
	case *image.NRGBA:
		for r := range rows {
			i := m.PixOffset(b.Min.X, y+r)
			copy(dst[4*b.Dx()*r:][:4*b.Dx()], m.Pix[i:])
		}
	case *image.NRGBA64:
		for r := range rows {
			src := m.Pix[m.PixOffset(b.Min.X, y+r):]
			row := dst[4*b.Dx()*r:][:4*b.Dx()]
			for i := range row {
				row[i] = src[2*i]
			}
		}
	case *image.Paletted:
		palette := straightPalette(m.Palette)
		for r := range rows {
			src := m.Pix[m.PixOffset(b.Min.X, y+r):]
			for x := range b.Dx() {
				copy(dst[4*(r*b.Dx()+x):][:4], palette[src[x]][:])
			}
		}
	case *image.NYCbCrA:
		for r := range rows {
			for x := range b.Dx() {
				c := m.NYCbCrAAt(b.Min.X+x, y+r)
				i := 4 * (r*b.Dx() + x)
				dst[i], dst[i+1], dst[i+2] = color.YCbCrToRGB(c.Y, c.Cb, c.Cr)
				dst[i+3] = c.A
			}
		}
	default:
		band := image.NRGBA{Pix: dst, Stride: 4 * b.Dx(), Rect: image.Rect(0, 0, b.Dx(), rows)}
		draw.Draw(&band, band.Rect, img, image.Pt(b.Min.X, y), draw.Src)
	}
}

// straightPalette returns a palette's colours; entries it lacks are transparent.
func straightPalette(p color.Palette) *[256][4]byte {
	var s [256][4]byte
	for i, c := range p[:min(len(p), 256)] {
		n, ok := c.(color.NRGBA)
		if !ok {
			n = color.NRGBAModel.Convert(c).(color.NRGBA)
		}
		s[i] = [4]byte{n.R, n.G, n.B, n.A}
	}
	return &s
}
