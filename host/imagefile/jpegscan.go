package imagefile

import (
	"cmp"
	"fmt"
)

// lookBits is how many bits of a code one look into a table covers.
const lookBits = 9

// A huffmanTable decodes a canonical Huffman code (T.81, annex C).
type huffmanTable struct {
	look   [1 << lookBits]uint16 // length<<8 | value, by the next bits; 0 for longer codes
	values [256]byte
	// For codes of n bits: the largest one, or -1; and what to add to one to get the
	// index of its value.
	largest [17]int32
	offset  [17]int32
}

func (d *jpegDecoder) huffmanTables(s []byte) error {
	for len(s) > 0 {
		if len(s) < 17 || s[0]>>4 > 1 || s[0]&15 > 3 {
			return broken("JPEG", "a Huffman table is wrong")
		}
		class, to, counts := s[0]>>4, s[0]&15, s[1:17]
		t, n, code := new(huffmanTable), 0, int32(0)
		for length := 1; length <= 16; length++ {
			count := int(counts[length-1])
			if n+count > 256 || int(code)+count > 1<<length || len(s) < 17+n+count {
				return broken("JPEG", "a Huffman table is wrong")
			}
			t.offset[length], t.largest[length] = int32(n)-code, -1
			for range count {
				v := s[17+n]
				t.values[n] = v
				if length <= lookBits {
					first := int(code) << (lookBits - length)
					for i := range 1 << (lookBits - length) {
						t.look[first+i] = uint16(length)<<8 | uint16(v)
					}
				}
				t.largest[length] = code
				code++
				n++
			}
			code <<= 1
		}
		d.huffman[class][to] = t
		s = s[17+n:]
	}
	return nil
}

var errShort = broken("JPEG", "the data of a scan ends too early")

// fill reads ahead up to a marker or the end.
func (d *jpegDecoder) fill() {
	for d.nBits <= 56 && d.at < len(d.data) {
		b := d.data[d.at]
		if b == 0xff {
			if d.at+1 >= len(d.data) || d.data[d.at+1] != 0 {
				return
			}
			d.at++
		}
		d.at++
		d.bits |= uint64(b) << (56 - d.nBits)
		d.nBits += 8
	}
}

// symbol decodes one Huffman code.
func (d *jpegDecoder) symbol(t *huffmanTable) (byte, error) {
	if d.nBits < 16 {
		d.fill()
	}
	if e := t.look[d.bits>>(64-lookBits)]; e != 0 {
		n := uint(e >> 8)
		if n > d.nBits {
			return 0, errShort
		}
		d.bits <<= n
		d.nBits -= n
		return byte(e), nil
	}
	for n := uint(lookBits + 1); n <= 16; n++ {
		code := int32(d.bits >> (64 - n))
		if code > t.largest[n] {
			continue
		}
		if n > d.nBits {
			return 0, errShort
		}
		d.bits <<= n
		d.nBits -= n
		return t.values[(code+t.offset[n])&255], nil
	}
	if d.nBits < 16 {
		return 0, errShort
	}
	return 0, broken("JPEG", "a scan has a code that its table lacks")
}

// take returns the next n bits, at most 16.
func (d *jpegDecoder) take(n uint) (int32, error) {
	if n == 0 {
		return 0, nil
	}
	if d.nBits < n {
		if d.fill(); d.nBits < n {
			return 0, errShort
		}
	}
	v := int32(d.bits >> (64 - n))
	d.bits <<= n
	d.nBits -= n
	return v, nil
}

// receive reads a number of n bits with its sign (T.81, figures F.11 and F.12).
func (d *jpegDecoder) receive(n uint) (int32, error) {
	v, err := d.take(n)
	if n > 0 && v < 1<<(n-1) {
		v += -1<<n + 1
	}
	return v, err
}

// A jpegScan is what a scan brings of each coefficient block.
type jpegScan struct {
	first, last int // coefficients, in zigzag order
	high, low   uint
}

// scan decodes a scan.
func (d *jpegDecoder) scan(s []byte) error {
	if d.components == nil {
		return broken("JPEG", "a scan comes before the frame")
	}
	if len(s) < 1 || s[0] < 1 || s[0] > 4 || len(s) != 4+2*int(s[0]) {
		return broken("JPEG", "the header of a scan is wrong")
	}
	n := int(s[0])
	p := s[1+2*n:]
	x := jpegScan{int(p[0]), int(p[1]), uint(p[2] >> 4), uint(p[2] & 15)}
	if !d.progressive {
		x = jpegScan{0, 63, 0, 0}
	} else if x.first > x.last || x.last > 63 || (x.first == 0) != (x.last == 0) || x.first > 0 && n > 1 || x.low > 13 || x.high > 0 && x.high != x.low+1 {
		return broken("JPEG", fmt.Sprintf("a scan of %d components brings coefficients %d to %d, bits %d to %d", n, x.first, x.last, x.high, x.low))
	}
	var cs []*jpegComponent
	blocks := 0
	for i := range n {
		c, err := d.scanComponent(int(s[1+2*i]), s[2+2*i], x, cs)
		if err != nil {
			return err
		}
		cs = append(cs, c)
		blocks += c.h * c.v
	}
	if n > 1 && blocks > 10 {
		return broken("JPEG", "a scan has more than 10 blocks at a time")
	}
	return d.scanMCUs(cs, x)
}

// scanComponent prepares a component for a scan.
func (d *jpegDecoder) scanComponent(id int, tables byte, x jpegScan, before []*jpegComponent) (*jpegComponent, error) {
	var c *jpegComponent
	for i := range d.components {
		if d.components[i].id == id {
			c = &d.components[i]
		}
	}
	for _, b := range before {
		if b == c {
			c = nil
		}
	}
	if c == nil || tables>>4 > 3 || tables&15 > 3 {
		return nil, broken("JPEG", fmt.Sprintf("a scan has a wrong component %d", id))
	}
	if !d.progressive && c.quant != nil {
		return nil, broken("JPEG", fmt.Sprintf("component %d comes twice", id))
	}
	if c.quant == nil {
		if c.quant = d.quant[c.tq]; c.quant == nil {
			return nil, broken("JPEG", "a quantisation table is missing")
		}
	}
	for k := x.first; k <= min(x.last, smoothed-1); k++ {
		c.missing[k] = int8(x.low)
	}
	c.dcTable, c.acTable = d.huffman[0][tables>>4], d.huffman[1][tables&15]
	if !d.progressive { // as libjpeg-turbo does
		standard := standardHuffman()
		c.dcTable, c.acTable = cmp.Or(c.dcTable, standard[0][tables>>4]), cmp.Or(c.acTable, standard[1][tables&15])
	}
	if x.first == 0 && x.high == 0 && c.dcTable == nil || x.last > 0 && c.acTable == nil {
		return nil, broken("JPEG", "a Huffman table is missing")
	}
	return c, nil
}

// scanMCUs decodes the blocks of a scan. With one component they are those of its
// picture, row by row; with several they come in MCUs, h x v blocks of each.
func (d *jpegDecoder) scanMCUs(cs []*jpegComponent, x jpegScan) error {
	mcusX, mcusY := d.mcusX, d.mcusY
	if len(cs) == 1 {
		mcusX, mcusY = ceilDiv(cs[0].width, 8), ceilDiv(cs[0].height, 8)
	}
	reset := func() {
		d.bits, d.nBits, d.eobRun = 0, 0, 0
		for _, c := range cs {
			c.dc = 0
		}
	}
	reset()
	left, next := d.restart, byte(rst0)
	for my := range mcusY {
		if err := d.ctx.Err(); err != nil {
			return err
		}
		for mx := range mcusX {
			if d.restart > 0 && left == 0 {
				if err := d.expectRestart(next); err != nil {
					return err
				}
				reset()
				left, next = d.restart, rst0+(next-rst0+1)%8
			}
			left--
			if len(cs) == 1 {
				if err := d.block(cs[0], x, mx, my); err != nil {
					return err
				}
				continue
			}
			for _, c := range cs {
				for i := range c.h * c.v {
					if err := d.block(c, x, mx*c.h+i%c.h, my*c.v+i/c.h); err != nil {
						return err
					}
				}
			}
		}
	}
	return nil
}

// expectRestart reads a restart marker.
func (d *jpegDecoder) expectRestart(marker byte) error {
	d.nBits = 0
	for d.at+1 < len(d.data) && d.data[d.at] == 0xff && d.data[d.at+1] == 0xff {
		d.at++
	}
	if d.at+1 >= len(d.data) {
		return errShort
	}
	if d.data[d.at] != 0xff || d.data[d.at+1] != marker {
		return broken("JPEG", fmt.Sprintf("restart marker %d is not where it should be", marker-rst0))
	}
	d.at += 2
	return nil
}

// block decodes what a scan brings of the block at (bx, by).
func (d *jpegDecoder) block(c *jpegComponent, x jpegScan, bx, by int) error {
	if !d.progressive {
		var b [64]int32
		last, err := d.baseline(c, &b)
		if err != nil {
			return err
		}
		inverseDCT(c.samples[8*(by*c.stride()+bx):], c.stride(), &b, last)
		return nil
	}
	b := (*[64]int16)(c.coefficients[64*(by*c.blocksX+bx):])
	switch {
	case x.first == 0 && x.high == 0:
		n, err := d.symbol(c.dcTable)
		if err != nil {
			return err
		}
		if n > 15 {
			return errCategory
		}
		diff, err := d.receive(uint(n))
		c.dc += diff
		b[0] = int16(c.dc << x.low)
		return err
	case x.first == 0:
		bit, err := d.take(1)
		b[0] |= int16(bit << x.low)
		return err
	case x.high == 0:
		return d.firstAC(c.acTable, b, x)
	}
	return d.refineAC(c.acTable, b, x)
}

var errCategory = broken("JPEG", "a coefficient has too many bits")

// baseline decodes and dequantises a whole block; last is its last coefficient, in natural
// order, that may not be zero.
func (d *jpegDecoder) baseline(c *jpegComponent, b *[64]int32) (last int, err error) {
	n, err := d.symbol(c.dcTable)
	if err != nil {
		return 0, err
	}
	if n > 15 {
		return 0, errCategory
	}
	diff, err := d.receive(uint(n))
	if err != nil {
		return 0, err
	}
	c.dc += diff
	b[0] = int32(int16(c.dc)) * c.quant[0]
	for k := 1; k < 64; k++ {
		s, err := d.symbol(c.acTable)
		if err != nil {
			return 0, err
		}
		k += int(s >> 4)
		switch {
		case s == 0:
			return last, nil
		case s == 0xf0: // 16 zeros
			continue
		case s&15 == 0 || k > 63:
			return 0, errRun
		}
		v, err := d.receive(uint(s & 15))
		if err != nil {
			return 0, err
		}
		z := int(zigzag[k])
		b[z] = v * c.quant[z]
		last = max(last, z)
	}
	return last, nil
}

var errRun = broken("JPEG", "a block has too many coefficients")

// firstAC decodes the first bits of AC coefficients (T.81, figure G.3).
func (d *jpegDecoder) firstAC(t *huffmanTable, b *[64]int16, x jpegScan) error {
	if d.eobRun > 0 {
		d.eobRun--
		return nil
	}
	for k := x.first; k <= x.last; k++ {
		s, err := d.symbol(t)
		if err != nil {
			return err
		}
		run, n := int(s>>4), uint(s&15)
		if n == 0 {
			if run == 15 {
				k += 15
				continue
			}
			more, err := d.take(uint(run))
			d.eobRun = 1<<run + int(more) - 1
			return err
		}
		if k += run; k > x.last {
			return errRun
		}
		v, err := d.receive(n)
		if err != nil {
			return err
		}
		b[zigzag[k]] = int16(v << x.low)
	}
	return nil
}

// refineAC decodes a further bit of AC coefficients (T.81, figure G.7).
func (d *jpegDecoder) refineAC(t *huffmanTable, b *[64]int16, x jpegScan) error {
	bit := int16(1) << x.low
	k := x.first
	if d.eobRun == 0 {
		for ; k <= x.last; k++ {
			s, err := d.symbol(t)
			if err != nil {
				return err
			}
			run, value := int(s>>4), int16(0)
			switch s & 15 {
			case 0:
				if run < 15 {
					more, err := d.take(uint(run))
					if err != nil {
						return err
					}
					d.eobRun = 1<<run + int(more)
				}
			case 1:
				sign, err := d.take(1)
				if err != nil {
					return err
				}
				if value = -bit; sign == 1 {
					value = bit
				}
			default:
				return errCategory
			}
			if d.eobRun > 0 {
				break
			}
			if k, err = d.refine(b, k, x.last, run, bit); err != nil {
				return err
			}
			if value != 0 {
				if k > x.last {
					return errRun
				}
				b[zigzag[k]] = value
			}
		}
	}
	if d.eobRun > 0 {
		d.eobRun--
		_, err := d.refine(b, k, x.last, -1, bit)
		return err
	}
	return nil
}

// refine reads a bit for each coefficient that is not zero already, from k on, until it
// has passed zeros that are zero still and stands at one more. It returns where.
func (d *jpegDecoder) refine(b *[64]int16, k, last, zeros int, bit int16) (int, error) {
	for ; k <= last; k++ {
		v := &b[zigzag[k]]
		if *v == 0 {
			if zeros == 0 {
				break
			}
			zeros--
			continue
		}
		more, err := d.take(1)
		if err != nil {
			return 0, err
		}
		if more == 0 || *v&bit != 0 {
			continue
		}
		if *v > 0 {
			*v += bit
		} else {
			*v -= bit
		}
	}
	return k, nil
}
