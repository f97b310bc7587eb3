//go:build !wasm

package kernel

import "unsafe"

// gemmScalar computes four channels of two rows at a time.
func gemmScalar(a *GEMMArgs) {
	const channels = 4
	nr := NR()
	b := unsafe.Slice(a.B, a.NGroups*a.KRows*a.K*nr)
	for n := 0; n < a.NGroups*nr; n += channels {
		group := b[n/nr*a.KRows*a.K*nr+n%nr:]
		bias := unsafe.Slice(at(a.Bias, n), channels)
		for m := 0; m < a.M; m += 2 {
			c00, c01, c02, c03 := bias[0], bias[1], bias[2], bias[3]
			c10, c11, c12, c13 := c00, c01, c02, c03
			w := group
			for r := range a.KRows {
				a0 := unsafe.Slice(at(a.A, m*a.AStride+r*a.ARowStride), a.K)
				a1 := unsafe.Slice(at(a.A, (m+1)*a.AStride+r*a.ARowStride), a.K)
				for k, u := range a0 {
					v := a1[k]
					b0, b1, b2, b3 := w[k*nr], w[k*nr+1], w[k*nr+2], w[k*nr+3]
					c00 += float32(b0 * u)
					c01 += float32(b1 * u)
					c02 += float32(b2 * u)
					c03 += float32(b3 * u)
					c10 += float32(b0 * v)
					c11 += float32(b1 * v)
					c12 += float32(b2 * v)
					c13 += float32(b3 * v)
				}
				w = w[min(a.K*nr, len(w)):]
			}
			c := unsafe.Slice(at(a.C, m*a.CStride+n), channels)
			c[0], c[1], c[2], c[3] = c00, c01, c02, c03
			c = unsafe.Slice(at(a.C, (m+1)*a.CStride+n), channels)
			c[0], c[1], c[2], c[3] = c10, c11, c12, c13
		}
	}
}

// inputTransform is Bᵀ in one direction. Its factors are powers of two, so its
// products are exact.
func inputTransform(a, b, c, d, e, f float32) (_, _, _, _, _, _ float32) {
	p, q := d-float32(4*b), e-float32(4*c)
	r, s := d-b, e-c
	return s + float32(4*(a-c)), q + p, q - p, s + float32(2*r), s - float32(2*r), f - d - float32(4*r)
}

func winogradInputScalar(a *WinogradInputArgs) {
	var t [InputTile][InputTile]float32
	for c := 0; c < a.Channels; c++ {
		for i := range InputTile {
			x, s := at(a.X, i*a.XRowStride+c), a.XStride
			t[i][0], t[i][1], t[i][2], t[i][3], t[i][4], t[i][5] = inputTransform(*at(x, 0), *at(x, s), *at(x, 2*s), *at(x, 3*s), *at(x, 4*s), *at(x, 5*s))
		}
		for j := range InputTile {
			y, s := at(a.Y, j*a.YStride+c), InputTile*a.YStride
			*y, *at(y, s), *at(y, 2*s), *at(y, 3*s), *at(y, 4*s), *at(y, 5*s) =
				inputTransform(t[0][j], t[1][j], t[2][j], t[3][j], t[4][j], t[5][j])
		}
	}
}

// outputTransform is Aᵀ in one direction.
func outputTransform(a, b, c, d, e, f float32) (_, _, _, _ float32) {
	s, u, p, q := b+c, b-c, d+e, d-e
	return a + s + p, u + float32(2*q), s + float32(4*p), u + float32(8*q) + f
}

func winogradOutputScalar(a *WinogradOutputArgs) {
	var t [OutputTile][InputTile]float32
	for c := 0; c < a.Channels; c++ {
		for j := range InputTile {
			x, s := at(a.X, j*a.XStride+c), InputTile*a.XStride
			t[0][j], t[1][j], t[2][j], t[3][j] = outputTransform(*at(x, 0), *at(x, s), *at(x, 2*s), *at(x, 3*s), *at(x, 4*s), *at(x, 5*s))
		}
		bias := *at(a.Bias, c)
		for i := range OutputTile {
			var out [OutputTile]float32
			out[0], out[1], out[2], out[3] = outputTransform(t[i][0], t[i][1], t[i][2], t[i][3], t[i][4], t[i][5])
			for j, v := range out {
				v += bias
				if a.Residual != nil {
					v += *at(a.Residual, i*a.ResidualRowStride+j*a.YStride+c)
				}
				if a.ReLU != 0 && v < 0 {
					v = 0
				}
				*at(a.Y, i*a.YRowStride+j*a.YStride+c) = v
			}
		}
	}
}
