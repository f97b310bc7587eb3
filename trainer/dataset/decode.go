package dataset

import (
	"errors"
	"fmt"
	"image"
	"image/draw"
	_ "image/gif" // the formats that ReadImage knows
	_ "image/jpeg"
	_ "image/png"
	"io"
	"os"
	"path/filepath"
	"strings"

	_ "golang.org/x/image/webp"

	"github.com/quarterturn/quarterturn/sla"
)

// maxPixels bounds what a small file may claim to decode to.
const maxPixels = 100_000_000

// IsImage tells by its name whether a file is one that ReadImage knows.
func IsImage(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".png", ".jpg", ".jpeg", ".gif", ".webp":
		return true
	}
	return false
}

// ReadImage decodes a PNG, JPEG, GIF or WebP file; see DecodeImage.
func ReadImage(name string) (image.Image, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return DecodeImage(f, name)
}

// DecodeImage decodes a PNG, JPEG, GIF or WebP image. Its size is checked before it
// is decoded; errors name it.
func DecodeImage(f io.ReadSeeker, name string) (image.Image, error) {
	c, _, err := image.DecodeConfig(f)
	if err == nil && (c.Width > sla.MaxSide || c.Height > sla.MaxSide || c.Width*c.Height > maxPixels) {
		return nil, fmt.Errorf("%s: %dx%d pixels are too many; the limit is %d in all and %d a side", name, c.Width, c.Height, maxPixels, sla.MaxSide)
	}
	if err == nil {
		_, err = f.Seek(0, 0)
	}
	var img image.Image
	if err == nil {
		img, _, err = image.Decode(f)
	}
	if errors.Is(err, image.ErrFormat) {
		return nil, fmt.Errorf("%s is not a PNG, JPEG, GIF or WebP image", name)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return img, nil
}

// Straight gives an image as straight RGBA with its origin at (0, 0).
func Straight(img image.Image) *image.NRGBA {
	straight := image.NewNRGBA(image.Rect(0, 0, img.Bounds().Dx(), img.Bounds().Dy()))
	draw.Draw(straight, straight.Rect, img, img.Bounds().Min, draw.Src)
	return straight
}
