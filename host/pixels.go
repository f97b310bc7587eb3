package host

import (
	"fmt"
	"image"
	"image/color"
	"slices"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/sla"
)

// bandBytes is about how much of an image is converted and handed over at once, if that
// is no more work than slice.
const bandBytes = 1 << 18

// bands are an image as rows of red, green, blue and straight alpha.
type bands struct {
	img           image.Image
	origin        image.Point
	width, height int
	rows          int          // of a band, but for the last
	strip         *image.NRGBA // one band, unless the image is NRGBA already
}

// newBands looks at an image for a net of such an input. The error is ErrImage.
func newBands(img image.Image, in *format.Input) (s *bands, err error) {
	defer recoverImage(&err)
	if img == nil {
		return nil, &taggedError{ErrImage, "the image is nil"}
	}
	b := img.Bounds()
	if b.Empty() {
		return nil, &taggedError{ErrImage, fmt.Sprintf("the image is empty (%dx%d)", b.Dx(), b.Dy())}
	}
	s = &bands{img: img, origin: b.Min, width: b.Dx(), height: b.Dy()}
	if s.width < 1 || s.height < 1 || s.width > sla.MaxSide || s.height > sla.MaxSide {
		return nil, &taggedError{ErrImage, fmt.Sprintf("the image has %dx%d pixels, and a side may have 1 to %d", s.width, s.height, sla.MaxSide)}
	}
	// Its last pixel is there: an image that lacks a part is not to be taken for another.
	img.At(b.Max.X-1, b.Max.Y-1)
	s.rows = min(max(1, min(bandBytes/(4*s.width), slice/sla.RowWork(in, s.width, s.height))), s.height)
	if n, ok := img.(*image.NRGBA); !ok || n.Stride != 4*s.width {
		s.strip = image.NewNRGBA(image.Rect(0, 0, s.width, s.rows))
	}
	return s, nil
}

// at returns the band that begins at row y, counted from 0. The error is ErrImage.
func (s *bands) at(y int) (rgba []byte, err error) {
	defer recoverImage(&err)
	rows := min(s.rows, s.height-y)
	from := s.origin.Add(image.Pt(0, y))
	if s.strip == nil {
		n := s.img.(*image.NRGBA)
		at := n.PixOffset(from.X, from.Y)
		return n.Pix[at : at+4*s.width*rows : len(n.Pix)], nil
	}
	band := s.strip.Pix[:4*s.width*rows]
	switch m := s.img.(type) {
	case *image.Paletted:
		for r := range rows {
			row := m.Pix[m.PixOffset(from.X, from.Y+r):][:s.width]
			if i := slices.Max(row); int(i) >= len(m.Palette) {
				return nil, &taggedError{ErrImage, fmt.Sprintf("the image has a pixel of colour %d, and its palette has %d", i, len(m.Palette))}
			}
		}
		imagefile.Rows(band, m, from.Y)
	case *imagefile.Picture, *image.NRGBA, *image.NRGBA64, *image.NYCbCrA, *image.RGBA, *image.RGBA64, *image.YCbCr, *image.CMYK,
		*image.Gray, *image.Gray16, *image.Alpha, *image.Alpha16:
		imagefile.Rows(band, m, from.Y)
	default:
		for i := range s.width * rows {
			c := straight(m.At(from.X+i%s.width, from.Y+i/s.width))
			band[4*i], band[4*i+1], band[4*i+2], band[4*i+3] = c.R, c.G, c.B, c.A
		}
	}
	return band, nil
}

// straight returns a colour as imagefile.Rows takes it from an image: straight samples as
// they are, the upper eight bits of 16, and premultiplied ones divided by their alpha.
func straight(c color.Color) color.NRGBA {
	switch c := c.(type) {
	case color.NRGBA64:
		return color.NRGBA{uint8(c.R >> 8), uint8(c.G >> 8), uint8(c.B >> 8), uint8(c.A >> 8)}
	case color.NYCbCrA:
		r, g, b := color.YCbCrToRGB(c.Y, c.Cb, c.Cr)
		return color.NRGBA{r, g, b, c.A}
	}
	return color.NRGBAModel.Convert(c).(color.NRGBA)
}

// recoverImage makes an error of a panic in the methods of an image, which are its owner's:
// one bad image must not end a program that classifies many.
func recoverImage(err *error) {
	if r := recover(); r != nil {
		*err = &taggedError{ErrImage, fmt.Sprintf("the image panicked: %v", r)}
	}
}
