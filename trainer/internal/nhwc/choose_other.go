//go:build !amd64

package nhwc

var useAVX2, useAVX512 = false, false

func available() []*kernels { return []*kernels{&plain} }

func sums(sum, square, x []float32) { sumsGo(sum, square, x) }

func affine(y, x, scale, shift, residual []float32, relu bool) {
	affineGo(y, x, scale, shift, residual, relu)
}

func gradSums(sum, product, x, dy []float32) { gradSumsGo(sum, product, x, dy) }

func maskSums(m, sum, product, x, dy, y []float32) { maskSumsGo(m, sum, product, x, dy, y) }

func maskNormSums(m, sum, product, x, dy, scale, shift []float32) {
	maskNormSumsGo(m, sum, product, x, dy, scale, shift)
}

func gradApply(dx, x, dy, k1, k2, k3 []float32) { gradApplyGo(dx, x, dy, k1, k2, k3) }

func add(y, x []float32) { addGo(y, x) }

func addPixels(sum []float64, x []float32) { addPixelsGo(sum, x) }
