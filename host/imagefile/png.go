package imagefile

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"image"
	"image/png"
	"io"
	"slices"
	"strings"
)

// pngHeader is the length of what a file begins with: the signature, then the length, the name and
// the content of IHDR.
const pngHeader = 8 + 8 + 13

func sizeOfPNG(data []byte, _ Limits) (c Config, err error) {
	if len(data) >= 16 && string(data[12:16]) == "CgBI" {
		return c, &Error{Kind: ErrUnsupported, Format: "PNG", Detail: "Apple's own variety of PNG (CgBI) is not read here (nor by browsers); convert it to ordinary PNG (pngcrush -revert-iphone-optimizations)"}
	}
	if len(data) < pngHeader || string(data[12:16]) != "IHDR" {
		return c, broken("PNG", "it has no header")
	}
	w, h := binary.BigEndian.Uint32(data[16:]), binary.BigEndian.Uint32(data[20:])
	if w > 1<<31-1 || h > 1<<31-1 {
		return c, broken("PNG", fmt.Sprintf("its size is %dx%d", w, h))
	}
	return Config{Width: int(w), Height: int(h)}, nil
}

func decodePNG(ctx context.Context, data []byte, p *Picture) error {
	img, err := standard(ctx, essentialPNG(data), png.Decode)
	if err != nil {
		return err
	}
	p.channels, p.orientation = 4, pngOrientation(data)
	p.Grey = data[25] == pngGrey || data[25] == pngGreyAlpha
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

// The colour types of PNG (third edition, table 11.1).
const (
	pngGrey      = 0
	pngTruecolor = 2
	pngIndexed   = 3
	pngGreyAlpha = 4
)

// essentialPNG reads the chunks of a file that its pixels depend on: IHDR, a palette where it is
// needed, tRNS, IDAT, and the end. As browsers and Pillow do, it passes over what is wrong with the others
// and over colours of a palette that no index leads to, and takes the first tRNS that can be meant from
// wherever it is. Critical chunks are left as they are, for the decoder to judge.
func essentialPNG(data []byte) io.Reader {
	const signature, end = 8, "\x00\x00\x00\x00IEND\xaeB\x60\x82"
	depth, colour := data[pngHeader-5], data[pngHeader-4]
	var parts []io.Reader
	from, at := 0, signature // data[from:at] is to be read as it is
	flush := func(next int) {
		if from < at {
			parts = append(parts, bytes.NewReader(data[from:at]))
		}
		from = next
	}
	palette, pixels := 0, -1 // colours; the part before which tRNS belongs, once there are pixels
	var transparency []byte
	for {
		rest := data[at:]
		if len(rest) < 12 || int64(binary.BigEndian.Uint32(rest)) > int64(len(rest)-12) && string(rest[4:8]) != "IEND" {
			return io.MultiReader(append(parts, bytes.NewReader(data[from:]))...) // cut off, which the decoder finds
		}
		size := int64(binary.BigEndian.Uint32(rest))
		name := string(rest[4:8])
		if name == "IEND" {
			break
		}
		chunk, content := rest[:12+size], rest[8:8+size]
		keep := true
		switch ancillary := name[0]&0x20 != 0; { // a small letter
		case name == "PLTE" && colour != pngIndexed: // suggested colours
			keep = false
		case name == "PLTE":
			if used := int64(3) << min(depth, 8); size > used && size%3 == 0 && size <= 3*256 && intact(chunk) {
				content, keep = content[:used], false
				flush(at)
				parts = append(parts, bytes.NewReader(pngChunk(name, content)))
			}
			palette = len(content) / 3
		case name == "tRNS":
			keep = false
			if transparency == nil && intact(chunk) && fitsTRNS(colour, len(content)) {
				transparency = content
			}
		case ancillary:
			keep = false
		case name == "IDAT" && pixels < 0:
			flush(at)
			pixels = len(parts)
		}
		if !keep {
			flush(at + len(chunk))
		}
		at += len(chunk)
	}
	flush(at)
	if colour == pngIndexed {
		transparency = transparency[:min(len(transparency), palette)]
	}
	if len(transparency) > 0 && pixels >= 0 {
		parts = slices.Insert(parts, pixels, io.Reader(bytes.NewReader(pngChunk("tRNS", transparency))))
	}
	return io.MultiReader(append(parts, strings.NewReader(end))...)
}

// fitsTRNS tells whether a chunk tRNS has a length that goes with the colour type.
func fitsTRNS(colour byte, size int) bool {
	switch colour {
	case pngGrey:
		return size == 2
	case pngTruecolor:
		return size == 6
	}
	return colour == pngIndexed && size > 0
}

// intact tells whether a chunk has the checksum that it says.
func intact(chunk []byte) bool {
	n := len(chunk) - 4
	return crc32.ChecksumIEEE(chunk[4:n]) == binary.BigEndian.Uint32(chunk[n:])
}

// pngChunk makes a chunk.
func pngChunk(name string, content []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(content)))
	b = append(append(b, name...), content...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
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
