package imagefile

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
)

// The markers of JPEG (ITU-T T.81, table B.1) that matter here.
const (
	sof0 = 0xc0 // baseline; 0xc0 to 0xcf are frames but for the next three
	sof2 = 0xc2 // progressive
	dht  = 0xc4
	jpg  = 0xc8
	dac  = 0xcc
	rst0 = 0xd0
	rst7 = 0xd7
	soi  = 0xd8
	eoi  = 0xd9
	sos  = 0xda
	dqt  = 0xdb
	dri  = 0xdd
	app0 = 0xe0
)

// A jpegDecoder decodes one file: baseline or progressive, Huffman coded, 8 bits a sample.
// Its output has the bits of libjpeg-turbo's default decoder.
type jpegDecoder struct {
	ctx  context.Context
	data []byte
	at   int // in data

	width, height int
	progressive   bool
	components    []jpegComponent
	hMax, vMax    int // largest sampling factors
	mcusX, mcusY  int // MCUs of an interleaved scan
	quant         [4]*[64]int32
	huffman       [2][4]*huffmanTable // DC and AC
	restart       int                 // MCUs between restart markers; 0: none
	jfif, adobe   bool
	transform     byte // of Adobe's marker

	bits   uint64 // the bits read ahead, left-aligned
	nBits  uint
	eobRun int // blocks of a progressive scan that are known to end here
}

// A jpegComponent is a plane of samples, perhaps of fewer columns and rows than the picture.
type jpegComponent struct {
	id, h, v, tq  int
	width, height int        // of the samples that belong to the picture
	blocksX       int        // in memory, whole MCUs
	blocksY       int        //
	quant         *[64]int32 // as it was at the component's first scan; nil before
	coefficients  []int16    // progressive: (blocksY, blocksX, 64), natural order
	samples       []byte     // (rows, 8*blocksX)
	rows          int        // rows in memory, which later ones replace: all, or those of three MCUs
	dc            int32      // prediction
	dcTable       *huffmanTable
	acTable       *huffmanTable

	missing [smoothed]int8 // progressive: how many low bits of the first coefficients, in zigzag order, have not come; unseen: all
}

// sizeOfJPEG also bounds the scans.
func sizeOfJPEG(data []byte, l Limits) (Config, error) {
	h, err := jpegHeader(data)
	if err == nil && h.scans/maxScans > l.MaxPixels/(h.width*h.height) {
		err = &Error{Kind: ErrTooLarge, Format: "JPEG", Detail: fmt.Sprintf(
			"the progressive JPEG image refines %dx%d pixels %d times, far more often than encoders do; write it again with another program",
			h.width, h.height, h.scans)}
	}
	return Config{Width: h.width, Height: h.height, Work: h.width * h.height / usualScans * h.scans}, err
}

func decodeJPEG(ctx context.Context, data []byte, p *Picture) error {
	h, err := jpegHeader(data)
	if err != nil {
		return err
	}
	d := &jpegDecoder{ctx: ctx, data: data, at: 2}
	if err := d.decode(); err != nil {
		return err
	}
	if d.width != p.width || d.height != p.height {
		return broken("JPEG", "it has two frames")
	}
	p.orientation = h.orientation
	d.output(p)
	return nil
}

// A jpegInfo is what the markers say before anything is decoded.
type jpegInfo struct {
	width, height int
	scans         int // counted once for each of their components
	orientation   orientation
}

// jpegHeader walks over all markers, without decoding what is between them.
func jpegHeader(data []byte) (h jpegInfo, err error) {
	h.orientation = upright
	d := jpegDecoder{data: data, at: 2}
	exif := false
	for {
		marker, err := d.marker()
		if err != nil || marker == eoi {
			break // what is missing is found in decoding
		}
		s, err := d.segment(marker)
		if err != nil {
			break
		}
		switch {
		case isFrame(marker):
			if err := checkFrame(marker, s); err != nil {
				return h, err
			}
			h.height, h.width = int(binary.BigEndian.Uint16(s[1:])), int(binary.BigEndian.Uint16(s[3:]))
		case marker == sos && len(s) > 0:
			h.scans += int(s[0])
			d.skipScan()
		case marker == app0+1 && !exif && h.scans == 0 && bytes.HasPrefix(s, []byte("Exif\x00\x00")):
			exif = true
			h.orientation = exifOrientation(s[6:])
		}
	}
	if h.width == 0 || h.height == 0 {
		return h, broken("JPEG", "it has no frame of a known size")
	}
	return h, nil
}

// skipScan goes to the marker that ends a scan.
func (d *jpegDecoder) skipScan() {
	for d.at < len(d.data) {
		i := bytes.IndexByte(d.data[d.at:], 0xff)
		if i < 0 || d.at+i+1 >= len(d.data) {
			d.at = len(d.data)
			return
		}
		d.at += i
		if next := d.data[d.at+1]; next != 0 && next != 0xff && (next < rst0 || next > rst7) {
			return
		}
		d.at++
	}
}

func isFrame(marker byte) bool {
	return marker >= sof0 && marker <= 0xcf && marker != dht && marker != jpg && marker != dac
}

// checkFrame refuses the kinds of JPEG that are not decoded.
func checkFrame(marker byte, s []byte) error {
	kind := ""
	switch {
	case len(s) < 6:
		return broken("JPEG", "its frame is too short")
	case marker == 0xc3:
		kind = "lossless JPEG"
	case marker >= 0xc9:
		kind = "arithmetic-coded JPEG"
	case marker >= 0xc5:
		kind = "hierarchical JPEG"
	case s[0] != 8:
		kind = fmt.Sprintf("JPEG of %d bits a sample", s[0])
	default:
		return nil
	}
	return &Error{Kind: ErrUnsupported, Format: kind,
		Detail: kind + " is not read here (nor by browsers); convert it to ordinary JPEG (jpegtran, cjpeg) or PNG"}
}

// marker finds the next marker. Bytes that belong to nothing are passed over, as other
// decoders do.
func (d *jpegDecoder) marker() (byte, error) {
	for {
		i := bytes.IndexByte(d.data[d.at:], 0xff)
		if i < 0 {
			d.at = len(d.data)
			return 0, broken("JPEG", "it ends too early")
		}
		d.at += i + 1
		for d.at < len(d.data) && d.data[d.at] == 0xff {
			d.at++
		}
		if d.at == len(d.data) {
			return 0, broken("JPEG", "it ends too early")
		}
		m := d.data[d.at]
		d.at++
		if m != 0 && (m < rst0 || m > rst7) && m != 0x01 && m != soi {
			return m, nil
		}
	}
}

// segment returns the bytes that belong to a marker.
func (d *jpegDecoder) segment(marker byte) ([]byte, error) {
	rest := d.data[d.at:]
	if len(rest) < 2 {
		return nil, broken("JPEG", "it ends too early")
	}
	n := int(binary.BigEndian.Uint16(rest))
	if n < 2 || n > len(rest) {
		return nil, broken("JPEG", fmt.Sprintf("the segment of marker %#x ends too early", marker))
	}
	d.at += n
	return rest[2:n], nil
}

// decode reads all segments and scans.
func (d *jpegDecoder) decode() error {
	for {
		marker, err := d.marker()
		if err != nil {
			return err
		}
		if marker == eoi {
			return d.complete()
		}
		s, err := d.segment(marker)
		if err != nil {
			return err
		}
		switch {
		case isFrame(marker):
			err = d.frame(marker, s)
		case marker == dht:
			err = d.huffmanTables(s)
		case marker == dqt:
			err = d.quantTables(s)
		case marker == dri:
			if len(s) < 2 {
				return broken("JPEG", "its restart interval is too short")
			}
			d.restart = int(binary.BigEndian.Uint16(s))
		case marker == sos:
			err = d.scan(s)
		case marker == app0:
			d.jfif = d.jfif || bytes.HasPrefix(s, []byte("JFIF\x00"))
		case marker == app0+14 && len(s) >= 12 && bytes.HasPrefix(s, []byte("Adobe")):
			d.adobe, d.transform = true, s[11]
		}
		if err != nil {
			return err
		}
	}
}

// unseen is what jpegComponent.missing says of a coefficient before its first scan.
const unseen = -1

// smoothed is how many of a block's coefficients decoders guess or smooth while they are not known to their
// last bit: libjpeg-turbo by its block smoothing, others in other ways.
const smoothed = 10

// complete returns an error if a component has come in no scan, or in too few to say what the picture is.
func (d *jpegDecoder) complete() error {
	if len(d.components) == 0 {
		return broken("JPEG", "parts of its picture are missing")
	}
	for i := range d.components {
		c := &d.components[i]
		if c.quant == nil {
			return broken("JPEG", "parts of its picture are missing")
		}
		for _, bits := range c.missing[:smoothed] {
			if bits != 0 {
				return broken("JPEG", "it is progressive and its last scans are missing, so that its picture is a rough one which every program completes in its own way")
			}
		}
	}
	return nil
}

// frame reads the size and the components.
func (d *jpegDecoder) frame(marker byte, s []byte) error {
	if d.components != nil {
		return broken("JPEG", "it has two frames")
	}
	n := int(s[5])
	if len(s) != 6+3*n || n == 0 || n == 2 || n > 4 {
		return broken("JPEG", fmt.Sprintf("it has a frame of %d components", n))
	}
	d.progressive = marker == sof2
	d.height, d.width = int(binary.BigEndian.Uint16(s[1:])), int(binary.BigEndian.Uint16(s[3:]))
	d.components = make([]jpegComponent, n)
	for i := range d.components {
		c, s := &d.components[i], s[6+3*i:]
		c.id, c.h, c.v, c.tq = int(s[0]), int(s[1]>>4), int(s[1]&15), int(s[2])
		if c.h < 1 || c.h > 4 || c.v < 1 || c.v > 4 || c.tq > 3 {
			return broken("JPEG", fmt.Sprintf("component %d has sampling factors %dx%d and table %d", i+1, c.h, c.v, c.tq))
		}
		for k := range i {
			if d.components[k].id == c.id {
				return broken("JPEG", fmt.Sprintf("two components have the number %d", c.id))
			}
		}
		d.hMax, d.vMax = max(d.hMax, c.h), max(d.vMax, c.v)
	}
	d.mcusX, d.mcusY = ceilDiv(d.width, 8*d.hMax), ceilDiv(d.height, 8*d.vMax)
	for i := range d.components {
		c := &d.components[i]
		if d.hMax%c.h != 0 || d.vMax%c.v != 0 {
			return &Error{Kind: ErrUnsupported, Format: "JPEG",
				Detail: fmt.Sprintf("JPEG with components sampled %d and %d times is not read here (nor by browsers); convert it", d.hMax*d.vMax, c.h*c.v)}
		}
		c.width, c.height = ceilDiv(d.width*c.h, d.hMax), ceilDiv(d.height*c.v, d.vMax)
		c.blocksX, c.blocksY = d.mcusX*c.h, d.mcusY*c.v
		c.rows = 8 * c.blocksY
		if d.progressive {
			for k := range c.missing {
				c.missing[k] = unseen
			}
			c.coefficients = make([]int16, 64*c.blocksX*c.blocksY)
			c.rows = min(c.rows, 3*8*c.v)
		}
		c.samples = make([]byte, c.stride()*c.rows)
	}
	return nil
}

func ceilDiv(a, b int) int { return (a + b - 1) / b }

// zigzag is the natural position of each coefficient in a file's order.
var zigzag = [64]uint8{
	0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5,
	12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21, 28,
	35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51,
	58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54, 47, 55, 62, 63,
}

func (d *jpegDecoder) quantTables(s []byte) error {
	for len(s) > 0 {
		wide, to := s[0]>>4, s[0]&15
		size := 64 * (1 + int(wide))
		if wide > 1 || to > 3 || len(s) < 1+size {
			return broken("JPEG", "a quantisation table is wrong")
		}
		t := new([64]int32)
		for i, z := range zigzag {
			if wide == 1 {
				t[z] = int32(binary.BigEndian.Uint16(s[1+2*i:]))
			} else {
				t[z] = int32(s[1+i])
			}
		}
		d.quant[to] = t
		s = s[1+size:]
	}
	return nil
}
