package imagefile

import (
	"bytes"
	"context"
	"encoding/binary"
	"image"
	"image/gif"
	"slices"
)

// decodeGIF reads the first frame and lays it on the screen.
func decodeGIF(ctx context.Context, data []byte, p *Picture) error {
	// The decoder refuses a frame that reaches beyond the screen, which browsers
	// then enlarge.
	data = slices.Clone(data)
	binary.LittleEndian.PutUint16(data[6:], uint16(p.width))
	binary.LittleEndian.PutUint16(data[8:], uint16(p.height))
	img, err := standard(ctx, bytes.NewReader(data), gif.Decode)
	if err != nil {
		return err
	}
	frame := img.(*image.Paletted)
	palette := straightPalette(frame.Palette)
	if frame.Rect == p.Bounds() {
		p.pix, p.channels, p.palette = frame.Pix, 1, palette
		return nil
	}
	p.channels, p.pix = 4, make([]byte, 4*p.width*p.height)
	for y := frame.Rect.Min.Y; y < frame.Rect.Max.Y; y++ {
		for x := frame.Rect.Min.X; x < frame.Rect.Max.X; x++ {
			copy(p.pix[4*(y*p.width+x):][:4], palette[frame.ColorIndexAt(x, y)][:])
		}
	}
	return nil
}

// sizeOfGIF returns the size of the screen, made large enough for the first frame.
func sizeOfGIF(data []byte, _ Limits) (c Config, err error) {
	short := broken("GIF", "it ends before its first frame")
	if len(data) < 13 {
		return c, short
	}
	c.Width, c.Height = int(binary.LittleEndian.Uint16(data[6:])), int(binary.LittleEndian.Uint16(data[8:]))
	rest := data[13:]
	if flags := data[10]; flags&0x80 != 0 { // a global colour table
		n := 3 << (1 + flags&7)
		if len(rest) < n {
			return c, short
		}
		rest = rest[n:]
	}
	for {
		switch {
		case len(rest) >= 10 && rest[0] == ',': // an image descriptor
			u := func(i int) int { return int(binary.LittleEndian.Uint16(rest[i:])) }
			return Config{Width: max(c.Width, u(1)+u(5)), Height: max(c.Height, u(3)+u(7))}, nil
		case len(rest) >= 2 && rest[0] == '!': // an extension: a label and blocks up to an empty one
			rest = rest[2:]
			for len(rest) > 0 && rest[0] != 0 {
				rest = rest[min(1+int(rest[0]), len(rest)):]
			}
			if len(rest) == 0 {
				return c, short
			}
			rest = rest[1:]
		case len(rest) > 0 && rest[0] == ';':
			return c, broken("GIF", "it has no frame")
		default:
			return c, short
		}
	}
}
