//go:build !amd64

package nhwc

var useAVX2, useAVX512 = false, false

func available() []*kernels { return []*kernels{&plain} }

func sums(sum, square, x []float32) { sumsGo(sum, square, x) }

func affine(y, x, scale, shift, residual []float32, relu bool) {
	affineGo(y, x, scale, shift, residual, relu)
}

func gradSums(sum, product, x, dy, y []float32, relu bool) { gradSumsGo(sum, product, x, dy, y, relu) }

func gradApply(dx, x, dy, k1, k2, k3, y []float32, relu bool) {
	gradApplyGo(dx, x, dy, k1, k2, k3, y, relu)
}

func mask(d, dy, y []float32, relu bool) { maskGo(d, dy, y, relu) }
