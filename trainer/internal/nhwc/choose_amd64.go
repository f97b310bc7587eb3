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

// vector tells whether the elementwise kernels take n floats.
func vector(n int) bool { return useAVX2 && n%8 == 0 && n > 0 }

func sums(sum, square, x []float32) {
	if !vector(len(x)) {
		sumsGo(sum, square, x)
		return
	}
	sumsAVX2(&sum[0], &square[0], &x[0], uintptr(len(x)))
}

func affine(y, x, scale, shift, residual []float32, relu bool) {
	n := uintptr(len(x))
	switch {
	case !vector(len(x)) || residual != nil && !relu:
		affineGo(y, x, scale, shift, residual, relu)
	case residual != nil:
		affineAddReLUAVX2(&y[0], &x[0], &scale[0], &shift[0], &residual[0], n)
	case relu:
		affineReLUAVX2(&y[0], &x[0], &scale[0], &shift[0], n)
	default:
		affineAVX2(&y[0], &x[0], &scale[0], &shift[0], n)
	}
}

func gradSums(sum, product, x, dy []float32) {
	if !vector(len(x)) {
		gradSumsGo(sum, product, x, dy)
		return
	}
	gradSumsAVX2(&sum[0], &product[0], &x[0], &dy[0], uintptr(len(x)))
}

func maskSums(m, sum, product, x, dy, y []float32) {
	if !vector(len(x)) {
		maskSumsGo(m, sum, product, x, dy, y)
		return
	}
	maskSumsAVX2(&m[0], &sum[0], &product[0], &x[0], &dy[0], &y[0], uintptr(len(x)))
}

func gradApply(dx, x, dy, k1, k2, k3 []float32) {
	if !vector(len(x)) {
		gradApplyGo(dx, x, dy, k1, k2, k3)
		return
	}
	gradApplyAVX2(&dx[0], &x[0], &dy[0], &k1[0], &k2[0], &k3[0], uintptr(len(x)))
}

func add(y, x []float32) {
	if !vector(len(x)) {
		addGo(y, x)
		return
	}
	addAVX2(&y[0], &x[0], uintptr(len(x)))
}

func addPixels(sum []float64, x []float32) {
	if !vector(len(sum)) || len(x) == 0 {
		addPixelsGo(sum, x)
		return
	}
	addPixelsAVX2(&sum[0], &x[0], uintptr(len(sum)), uintptr(len(x)/len(sum)))
}
