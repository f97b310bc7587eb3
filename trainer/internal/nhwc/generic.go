package nhwc

import "unsafe"

const plainLanes = 8

// forwardGo is the forwardKernel in plain Go.
func forwardGo(tile, vectors int) forwardKernel {
	return func(x *float32, pixel, row, length, rows uintptr, w *float32, wRow uintptr, y *float32, yPixel uintptr) {
		for p := range tile {
			var acc [plainLanes * vectorMax]float32
			out := acc[:plainLanes*vectors]
			for r := range rows {
				run := unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(x), uintptr(p)*pixel+r*row)), length)
				for i, v := range run {
					ws := unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(w), (r*length+uintptr(i))*wRow)), len(out))
					for k := range out {
						out[k] += v * ws[k]
					}
				}
			}
			copy(unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(y), uintptr(p)*yPixel)), len(out)), out)
		}
	}
}

// weightsGo is the weightsKernel in plain Go.
func weightsGo(tile, vectors int) weightsKernel {
	return func(x *float32, pixel, row, width, height uintptr, dy *float32, dyPixel, dyRow uintptr, dw *float32, dwRow uintptr) {
		for i := range tile {
			sums := unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(dw), uintptr(i)*dwRow)), plainLanes*vectors)
			for r := range height {
				for c := range width {
					v := *(*float32)(unsafe.Add(unsafe.Pointer(x), r*row+c*pixel+uintptr(4*i)))
					for k, g := range unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(dy), r*dyRow+c*dyPixel)), len(sums)) {
						sums[k] += v * g
					}
				}
			}
		}
	}
}

// plain is the set of kernels in plain Go.
var plain = kernels{lanes: plainLanes}

func init() {
	const tileMax = 6
	for vectors := 1; vectors <= vectorMax; vectors++ {
		plain.forward[vectors] = make([]forwardKernel, tileMax+1)
		plain.weights[vectors] = make([]weightsKernel, tileMax+1)
		for tile := 1; tile <= tileMax; tile++ {
			plain.forward[vectors][tile] = forwardGo(tile, vectors)
			plain.weights[vectors][tile] = weightsGo(tile, vectors)
		}
	}
}
