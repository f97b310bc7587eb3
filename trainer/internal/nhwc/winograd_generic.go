package nhwc

import "unsafe"

// The matrices of F(4x4, 3x3), for the points 0, 1, -1, 2, -2 and infinity.
var (
	winogradB = [][]float32{ // Bᵀ
		{4, 0, -5, 0, 1, 0},
		{0, -4, -4, 1, 1, 0},
		{0, 4, -4, -1, 1, 0},
		{0, -2, -1, 2, 1, 0},
		{0, 2, -1, -2, 1, 0},
		{0, 4, 0, -5, 0, 1},
	}
	winogradG = [][]float32{
		{1. / 4, 0, 0},
		{-1. / 6, -1. / 6, -1. / 6},
		{-1. / 6, 1. / 6, -1. / 6},
		{1. / 24, 1. / 12, 1. / 6},
		{1. / 24, -1. / 12, 1. / 6},
		{0, 0, 1},
	}
	winogradA = [][]float32{ // Aᵀ
		{1, 1, 1, 1, 1, 0},
		{0, 1, -1, 2, -2, 0},
		{0, 1, 1, 4, 4, 0},
		{0, 1, -1, 8, -8, 1},
	}
)

func transposed(m [][]float32) [][]float32 {
	t := make([][]float32, len(m[0]))
	for i := range t {
		for _, row := range m {
			t[i] = append(t[i], row[i])
		}
	}
	return t
}

// transformGo is the transformKernel of a matrix in plain Go; add says that it adds to y.
func transformGo(m [][]float32, add bool) transformKernel {
	at := func(p *float32, pixel, row uintptr, i, k int) unsafe.Pointer {
		return unsafe.Add(unsafe.Pointer(p), uintptr(i)*row+uintptr(k)*pixel)
	}
	return func(x *float32, xPixel, xRow uintptr, y *float32, yPixel, yRow, n uintptr) {
		var half [tileIn][tileIn]float32
		for c := range n {
			for i := range m {
				for k := range m[0] {
					half[i][k] = 0
					for l, f := range m[i] {
						half[i][k] += f * *(*float32)(unsafe.Add(at(x, xPixel, xRow, l, k), c*float))
					}
				}
			}
			for i := range m {
				for k := range m {
					var sum float32
					for l, f := range m[k] {
						sum += f * half[i][l]
					}
					to := (*float32)(unsafe.Add(at(y, yPixel, yRow, i, k), c*float))
					if add {
						sum += *to
					}
					*to = sum
				}
			}
		}
	}
}

func init() {
	plain.winogradInput, plain.winogradGradInput = transformGo(winogradB, false), transformGo(transposed(winogradB), true)
	plain.winogradOutput, plain.winogradGrad = transformGo(winogradA, false), transformGo(transposed(winogradA), false)
	plain.winogradWeights, plain.winogradGradWeights = transformGo(winogradG, false), transformGo(transposed(winogradG), false)
	plain.maxPool, plain.maxPoolGrad = maxPoolGo, maxPoolGradGo
}
