package kernel

// PackDirect orders the weights (Out, channels, k, k) of a convolution as GEMM reads
// them, (outPitch/NR, k, k·inPitch, NR), with zeros for the channels of the padding.
func PackDirect(w []float32, k, channels, inPitch, outPitch int) []float32 {
	packed := make([]float32, outPitch*k*k*inPitch)
	for i, v := range w {
		o, c, y, x := i/(k*k*channels), i/(k*k)%channels, i/k%k, i%k
		packed[((o/NR*k+y)*k+x)*inPitch*NR+c*NR+o%NR] = v
	}
	return packed
}

// PackWinograd transforms the weights (Out, channels, 3, 3) of a convolution, GgGᵀ, in
// float64, and orders them as GEMM reads them for each element of a tile, (TileElems,
// outPitch/NR, channels, NR), with zeros for the channels of the padding.
func PackWinograd(w []float32, channels, outPitch int) []float32 {
	size := channels * outPitch
	packed := make([]float32, TileElems*size)
	for o := range len(w) / (channels * 9) {
		for c := range channels {
			g := (*[9]float32)(w[(o*channels+c)*9:])
			var t [InputTile][3]float64
			for x := range 3 {
				t[0][x], t[1][x], t[2][x], t[3][x], t[4][x], t[5][x] = weightTransform(float64(g[x]), float64(g[3+x]), float64(g[6+x]))
			}
			at := (o/NR*channels+c)*NR + o%NR
			for i := range InputTile {
				a, b, c, d, e, f := weightTransform(t[i][0], t[i][1], t[i][2])
				for j, v := range [InputTile]float64{a, b, c, d, e, f} {
					packed[(i*InputTile+j)*size+at] = float32(v)
				}
			}
		}
	}
	return packed
}

// weightTransform is G in one direction.
func weightTransform(a, b, c float64) (_, _, _, _, _, _ float64) {
	s, d, e := a+c, a+float64(4*c), float64(2*b)
	return a / 4, -(s + b) / 6, (b - s) / 6, (d + e) / 24, (d - e) / 24, c
}
