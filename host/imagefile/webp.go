package imagefile

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"image"
	"slices"

	"golang.org/x/image/webp"
)

func sizeOfWebP(data []byte, _ Limits) (Config, error) {
	h, err := webpHeader(data)
	if err == nil && h.flags != 0 && h.canvas != image.Pt(h.width, h.height) {
		// The decoder takes memory for alpha by the canvas.
		err = broken("WebP", fmt.Sprintf("its canvas is of %dx%d pixels, its picture of %dx%d", h.canvas.X, h.canvas.Y, h.width, h.height))
	}
	return Config{Width: h.width, Height: h.height}, err
}

// decodeWebP reads a still WebP image, lossy or lossless.
func decodeWebP(ctx context.Context, data []byte, p *Picture) error {
	h, err := webpHeader(data)
	if err != nil {
		return err
	}
	if h.flags != 0 && data[h.flags]&webpAlpha != 0 && !h.alpha {
		// The decoder wants the alpha it was promised; libwebp does without.
		data = slices.Clone(data)
		data[h.flags] &^= webpAlpha
	}
	img, err := standard(ctx, bytes.NewReader(data), webp.Decode)
	if err != nil {
		return err
	}
	if img.Bounds() != p.Bounds() {
		return fmt.Errorf("the frame is of %v, the image of %dx%d pixels", img.Bounds().Size(), h.width, h.height)
	}
	switch m := img.(type) {
	case *image.NRGBA:
		p.pix, p.channels = m.Pix, 4
		if h.opaque {
			for i := 3; i < len(p.pix); i += 4 {
				p.pix[i] = 255
			}
		}
	case *image.YCbCr:
		p.channels, p.pix = 3, make([]byte, 3*h.width*h.height)
		webpColours(p.pix, 3, m)
	case *image.NYCbCrA:
		p.channels, p.pix = 4, make([]byte, 4*h.width*h.height)
		webpColours(p.pix, 4, &m.YCbCr)
		for y := range h.height {
			for x := range h.width {
				p.pix[4*(y*h.width+x)+3] = m.A[y*m.AStride+x]
			}
		}
	default:
		return fmt.Errorf("unexpected samples %T", img)
	}
	return nil
}

const (
	webpAnimated = 1 << 1 // flags of the chunk VP8X
	webpAlpha    = 1 << 4
)

// webpInfo is what the chunks of a WebP file say before any is decoded.
type webpInfo struct {
	width, height int
	flags         int         // where the flags of VP8X lie, or 0
	canvas        image.Point // as VP8X says, which is to be the size of the picture
	alpha         bool        // whether there is a chunk ALPH
	opaque        bool        // lossless, and says that its alpha is not used
}

func webpHeader(data []byte) (h webpInfo, err error) {
	for at := 12; at+8 <= len(data); {
		name, size := string(data[at:at+4]), int64(binary.LittleEndian.Uint32(data[at+4:]))
		content := data[at+8:]
		if size < int64(len(content)) {
			content = content[:size]
		}
		switch {
		case name == "VP8X" && len(content) >= 10:
			h.flags = at + 8
			u24 := func(i int) int { return int(content[i]) | int(content[i+1])<<8 | int(content[i+2])<<16 }
			h.canvas = image.Pt(u24(4)+1, u24(7)+1)
			if content[0]&webpAnimated != 0 {
				return h, errAnimatedWebP
			}
		case name == "ANIM", name == "ANMF":
			return h, errAnimatedWebP
		case name == "ALPH":
			h.alpha = true
		case name == "VP8 " && len(content) >= 10:
			h.width = int(binary.LittleEndian.Uint16(content[6:])) & 0x3fff
			h.height = int(binary.LittleEndian.Uint16(content[8:])) & 0x3fff
			return h, nil
		case name == "VP8L" && len(content) >= 5:
			bits := binary.LittleEndian.Uint32(content[1:])
			h.width, h.height = int(bits&0x3fff)+1, int(bits>>14&0x3fff)+1
			h.opaque = bits>>28&1 == 0
			return h, nil
		}
		at += 8 + int(min(size+size&1, int64(len(data))))
	}
	return h, broken("WebP", "it holds no picture")
}

var errAnimatedWebP = &Error{Kind: ErrUnsupported, Format: "animated WebP",
	Detail: "animated WebP is not read here; save the frame you mean as PNG, JPEG or still WebP"}

// webpColours converts lossy WebP's samples, 4:2:0 in the limited range of ITU-R 601, into
// RGB with libwebp's arithmetic: chroma is interpolated from the four samples around a pixel
// with the weights 9, 3, 3 and 1, and colours are computed with six bits
// more than they have. dst has n bytes a
// pixel, of which the first three are written.
func webpColours(dst []byte, n int, m *image.YCbCr) {
	width, height := m.Rect.Dx(), m.Rect.Dy()
	rows, columns := (height+1)/2, (width+1)/2
	// at interpolates chroma for a pixel of column x from the row nearer to it and the
	// one farther away; at the edges a sample is its own neighbour.
	at := func(plane []byte, nearer, farther, x int) int {
		c := x / 2
		d := max(0, min(columns-1, c-1+x%2*2))
		near, far := plane[nearer*m.CStride:], plane[farther*m.CStride:]
		return (9*int(near[c]) + 3*int(near[d]) + 3*int(far[c]) + int(far[d]) + 8) >> 4
	}
	for y := range height {
		nearer := y / 2
		farther := max(0, min(rows-1, nearer-1+y%2*2))
		for x := range width {
			l := int(m.Y[y*m.YStride+x])
			u, v := at(m.Cb, nearer, farther, x), at(m.Cr, nearer, farther, x)
			o := dst[n*(y*width+x):][:3]
			l = l * 19077 >> 8
			o[0] = sixBitsOff(l + v*26149>>8 - 14234)
			o[1] = sixBitsOff(l - u*6419>>8 - v*13320>>8 + 8708)
			o[2] = sixBitsOff(l + u*33050>>8 - 17685)
		}
	}
}

// sixBitsOff drops the six additional bits, and clips.
func sixBitsOff(v int) byte { return byte(max(0, min(255, v>>6))) }
