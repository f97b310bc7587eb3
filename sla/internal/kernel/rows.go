package kernel

import "unsafe"

// The kernels of this file are plain Go everywhere but in the module, where they have
// other bodies, written by wasm/internal/gen.

// FinishArgs are the arguments of Finish, y = act(y + residual).
type FinishArgs struct {
	Y, Residual *float32 // Residual may be nil
	N           int      // a multiple of ChannelGroup
	ReLU        int      // 1 if negative numbers become zero, else 0
}

func Finish(a *FinishArgs) {
	y := unsafe.Slice(a.Y, a.N)
	if a.Residual != nil {
		for i, r := range unsafe.Slice(a.Residual, a.N) {
			y[i] += r
		}
	}
	if a.ReLU != 0 {
		for i, v := range y {
			if v < 0 {
				y[i] = 0
			}
		}
	}
}

// SumPixelsArgs are the arguments of SumPixels, y[c] += Σ_p x[p][c], p ascending.
type SumPixelsArgs struct {
	X, Y             *float32
	Pixels, Channels int
	XStride          int // from one pixel to the next
}

func SumPixels(a *SumPixelsArgs) {
	y := unsafe.Slice(a.Y, a.Channels)
	for p := range a.Pixels {
		for c, v := range unsafe.Slice(at(a.X, p*a.XStride), a.Channels) {
			y[c] += v
		}
	}
}

// MaxPool2Args are the arguments of MaxPool2, which computes a row of max pooling over
// 2x2 windows, two pixels apart: of those in reading order a later one counts only if
// it is larger.
type MaxPool2Args struct {
	X, Y             *float32 // the first pixel of the upper row of inputs, and of the outputs
	Pixels, Channels int      // of the row of outputs
	XRowStride       int      // from the upper row of inputs to the lower
	XStride, YStride int      // from one pixel to the next
}

func MaxPool2(a *MaxPool2Args) {
	for p := range a.Pixels {
		x := at(a.X, 2*p*a.XStride)
		upper, lower := unsafe.Slice(x, a.XStride+a.Channels), unsafe.Slice(at(x, a.XRowStride), a.XStride+a.Channels)
		for c, v := range upper[:a.Channels] {
			if w := upper[a.XStride+c]; w > v {
				v = w
			}
			if w := lower[c]; w > v {
				v = w
			}
			if w := lower[a.XStride+c]; w > v {
				v = w
			}
			*at(a.Y, p*a.YStride+c) = v
		}
	}
}
