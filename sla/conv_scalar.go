//go:build !wasm

package sla

import "github.com/quarterturn/quarterturn/format"

// convRow computes output row y of the channels oc and oc+1, of which the second
// may be none; w is (in, k, k, 2).
func convRow(out, in, residual *value, l *format.Layer, w []float32, bias *[2]float32, oc, y int) {
	k, stride, channels, width := l.Kernel, l.Stride, in.shape.Channels, out.shape.Width
	var acc [2 * tile]float32
	for x := 0; x < width; x += tile {
		if x+tile > width && width >= tile {
			x = width - tile // the last tile overlaps the one before
		}
		n := min(tile, width-x)
		from := in.data[in.at(0, y*stride-k/2, x*stride-k/2):]
		for i := range tile {
			acc[i], acc[tile+i] = bias[0], bias[1]
		}
		switch {
		case n < tile:
			tileAny(&acc, from, w, channels, in.plane, in.stride, k, stride, n)
		case k == 3 && stride == 1:
			tile3x3(&acc, from, w, channels, in.plane, in.stride)
		case k == 3:
			tile3x3s2(&acc, from, w, channels, in.plane, in.stride)
		case k == 1 && stride == 1:
			tile1x1(&acc, from, w, channels, in.plane)
		default:
			tileAny(&acc, from, w, channels, in.plane, in.stride, k, stride, n)
		}
		finish(out, residual, l.ReLU, oc, y, x, acc[:n])
		if oc+1 < l.Out {
			finish(out, residual, l.ReLU, oc+1, y, x, acc[tile:tile+n])
		}
	}
}

// tile3x3 adds two channels of four neighbouring 3x3 windows to acc. from
// begins at the first window; w is (in, 3, 3, 2).
func tile3x3(acc *[2 * tile]float32, from, w []float32, channels, plane, stride int) {
	a0, a1, a2, a3 := acc[0], acc[1], acc[2], acc[3]
	b0, b1, b2, b3 := acc[4], acc[5], acc[6], acc[7]
	for c := range channels {
		k := (*[18]float32)(w[18*c:])
		for ky := range 3 {
			x := (*[6]float32)(from[c*plane+ky*stride:])
			x0, x1, x2, x3, x4, x5 := x[0], x[1], x[2], x[3], x[4], x[5]
			wa, wb := k[6*ky], k[6*ky+1]
			a0 += float32(wa * x0)
			a1 += float32(wa * x1)
			a2 += float32(wa * x2)
			a3 += float32(wa * x3)
			b0 += float32(wb * x0)
			b1 += float32(wb * x1)
			b2 += float32(wb * x2)
			b3 += float32(wb * x3)
			wa, wb = k[6*ky+2], k[6*ky+3]
			a0 += float32(wa * x1)
			a1 += float32(wa * x2)
			a2 += float32(wa * x3)
			a3 += float32(wa * x4)
			b0 += float32(wb * x1)
			b1 += float32(wb * x2)
			b2 += float32(wb * x3)
			b3 += float32(wb * x4)
			wa, wb = k[6*ky+4], k[6*ky+5]
			a0 += float32(wa * x2)
			a1 += float32(wa * x3)
			a2 += float32(wa * x4)
			a3 += float32(wa * x5)
			b0 += float32(wb * x2)
			b1 += float32(wb * x3)
			b2 += float32(wb * x4)
			b3 += float32(wb * x5)
		}
	}
	acc[0], acc[1], acc[2], acc[3] = a0, a1, a2, a3
	acc[4], acc[5], acc[6], acc[7] = b0, b1, b2, b3
}

// tile3x3s2 is tile3x3 for windows two pixels apart.
func tile3x3s2(acc *[2 * tile]float32, from, w []float32, channels, plane, stride int) {
	a0, a1, a2, a3 := acc[0], acc[1], acc[2], acc[3]
	b0, b1, b2, b3 := acc[4], acc[5], acc[6], acc[7]
	for c := range channels {
		k := (*[18]float32)(w[18*c:])
		for ky := range 3 {
			x := (*[9]float32)(from[c*plane+ky*stride:])
			for kx := range 3 {
				wa, wb := k[6*ky+2*kx], k[6*ky+2*kx+1]
				x0, x1, x2, x3 := x[kx], x[kx+2], x[kx+4], x[kx+6]
				a0 += float32(wa * x0)
				a1 += float32(wa * x1)
				a2 += float32(wa * x2)
				a3 += float32(wa * x3)
				b0 += float32(wb * x0)
				b1 += float32(wb * x1)
				b2 += float32(wb * x2)
				b3 += float32(wb * x3)
			}
		}
	}
	acc[0], acc[1], acc[2], acc[3] = a0, a1, a2, a3
	acc[4], acc[5], acc[6], acc[7] = b0, b1, b2, b3
}

// tile1x1 adds two channels of four neighbouring pixels; w is (in, 2).
func tile1x1(acc *[2 * tile]float32, from, w []float32, channels, plane int) {
	a0, a1, a2, a3 := acc[0], acc[1], acc[2], acc[3]
	b0, b1, b2, b3 := acc[4], acc[5], acc[6], acc[7]
	for c := range channels {
		x := (*[4]float32)(from[c*plane:])
		wa, wb := w[2*c], w[2*c+1]
		a0 += float32(wa * x[0])
		a1 += float32(wa * x[1])
		a2 += float32(wa * x[2])
		a3 += float32(wa * x[3])
		b0 += float32(wb * x[0])
		b1 += float32(wb * x[1])
		b2 += float32(wb * x[2])
		b3 += float32(wb * x[3])
	}
	acc[0], acc[1], acc[2], acc[3] = a0, a1, a2, a3
	acc[4], acc[5], acc[6], acc[7] = b0, b1, b2, b3
}

// tileAny is for every other kernel, stride and tile width n; w is (in, k, k, 2).
func tileAny(acc *[2 * tile]float32, from, w []float32, channels, plane, rowStride, k, stride, n int) {
	for i := range n {
		a, b := acc[i], acc[tile+i]
		at := 0
		for c := range channels {
			for ky := range k {
				x := from[c*plane+ky*rowStride+i*stride:][:k]
				for _, v := range x {
					a += float32(w[at] * v)
					b += float32(w[at+1] * v)
					at += 2
				}
			}
		}
		acc[i], acc[tile+i] = a, b
	}
}
