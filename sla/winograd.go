package sla

// block is the number of tiles that are transformed and multiplied together, so
// that their spectra stay in the cache.
const block = 16

// plane is the floats from one number of the spectra of a block to the next. The
// few extra ones keep planes from falling onto the same lines of the cache.
func plane(channels int) int { return block*channels + 16 }

// packWinograd transforms weights (Out, C, 3, 3), GgGᵀ, in float64 and orders them
// as (spectra, groups, C, lanes), with zeros for output channels of the padding.
func packWinograd(w []float32, outs int, in, out *value) []float32 {
	channels := in.shape.Channels
	size := channels * out.pitch
	packed := make([]float32, spectra*size)
	for o := range outs {
		for c := range channels {
			g := (*[9]float32)(w[(o*channels+c)*9:])
			var t [reach][3]float64
			for x := range 3 {
				t[0][x], t[1][x], t[2][x], t[3][x], t[4][x], t[5][x] = weigh(float64(g[x]), float64(g[3+x]), float64(g[6+x]))
			}
			at := (o/lanes*channels+c)*lanes + o%lanes
			for i := range reach {
				a, b, c, d, e, f := weigh(t[i][0], t[i][1], t[i][2])
				for j, v := range [reach]float64{a, b, c, d, e, f} {
					packed[(i*reach+j)*size+at] = float32(v)
				}
			}
		}
	}
	return packed
}

// weigh is G in one direction.
func weigh(a, b, c float64) (_, _, _, _, _, _ float64) {
	s, d, e := a+c, a+float64(4*c), float64(2*b)
	return a / 4, -(s + b) / 6, (b - s) / 6, (d + e) / 24, (d - e) / 24, c
}

// runWinograd is run by Winograd's algorithm: every number of a tile's spectrum is
// summed over the input channels, ascending; the transforms' sums are those of the
// kernels. Tiles at the right and lower edge overlap those before them.
func (c *convolution) runWinograd(out, in, residual *value) {
	across := (out.shape.Width + tile - 1) / tile
	tiles := across * ((out.shape.Height + tile - 1) / tile)
	place := func(t int) (y, x int) {
		return min(t/across*tile, out.shape.Height-tile), min(t%across*tile, out.shape.Width-tile)
	}
	from, to := c.scratch.in, c.scratch.to
	channels, pitch := in.shape.Channels, padded(in.shape.Channels)
	fromPlane, toPlane := plane(pitch), plane(out.pitch)
	spreading := spreadArgs{xRow: float * in.stride, xStep: float * in.pitch, yStep: float * fromPlane, channels: channels}
	summing := sumsArgs{bias: &c.scratch.zeros[0], xStep: float * pitch, yStep: float * out.pitch, rows: 1, run: channels, groups: out.pitch / lanes}
	gathering := gatherArgs{bias: &c.bias[0], xStep: float * toPlane, yRow: float * out.stride, yStep: float * out.pitch, channels: out.pitch}
	if c.layer.ReLU {
		gathering.relu = 1
	}
	for first := 0; first < tiles; first += block {
		n := min(block, tiles-first)
		for t := range n {
			y, x := place(first + t)
			spreading.x, spreading.y = &in.data[in.at(y-1, x-1)], &from[t*pitch]
			spread(&spreading)
		}
		summing.count = (n + pixels - 1) / pixels * pixels
		for f := range spectra {
			summing.x, summing.w, summing.y = &from[f*fromPlane], &c.weights[f*channels*out.pitch], &to[f*toPlane]
			sums(&summing)
		}
		for t := range n {
			y, x := place(first + t)
			gathering.x, gathering.y = &to[t*out.pitch], &out.data[out.at(y, x)]
			if residual != nil {
				gathering.residual, gathering.rRow = &residual.data[residual.at(y, x)], float*residual.stride
			}
			gather(&gathering)
		}
	}
}
