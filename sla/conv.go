package sla

import "github.com/quarterturn/quarterturn/format"

// Every convolution sums in the same order, whatever kernel computes it: the
// bias, then input channels, kernel rows and kernel columns, each ascending.

// tile is the number of neighbouring outputs of a row that a kernel makes.
const tile = 4

// packConv reorders weights (out, in, k, k) for the kernels that will read them.
func packConv(w []float32, out, in, k int) []float32 {
	if hasVectors(out) {
		return packVectors(w, out, in, k)
	}
	return packPairs(w, out, in, k)
}

// packPairs reorders weights into pairs of output channels: (pair, in, k, k, 2).
// Of an odd number of channels the last pair is the last two, so one of them is
// computed twice; a single channel is paired with zeros.
func packPairs(w []float32, out, in, k int) []float32 {
	size := in * k * k
	packed := make([]float32, 0, 2*pairs(out)*size)
	for p := range pairs(out) {
		oc := pairStart(p, out)
		for i := range size {
			second := float32(0)
			if oc+1 < out {
				second = w[(oc+1)*size+i]
			}
			packed = append(packed, w[oc*size+i], second)
		}
	}
	return packed
}

func pairs(out int) int { return (out + 1) / 2 }

func pairStart(p, out int) int { return max(0, min(2*p, out-2)) }

// conv computes out = act(W*in + b + residual).
func conv(out, in, residual *value, l *format.Layer, packed, bias []float32) {
	if hasVectors(l.Out) {
		convVectors(out, in, residual, l, packed, bias)
		return
	}
	size := in.shape.Channels * l.Kernel * l.Kernel * 2
	for p := range pairs(l.Out) {
		oc := pairStart(p, l.Out)
		b := [2]float32{bias[oc]}
		if oc+1 < l.Out {
			b[1] = bias[oc+1]
		}
		for y := range out.shape.Height {
			convRow(out, in, residual, l, packed[p*size:(p+1)*size], &b, oc, y)
		}
	}
}

// finish adds the residual, applies the activation and writes a tile.
func finish(out, residual *value, relu bool, c, y, x int, acc []float32) {
	if residual != nil {
		i := residual.at(c, y, x)
		r := residual.data[i : i+len(acc)]
		for k := range acc {
			acc[k] += r[k]
		}
	}
	if relu {
		for k, v := range acc {
			if v < 0 {
				acc[k] = 0
			}
		}
	}
	copy(out.data[out.at(c, y, x):], acc)
}
