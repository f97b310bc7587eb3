package sla

import (
	"unsafe"

	"github.com/quarterturn/quarterturn/format"
)

// A tileRow is neighbouring tiles of an output row, of two channels; conv_wasm.s
// knows its layout. Steps and planes are in bytes.
type tileRow struct {
	x, w, bias  *float32 // the first window, (channels, k, k, 2), (2)
	y, residual *float32 // residual may be nil
	tiles       int
	channels, k int

	rowStep, planeStep int // from the end of a window's row to the next row; from its last row to the next channel
	yPlane, rPlane     int // from the first output channel to the second
	relu               int
}

//go:noescape
func convTiles(r *tileRow)

// convTilesStride2 is convTiles for windows two pixels apart.
//
//go:noescape
func convTilesStride2(r *tileRow)

// convRow computes output row y of the channels oc and oc+1, of which the second
// may be none; w is (in, k, k, 2).
func convRow(out, in, residual *value, l *format.Layer, w []float32, bias *[2]float32, oc, y int) {
	const f = int(unsafe.Sizeof(float32(0)))
	k, width := l.Kernel, out.shape.Width
	r := tileRow{w: &w[0], bias: &bias[0], channels: in.shape.Channels, k: k, rowStep: f * (in.stride - k), planeStep: f * (in.plane - k*in.stride)}
	for x := 0; x < width; x += tile * r.tiles {
		r.tiles = max(1, (width-x)/tile)
		if x+tile > width && width >= tile {
			x = width - tile // the last tile overlaps the one before
		}
		var part [2 * tile]float32
		whole := x+tile <= width && oc+1 < l.Out
		r.x = &in.data[in.at(0, y*l.Stride-k/2, x*l.Stride-k/2)]
		r.y, r.yPlane, r.residual, r.relu = &part[0], f*tile, nil, 0
		if whole {
			r.y, r.yPlane = &out.data[out.at(oc, y, x)], f*out.plane
			if residual != nil {
				r.residual, r.rPlane = &residual.data[residual.at(oc, y, x)], f*residual.plane
			}
			if l.ReLU {
				r.relu = 1
			}
		} else {
			r.tiles = 1
		}
		if l.Stride == 1 {
			convTiles(&r)
		} else {
			convTilesStride2(&r)
		}
		if !whole {
			n := min(tile, width-x)
			finish(out, residual, l.ReLU, oc, y, x, part[:n])
			if oc+1 < l.Out {
				finish(out, residual, l.ReLU, oc+1, y, x, part[tile:tile+n])
			}
		}
	}
}
