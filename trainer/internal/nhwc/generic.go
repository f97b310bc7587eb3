package nhwc

import "unsafe"

// forwardGo is the forwardKernel in plain Go.
func forwardGo(tile, vectors int) forwardKernel {
	return func(x *float32, pixel, row, length, rows uintptr, w *float32, wRow uintptr, y *float32, yPixel uintptr) {
		for p := range tile {
			var acc [8 * vectorMax]float32
			out := acc[:8*vectors]
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
			sums := unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(dw), uintptr(i)*dwRow)), 8*vectors)
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

var (
	forwardPlain [tileMax + 1][vectorMax + 1]forwardKernel
	weightsPlain [tileMax + 1][vectorMax + 1]weightsKernel
)

func init() {
	for tile := 1; tile <= tileMax; tile++ {
		for vectors := 1; vectors <= vectorMax; vectors++ {
			forwardPlain[tile][vectors] = forwardGo(tile, vectors)
			weightsPlain[tile][vectors] = weightsGo(tile, vectors)
		}
	}
}
