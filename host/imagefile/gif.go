package imagefile

import (
	"context"
	"encoding/binary"
	"image"
	"image/gif"
	"slices"
)

// decodeGIF reads the first frame and lays it on the screen.
func decodeGIF(ctx context.Context, data []byte, l Limits) (*Picture, error) {
	screen, err := gifScreen(data)
	if err != nil {
		return nil, err
	}
	if err := l.checkSize("GIF", screen.X, screen.Y); err != nil {
		return nil, err
	}
	// The decoder refuses a frame that reaches beyond the screen, which browsers
	// then enlarge.
	data = slices.Clone(data)
	binary.LittleEndian.PutUint16(data[6:], uint16(screen.X))
	binary.LittleEndian.PutUint16(data[8:], uint16(screen.Y))
	img, err := standard(ctx, data, gif.Decode)
	if err != nil {
		return nil, err
	}
	frame := img.(*image.Paletted)
	palette := straightPalette(frame.Palette)
	p := &Picture{width: screen.X, height: screen.Y, orientation: upright}
	if frame.Rect == image.Rect(0, 0, screen.X, screen.Y) {
		p.pix, p.channels, p.palette = frame.Pix, 1, palette
		return p, nil
	}
	p.channels, p.pix = 4, make([]byte, 4*screen.X*screen.Y)
	for y := frame.Rect.Min.Y; y < frame.Rect.Max.Y; y++ {
		for x := frame.Rect.Min.X; x < frame.Rect.Max.X; x++ {
			copy(p.pix[4*(y*screen.X+x):][:4], palette[frame.ColorIndexAt(x, y)][:])
		}
	}
	return p, nil
}

// gifScreen returns the size of the screen, made large enough for the first frame.
func gifScreen(data []byte) (image.Point, error) {
	short := broken("GIF", "it ends before its first frame")
	if len(data) < 13 {
		return image.Point{}, short
	}
	screen := image.Pt(int(binary.LittleEndian.Uint16(data[6:])), int(binary.LittleEndian.Uint16(data[8:])))
	rest := data[13:]
	if flags := data[10]; flags&0x80 != 0 { // a global colour table
		n := 3 << (1 + flags&7)
		if len(rest) < n {
			return image.Point{}, short
		}
		rest = rest[n:]
	}
	for {
		switch {
		case len(rest) >= 10 && rest[0] == ',': // an image descriptor
			u := func(i int) int { return int(binary.LittleEndian.Uint16(rest[i:])) }
			return image.Pt(max(screen.X, u(1)+u(5)), max(screen.Y, u(3)+u(7))), nil
		case len(rest) >= 2 && rest[0] == '!': // an extension: a label and blocks up to an empty one
			rest = rest[2:]
			for len(rest) > 0 && rest[0] != 0 {
				rest = rest[min(1+int(rest[0]), len(rest)):]
			}
			if len(rest) == 0 {
				return image.Point{}, short
			}
			rest = rest[1:]
		case len(rest) > 0 && rest[0] == ';':
			return image.Point{}, broken("GIF", "it has no frame")
		default:
			return image.Point{}, short
		}
	}
}
