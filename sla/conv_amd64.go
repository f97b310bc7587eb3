package sla

import (
	"unsafe"

	"github.com/quarterturn/quarterturn/format"
)

// The vector kernels give every output the same sum, in the same order, as the
// scalar ones: a vector holds eight neighbouring outputs, and products are
// rounded before they are added.

// lanes is the number of floats in a vector, and of the output channels that a
// vector kernel makes at a time.
const lanes = 8

var useAVX2 = hasAVX2() // tests switch it off

func hasAVX2() bool

// hasVectors tells whether the vector kernels take so many output channels.
func hasVectors(out int) bool { return useAVX2 && out%lanes == 0 }

// packVectors reorders weights (out, in, k, k) into (out/8, in, k, k, 8).
func packVectors(w []float32, out, in, k int) []float32 {
	size := in * k * k
	packed := make([]float32, 0, len(w))
	for o := 0; o < out; o += lanes {
		for i := range size {
			for lane := range lanes {
				packed = append(packed, w[(o+lane)*size+i])
			}
		}
	}
	return packed
}

// convAVX2 makes eight neighbouring outputs of a row, of eight channels, from the
// window of the first at x; residual may be nil. Distances are in bytes.
//
//go:noescape
func convAVX2(x *float32, plane, row, channels, kernel uintptr, w, bias, y *float32, yPlane uintptr, residual *float32, rPlane, relu uintptr)

// convStride2AVX2 is convAVX2 for windows two pixels apart.
//
//go:noescape
func convStride2AVX2(x *float32, plane, row, channels, kernel uintptr, w, bias, y *float32, yPlane uintptr, residual *float32, rPlane, relu uintptr)

// convVectors is conv with vector kernels.
func convVectors(out, in, residual *value, l *format.Layer, packed, bias []float32) {
	const f = unsafe.Sizeof(float32(0))
	k, channels, width := l.Kernel, in.shape.Channels, out.shape.Width
	size := channels * k * k * lanes
	var relu uintptr
	if l.ReLU {
		relu = 1
	}
	var part [lanes * lanes]float32 // a narrow tile, (channel, column)
	plane, row := uintptr(in.plane)*f, uintptr(in.stride)*f
	for o := 0; o < l.Out; o += lanes {
		w, b := &packed[o/lanes*size], &bias[o]
		for y := range out.shape.Height {
			for x := 0; x < width; x += lanes {
				if x+lanes > width && width >= lanes {
					x = width - lanes // the last tile overlaps the one before
				}
				from := &in.data[in.at(0, y*l.Stride-k/2, x*l.Stride-k/2)]
				to, toPlane := &part[0], lanes*f
				var r *float32
				var rPlane, activate uintptr
				whole := width-x >= lanes
				if whole {
					to, toPlane, activate = &out.data[out.at(o, y, x)], uintptr(out.plane)*f, relu
					if residual != nil {
						r, rPlane = &residual.data[residual.at(o, y, x)], uintptr(residual.plane)*f
					}
				}
				if l.Stride == 1 {
					convAVX2(from, plane, row, uintptr(channels), uintptr(k), w, b, to, toPlane, r, rPlane, activate)
				} else {
					convStride2AVX2(from, plane, row, uintptr(channels), uintptr(k), w, b, to, toPlane, r, rPlane, activate)
				}
				for c := 0; !whole && c < lanes; c++ {
					finish(out, residual, l.ReLU, o+c, y, x, part[c*lanes:][:width-x])
				}
			}
		}
	}
}
