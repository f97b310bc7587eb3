package kernel

// PackDirect orders the weights (Out, channels, k, k) of a convolution as GEMM reads
// them, (outPitch/NR(), k, k·inPitch, NR()). packed holds zeros, which the channels of the
// padding keep.
func PackDirect(packed, w []float32, k, channels, inPitch int) {
	nr := NR()
	for o := range len(w) / (k * k * channels) {
		to := packed[o/nr*k*k*inPitch*nr+o%nr:]
		for c := range channels {
			for i, v := range w[(o*channels+c)*k*k:][:k*k] {
				to[(i*inPitch+c)*nr] = v
			}
		}
	}
}

// PackWinograd transforms the weights (Out, channels, 3, 3) of a convolution, GgGᵀ, in
// float64, and orders them as GEMM reads them for each element of a tile, (TileElems,
// outPitch/NR(), channels, NR()). packed holds zeros, which the channels of the padding keep.
func PackWinograd(packed, w []float32, channels, outPitch int) {
	nr, outs := NR(), len(w)/(channels*9)
	for o := 0; o < outs; o += 2 {
		a := winogradWeightsArgs{W: &w[o*channels*9], Y: &packed[o/nr*channels*nr+o%nr], Channels: channels, YStride: channels * outPitch, Outs: min(2, outs-o)}
		winogradWeights(&a)
	}
}

// winogradWeightsArgs are the arguments of winogradWeights, which transforms the weights
// of one output channel or two.
type winogradWeightsArgs struct {
	W, Y     *float32 // (Outs, Channels, 3, 3); the first of TileElems elements, (Channels, NR()) each
	Channels int
	YStride  int // from one element to the next
	Outs     int
}

// winogradWeights is GgGᵀ, along columns first. In the module it has another body, written by
// wasm/internal/gen.
func winogradWeights(a *winogradWeightsArgs) {
	nr := NR()
	for o := range a.Outs {
		for c := range a.Channels {
			g := func(i int) float64 { return float64(*at(a.W, (o*a.Channels+c)*9+i)) }
			var t [InputTile][3]float64
			for x := range 3 {
				t[0][x], t[1][x], t[2][x], t[3][x], t[4][x], t[5][x] = weightTransform(g(x), g(3+x), g(6+x))
			}
			for i := range InputTile {
				a0, a1, a2, a3, a4, a5 := weightTransform(t[i][0], t[i][1], t[i][2])
				for j, v := range [InputTile]float64{a0, a1, a2, a3, a4, a5} {
					*at(a.Y, (i*InputTile+j)*a.YStride+c*nr+o) = float32(v)
				}
			}
		}
	}
}

// weightTransform is G in one direction.
func weightTransform(a, b, c float64) (_, _, _, _, _, _ float64) {
	s, d, e := a+c, a+float64(4*c), float64(2*b)
	return a / 4, -(s + b) / 6, (b - s) / 6, (d + e) / 24, (d - e) / 24, c
}
