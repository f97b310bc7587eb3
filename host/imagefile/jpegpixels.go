package imagefile

// inverseDCT writes the 8x8 samples of a block of dequantised coefficients, of which those
// after last are zero. It is the accurate integer transform of the Independent JPEG Group:
// Loeffler, Ligtenberg and Moschytz 1989, with 11 multiplications, in 13-bit fixed point,
// columns first. Every decoder with these roundings gives the same samples.
func inverseDCT(dst []byte, stride int, b *[64]int32, last int) {
	const (
		bits  = 13 // of the constants' fractions
		extra = 2  // fraction bits kept between the passes
		down1 = bits - extra
		down2 = bits + extra + 3
	)
	if last == 0 { // all samples are alike
		v := clamp((b[0]<<extra+1<<(extra+2))>>(extra+3) + 128)
		for y := range 8 {
			row := dst[y*stride : y*stride+8 : y*stride+8]
			for x := range row {
				row[x] = v
			}
		}
		return
	}
	for x := range 8 {
		if b[8+x]|b[16+x]|b[24+x]|b[32+x]|b[40+x]|b[48+x]|b[56+x] == 0 {
			v := b[x] << extra
			b[x], b[8+x], b[16+x], b[24+x], b[32+x], b[40+x], b[48+x], b[56+x] = v, v, v, v, v, v, v, v
			continue
		}
		e0, e1, e2, e3, o0, o1, o2, o3 := butterflies(b[x], b[8+x], b[16+x], b[24+x], b[32+x], b[40+x], b[48+x], b[56+x])
		const half = 1 << (down1 - 1)
		b[x], b[56+x] = (e0+o0+half)>>down1, (e0-o0+half)>>down1
		b[8+x], b[48+x] = (e1+o1+half)>>down1, (e1-o1+half)>>down1
		b[16+x], b[40+x] = (e2+o2+half)>>down1, (e2-o2+half)>>down1
		b[24+x], b[32+x] = (e3+o3+half)>>down1, (e3-o3+half)>>down1
	}
	for y := range 8 {
		r := b[8*y : 8*y+8 : 8*y+8]
		e0, e1, e2, e3, o0, o1, o2, o3 := butterflies(r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7])
		const round = 1<<(down2-1) + 128<<down2 // and samples are around 128
		row := dst[y*stride : y*stride+8 : y*stride+8]
		row[0], row[7] = clamp((e0+o0+round)>>down2), clamp((e0-o0+round)>>down2)
		row[1], row[6] = clamp((e1+o1+round)>>down2), clamp((e1-o1+round)>>down2)
		row[2], row[5] = clamp((e2+o2+round)>>down2), clamp((e2-o2+round)>>down2)
		row[3], row[4] = clamp((e3+o3+round)>>down2), clamp((e3-o3+round)>>down2)
	}
}

// butterflies transforms eight values: output i is even i plus odd i, output 7-i even i
// minus odd i, times 1<<13. The constants are the paper's, sums of cosines of multiples of
// pi/16 times the square root of 2, times 1<<13.
func butterflies(s0, s1, s2, s3, s4, s5, s6, s7 int32) (e0, e1, e2, e3, o0, o1, o2, o3 int32) {
	z := (s2 + s6) * 4433
	p, q := z-s6*15137, z+s2*6270
	a, b := (s0+s4)<<13, (s0-s4)<<13
	e0, e1, e2, e3 = a+q, b+p, b-p, a-q

	z1, z2, z3, z4 := (s7+s1)*-7373, (s5+s3)*-20995, s7+s3, s5+s1
	z5 := (z3 + z4) * 9633
	z3, z4 = z5-z3*16069, z5-z4*3196
	o0 = s1*12299 + z1 + z4
	o1 = s3*25172 + z2 + z3
	o2 = s5*16819 + z2 + z4
	o3 = s7*2446 + z1 + z3
	return
}

func clamp(v int32) byte { return byte(max(0, min(255, v))) }

// output turns samples into the picture's pixels. Those of a progressive picture are computed
// on the way from its coefficients, row of MCUs by row, so that three rows are enough.
func (d *jpegDecoder) output(p *Picture) {
	grey := len(d.components) == 1
	if grey {
		p.Grey, p.channels, p.palette = true, 1, greys
	} else {
		p.channels = 3
	}
	p.pix = make([]byte, p.channels*d.width*d.height)
	rows := make([][]byte, len(d.components))
	for i := range rows {
		rows[i] = make([]byte, d.width+8)
	}
	colours := d.colours()
	for y := range d.height {
		if y%64 == 0 && d.ctx.Err() != nil {
			return
		}
		if mcu := 8 * d.vMax; d.progressive && y%mcu == 0 {
			if y == 0 {
				d.transformMCUs(0)
			}
			d.transformMCUs(y/mcu + 1) // from which chroma is interpolated
		}
		if grey {
			copy(p.pix[y*d.width:][:d.width], d.components[0].row(y))
			continue
		}
		for i := range rows {
			d.upsample(rows[i], &d.components[i], y)
		}
		colours(p.pix[3*y*d.width:][:3*d.width], rows)
	}
}

// transformMCUs computes the samples of a row of a progressive picture's MCUs, if there is one.
func (d *jpegDecoder) transformMCUs(mcu int) {
	if mcu >= d.mcusY {
		return
	}
	var b [64]int32
	for i := range d.components {
		c := &d.components[i]
		for by := mcu * c.v; by < (mcu+1)*c.v; by++ {
			rows := c.samples[c.stride()*(8*by%c.rows):]
			for bx := range c.blocksX {
				last := 0
				for i, v := range (*[64]int16)(c.coefficients[64*(by*c.blocksX+bx):]) {
					if b[i] = int32(v) * c.quant[i]; v != 0 {
						last = i
					}
				}
				inverseDCT(rows[8*bx:], c.stride(), &b, last)
			}
		}
	}
}

func (c *jpegComponent) stride() int { return 8 * c.blocksX }

// row returns the samples of a row; above and below the picture are its first and last.
func (c *jpegComponent) row(y int) []byte {
	y = max(0, min(c.height-1, y)) % c.rows
	return c.samples[c.stride()*y:][:c.width]
}

// upsample writes row y of a component at the picture's full width. Where one
// direction has half the samples they are interpolated, three parts of the nearer sample
// and one of the other; otherwise they are repeated. The roundings alternate, so that none
// pulls the mean up or down; they are libjpeg's.
func (d *jpegDecoder) upsample(dst []byte, c *jpegComponent, y int) {
	h, v := d.hMax/c.h, d.vMax/c.v
	near := c.row(y / v)
	far := c.row(y/2 - 1 + y%2*2) // the other of the two rows around row y, if v is 2
	switch {
	case h == 1 && v == 1:
		copy(dst, near)
	case h == 2 && v == 1 && c.width > 2:
		interpolateAcross(dst, near)
	case h == 2 && v == 2 && c.width > 2:
		interpolateBoth(dst, near, far)
	case h == 1 && v == 2:
		bias := 1 + y%2
		for x := range near {
			dst[x] = byte((3*int(near[x]) + int(far[x]) + bias) >> 2)
		}
	default:
		for x := range d.width {
			dst[x] = near[x/h]
		}
	}
}

// interpolateAcross doubles a row.
func interpolateAcross(dst, s []byte) {
	n := len(s)
	dst = dst[:2*n]
	dst[0], dst[2*n-1] = s[0], s[n-1]
	for x := range n - 1 {
		a, b := int(s[x]), int(s[x+1])
		dst[2*x+1] = byte((3*a + b + 2) >> 2)
		dst[2*x+2] = byte((a + 3*b + 1) >> 2)
	}
}

// interpolateBoth doubles a row between two.
func interpolateBoth(dst, near, far []byte) {
	n := len(near)
	dst, far = dst[:2*n], far[:n]
	a := 3*int(near[0]) + int(far[0])
	dst[0] = byte((4*a + 8) >> 4)
	for x := range n - 1 {
		b := 3*int(near[x+1]) + int(far[x+1])
		dst[2*x+1] = byte((3*a + b + 7) >> 4)
		dst[2*x+2] = byte((a + 3*b + 8) >> 4)
		a = b
	}
	dst[2*n-1] = byte((4*a + 7) >> 4)
}

// The colour conversion of JFIF (ITU-R 601, full range) in 16-bit fixed point.
var redOfCr, blueOfCb, greenOfCr, greenOfCb = func() (r, b, gr, gb [256]int32) {
	for i := range r {
		x := int32(i) - 128
		r[i] = (91881*x + 1<<15) >> 16  // 1.402
		b[i] = (116130*x + 1<<15) >> 16 // 1.772
		gr[i] = -46802 * x              // 0.71414
		gb[i] = -22554*x + 1<<15        // 0.34414
	}
	return
}()

// colours returns the conversion of rows of components to RGB. Files that do not say what
// their components are get libjpeg's guess. Four components are CMYK, inverted as Adobe's
// programs write it, and become RGB as Pillow makes it.
func (d *jpegDecoder) colours() func(dst []byte, c [][]byte) {
	ycc := true
	switch {
	case len(d.components) == 4:
		ycc = d.adobe && d.transform != 0
	case d.jfif:
	case d.adobe:
		ycc = d.transform != 0
	default:
		ycc = !(d.components[0].id == 'R' && d.components[1].id == 'G' && d.components[2].id == 'B')
	}
	rgb := func(dst []byte, c [][]byte) {
		for x := 0; len(dst) >= 3; x, dst = x+1, dst[3:] {
			dst[0], dst[1], dst[2] = c[0][x], c[1][x], c[2][x]
		}
	}
	if ycc {
		rgb = func(dst []byte, c [][]byte) {
			n := len(dst) / 3
			ys, cbs, crs := c[0][:n], c[1][:n], c[2][:n]
			for x, y := range ys {
				y, cb, cr, o := int32(y), cbs[x], crs[x], dst[3*x:3*x+3:3*x+3]
				o[0] = clamp(y + redOfCr[cr])
				o[1] = clamp(y + (greenOfCb[cb]+greenOfCr[cr])>>16)
				o[2] = clamp(y + blueOfCb[cb])
			}
		}
	}
	if len(d.components) == 3 {
		return rgb
	}
	return func(dst []byte, c [][]byte) {
		rgb(dst, c)
		for i := range dst {
			v := dst[i]
			if ycc { // YCCK holds the complement of CMY
				v = 255 - v
			}
			k := int32(c[3][i/3])
			t := (255-int32(v))*k + 128
			dst[i] = clamp(k - (t>>8+t)>>8)
		}
	}
}
