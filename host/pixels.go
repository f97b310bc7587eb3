package host

import (
	"image"

	"github.com/quarterturn/quarterturn/host/imagefile"
)

// bandBytes is about how much of an image is converted and handed over at once.
const bandBytes = 1 << 18

// bands gives an image as rows of red, green, blue and straight alpha.
type bands struct {
	img    image.Image
	height int          // rows of a band, but for the last
	strip  *image.NRGBA // one band, unless the image is NRGBA already
}

func newBands(img image.Image) *bands {
	b := img.Bounds()
	s := &bands{img: img, height: min(max(1, bandBytes/(4*b.Dx())), b.Dy())}
	if n, ok := img.(*image.NRGBA); !ok || n.Stride != 4*b.Dx() {
		s.strip = image.NewNRGBA(image.Rect(0, 0, b.Dx(), s.height))
	}
	return s
}

// at gives the band that begins at row y.
func (s *bands) at(y int) []byte {
	b := s.img.Bounds()
	rows := min(s.height, b.Max.Y-y)
	if s.strip == nil {
		n := s.img.(*image.NRGBA)
		from := n.PixOffset(b.Min.X, y)
		return n.Pix[from : from+4*b.Dx()*rows]
	}
	band := s.strip.Pix[:4*b.Dx()*rows]
	imagefile.Rows(band, s.img, y)
	return band
}
