package imagefile

import (
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"image/png"
)

func sizeOfPNG(data []byte, _ Limits) (width, height int, err error) {
	const header = 8 + 8 + 13 // signature, then length, name and content of IHDR
	if len(data) < header || string(data[12:16]) != "IHDR" {
		return 0, 0, broken("PNG", "it has no header")
	}
	w, h := binary.BigEndian.Uint32(data[16:]), binary.BigEndian.Uint32(data[20:])
	if w > 1<<31-1 || h > 1<<31-1 {
		return 0, 0, broken("PNG", fmt.Sprintf("its size is %dx%d", w, h))
	}
	return int(w), int(h), nil
}

func decodePNG(ctx context.Context, data []byte, p *Picture) error {
	img, err := standard(ctx, data, png.Decode)
	if err != nil {
		return err
	}
	p.channels, p.orientation = 4, pngOrientation(data)
	const grey, greyAlpha = 0, 4 // colour types
	p.Grey = data[25] == grey || data[25] == greyAlpha
	switch m := img.(type) {
	case *image.Gray:
		p.pix, p.channels, p.palette = m.Pix, 1, greys
	case *image.Gray16:
		p.pix, p.channels, p.palette = upper(m.Pix), 1, greys
	case *image.Paletted:
		p.pix, p.channels, p.palette = m.Pix, 1, straightPalette(m.Palette)
	case *image.NRGBA:
		p.pix = m.Pix
	case *image.NRGBA64:
		p.pix = upper(m.Pix)
	case *image.RGBA: // of files without alpha
		p.pix = m.Pix
	case *image.RGBA64:
		p.pix = upper(m.Pix)
	default:
		return fmt.Errorf("unexpected samples %T", img)
	}
	return nil
}

// upper keeps the upper bytes of big-endian 16-bit samples, in place.
func upper(pix []byte) []byte {
	n := len(pix) / 2
	for i := range n {
		pix[i] = pix[2*i]
	}
	return pix[:n]
}

// pngOrientation reads the chunk eXIf before the image data, where browsers look.
func pngOrientation(data []byte) orientation {
	for rest := data[8:]; len(rest) >= 12; {
		size := int64(binary.BigEndian.Uint32(rest))
		if size > int64(len(rest)-12) {
			break
		}
		switch content := rest[8 : 8+size]; string(rest[4:8]) {
		case "eXIf":
			return exifOrientation(content)
		case "IDAT":
			return upright
		}
		rest = rest[12+size:]
	}
	return upright
}
