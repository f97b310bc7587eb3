package nhwc

import "golang.org/x/sys/cpu"

// The instruction sets that can be used; tests switch them off.
var (
	useAVX2   = cpu.X86.HasAVX2 && cpu.X86.HasFMA
	useAVX512 = useAVX2 && cpu.X86.HasAVX512F
)

// available lists the sets of kernels, the fastest first; the last takes every
// multiple of 8 channels.
func available() []*kernels {
	switch {
	case useAVX512:
		return []*kernels{&kernelsAVX512, &kernelsAVX2}
	case useAVX2:
		return []*kernels{&kernelsAVX2}
	}
	return []*kernels{&plain}
}

// elementwise chooses among the kernels that go element by element: AVX-512, AVX2
// or none, for n floats.
func elementwise(n int) int {
	switch {
	case useAVX512 && n%16 == 0 && n > 0:
		return 512
	case useAVX2 && n%8 == 0 && n > 0:
		return 2
	}
	return 0
}

func sums(sum, square, x []float32) {
	n := uintptr(len(x))
	switch elementwise(len(x)) {
	case 512:
		sumsAVX512(&sum[0], &square[0], &x[0], n)
	case 2:
		sumsAVX2(&sum[0], &square[0], &x[0], n)
	default:
		sumsGo(sum, square, x)
	}
}

func affine(y, x, scale, shift, residual []float32, relu bool) {
	n := uintptr(len(x))
	kernels := elementwise(len(x))
	switch {
	case kernels == 0 || residual != nil && !relu:
		affineGo(y, x, scale, shift, residual, relu)
	case kernels == 512 && residual != nil:
		affineAddReLUAVX512(&y[0], &x[0], &scale[0], &shift[0], &residual[0], n)
	case kernels == 512 && relu:
		affineReLUAVX512(&y[0], &x[0], &scale[0], &shift[0], n)
	case kernels == 512:
		affineAVX512(&y[0], &x[0], &scale[0], &shift[0], n)
	case residual != nil:
		affineAddReLUAVX2(&y[0], &x[0], &scale[0], &shift[0], &residual[0], n)
	case relu:
		affineReLUAVX2(&y[0], &x[0], &scale[0], &shift[0], n)
	default:
		affineAVX2(&y[0], &x[0], &scale[0], &shift[0], n)
	}
}

func gradSums(sum, product, x, dy []float32) {
	n := uintptr(len(x))
	switch elementwise(len(x)) {
	case 512:
		gradSumsAVX512(&sum[0], &product[0], &x[0], &dy[0], n)
	case 2:
		gradSumsAVX2(&sum[0], &product[0], &x[0], &dy[0], n)
	default:
		gradSumsGo(sum, product, x, dy)
	}
}

func maskSums(m, sum, product, x, dy, y []float32) {
	n := uintptr(len(x))
	switch elementwise(len(x)) {
	case 512:
		maskSumsAVX512(&m[0], &sum[0], &product[0], &x[0], &dy[0], &y[0], n)
	case 2:
		maskSumsAVX2(&m[0], &sum[0], &product[0], &x[0], &dy[0], &y[0], n)
	default:
		maskSumsGo(m, sum, product, x, dy, y)
	}
}

func maskNormSums(m, sum, product, x, dy, scale, shift []float32) {
	n := uintptr(len(x))
	switch elementwise(len(x)) {
	case 512:
		maskNormSumsAVX512(&m[0], &sum[0], &product[0], &x[0], &dy[0], &scale[0], &shift[0], n)
	case 2:
		maskNormSumsAVX2(&m[0], &sum[0], &product[0], &x[0], &dy[0], &scale[0], &shift[0], n)
	default:
		maskNormSumsGo(m, sum, product, x, dy, scale, shift)
	}
}

func gradApply(dx, x, dy, k1, k2, k3 []float32) {
	n := uintptr(len(x))
	switch elementwise(len(x)) {
	case 512:
		gradApplyAVX512(&dx[0], &x[0], &dy[0], &k1[0], &k2[0], &k3[0], n)
	case 2:
		gradApplyAVX2(&dx[0], &x[0], &dy[0], &k1[0], &k2[0], &k3[0], n)
	default:
		gradApplyGo(dx, x, dy, k1, k2, k3)
	}
}

func add(y, x []float32) {
	n := uintptr(len(x))
	switch elementwise(len(x)) {
	case 512:
		addAVX512(&y[0], &x[0], n)
	case 2:
		addAVX2(&y[0], &x[0], n)
	default:
		addGo(y, x)
	}
}

func addPixels(sum []float64, x []float32) {
	if elementwise(len(sum)) == 0 || len(x) == 0 {
		addPixelsGo(sum, x)
		return
	}
	addPixelsAVX2(&sum[0], &x[0], uintptr(len(sum)), uintptr(len(x)/len(sum)))
}
