//go:build !wasm

package sla

import "unsafe"

func step(p *float32, bytes int) *float32 { return (*float32)(unsafe.Add(unsafe.Pointer(p), bytes)) }

// sumsScalar makes four channels of two outputs at a time.
func sumsScalar(a *sumsArgs) {
	const wide = 4
	w := unsafe.Slice(a.w, a.groups*a.rows*a.run*lanes)
	for c := 0; c < a.groups*lanes; c += wide {
		from := w[c/lanes*a.rows*a.run*lanes+c%lanes:]
		bias := unsafe.Slice(step(a.bias, float*c), wide)
		for p := 0; p < a.count; p += 2 {
			s0, s1, s2, s3 := bias[0], bias[1], bias[2], bias[3]
			t0, t1, t2, t3 := s0, s1, s2, s3
			k := from
			for r := range a.rows {
				x := unsafe.Slice(step(a.x, p*a.xStep+r*a.xRow), a.run)
				y := unsafe.Slice(step(a.x, (p+1)*a.xStep+r*a.xRow), a.run)
				for i, u := range x {
					v := y[i]
					w0, w1, w2, w3 := k[i*lanes], k[i*lanes+1], k[i*lanes+2], k[i*lanes+3]
					s0 += float32(w0 * u)
					s1 += float32(w1 * u)
					s2 += float32(w2 * u)
					s3 += float32(w3 * u)
					t0 += float32(w0 * v)
					t1 += float32(w1 * v)
					t2 += float32(w2 * v)
					t3 += float32(w3 * v)
				}
				k = k[min(a.run*lanes, len(k)):]
			}
			y := unsafe.Slice(step(a.y, p*a.yStep+float*c), wide)
			y[0], y[1], y[2], y[3] = s0, s1, s2, s3
			y = unsafe.Slice(step(a.y, (p+1)*a.yStep+float*c), wide)
			y[0], y[1], y[2], y[3] = t0, t1, t2, t3
		}
	}
}

// spreadLine is Bᵀ in one direction. Its factors are powers of two, so its
// products are exact.
func spreadLine(a, b, c, d, e, f float32) (_, _, _, _, _, _ float32) {
	p, q := d-float32(4*b), e-float32(4*c)
	r, s := d-b, e-c
	return s + float32(4*(a-c)), q + p, q - p, s + float32(2*r), s - float32(2*r), f - d - float32(4*r)
}

func spreadScalar(a *spreadArgs) {
	var t [reach][reach]float32
	for c := 0; c < a.channels; c++ {
		for i := range reach {
			x := step(a.x, i*a.xRow+float*c)
			t[i][0], t[i][1], t[i][2], t[i][3], t[i][4], t[i][5] = spreadLine(*step(x, 0), *step(x, a.xStep), *step(x, 2*a.xStep), *step(x, 3*a.xStep), *step(x, 4*a.xStep), *step(x, 5*a.xStep))
		}
		for j := range reach {
			y := step(a.y, j*a.yStep+float*c)
			*y, *step(y, reach*a.yStep), *step(y, 2*reach*a.yStep), *step(y, 3*reach*a.yStep), *step(y, 4*reach*a.yStep), *step(y, 5*reach*a.yStep) =
				spreadLine(t[0][j], t[1][j], t[2][j], t[3][j], t[4][j], t[5][j])
		}
	}
}

// gatherLine is Aᵀ in one direction.
func gatherLine(a, b, c, d, e, f float32) (_, _, _, _ float32) {
	s, u, p, q := b+c, b-c, d+e, d-e
	return a + s + p, u + float32(2*q), s + float32(4*p), u + float32(8*q) + f
}

func gatherScalar(a *gatherArgs) {
	var t [tile][reach]float32
	for c := 0; c < a.channels; c++ {
		for j := range reach {
			x := step(a.x, j*a.xStep+float*c)
			t[0][j], t[1][j], t[2][j], t[3][j] = gatherLine(*step(x, 0), *step(x, reach*a.xStep), *step(x, 2*reach*a.xStep), *step(x, 3*reach*a.xStep), *step(x, 4*reach*a.xStep), *step(x, 5*reach*a.xStep))
		}
		bias := *step(a.bias, float*c)
		for i := range tile {
			var out [tile]float32
			out[0], out[1], out[2], out[3] = gatherLine(t[i][0], t[i][1], t[i][2], t[i][3], t[i][4], t[i][5])
			for j, v := range out {
				v += bias
				if a.residual != nil {
					v += *step(a.residual, i*a.rRow+j*a.yStep+float*c)
				}
				if a.relu != 0 && v < 0 {
					v = 0
				}
				*step(a.y, i*a.yRow+j*a.yStep+float*c) = v
			}
		}
	}
}
