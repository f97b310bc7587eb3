package sla

import (
	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla/internal/kernel"
)

// tileBlock is the number of tiles that are transformed and multiplied together, so
// that their elements stay in the cache.
const tileBlock = 16

// planeFloats is the floats from one element of the tiles of a block to the next. The
// few extra ones keep planes from falling onto the same lines of the cache.
func planeFloats(channels int) int { return tileBlock*channels + 16 }

// runWinograd computes a block of the tiles of some views by Winograd's algorithm: every element of a
// transformed tile is summed over the input channels, ascending; the transforms' sums are those
// of the kernels. Tiles at the right and lower edge overlap those before them.
func (c *convolution) runWinograd(part int, views []operands) {
	const tile = kernel.OutputTile
	in, out := views[0].in, views[0].out
	from, to := c.scratch.in, c.scratch.out
	channels, pitch := in.shape.Channels, padded(in.shape.Channels)
	fromPlane, toPlane := planeFloats(pitch), planeFloats(out.pitch)
	input := kernel.WinogradInputArgs{XRowStride: in.stride, XStride: in.pitch, YStride: fromPlane, Channels: channels}
	product := kernel.GEMMArgs{Bias: &c.scratch.zeros[0], AStride: pitch, CStride: out.pitch, KRows: 1, K: channels, NGroups: out.pitch / kernel.NR()}
	output := kernel.WinogradOutputArgs{Bias: &c.bias[0], XStride: toPlane, YRowStride: out.stride, YStride: out.pitch, Channels: out.pitch}
	if c.layer.ReLU {
		output.ReLU = 1
	}
	across, tiles := tilesOf(out.shape)
	first := part * tileBlock
	n := min(tileBlock, len(views)*tiles-first)
	begin := tilePlace{first / tiles, first % tiles / across * tile, first % across * tile}
	inOrigin, outOrigin := in.at(-1, -1), out.at(0, 0) // in the module, where nothing is inlined, a call for each tile takes its time
	for t, p := 0, begin; t < n; t++ {
		y, x := min(p.y, out.shape.Height-tile), min(p.x, out.shape.Width-tile)
		input.X, input.Y = &views[p.view].in.data[inOrigin+y*in.stride+x*in.pitch], &from[t*pitch]
		kernel.WinogradInput(&input)
		p.next(&out.shape)
	}
	product.M = (n + kernel.MR - 1) / kernel.MR * kernel.MR
	for e := range kernel.TileElems {
		product.A, product.B, product.C = &from[e*fromPlane], &c.weights[e*channels*out.pitch], &to[e*toPlane]
		kernel.GEMM(&product)
	}
	for t, p := 0, begin; t < n; t++ {
		y, x := min(p.y, out.shape.Height-tile), min(p.x, out.shape.Width-tile)
		v := &views[p.view]
		output.X, output.Y = &to[t*out.pitch], &v.out.data[outOrigin+y*out.stride+x*out.pitch]
		if r := v.residual; r != nil {
			output.Residual, output.ResidualRowStride = &r.data[r.at(y, x)], r.stride
		}
		kernel.WinogradOutput(&output)
		p.next(&out.shape)
	}
}

// A tilePlace is that of a tile of outputs: its view, and its first pixel, unless the tile
// overlaps the one before it.
type tilePlace struct{ view, y, x int }

// next goes on to the tile behind, of outputs of a shape.
func (p *tilePlace) next(out *format.Shape) {
	if p.x += kernel.OutputTile; p.x < out.Width {
		return
	}
	p.x = 0
	if p.y += kernel.OutputTile; p.y < out.Height {
		return
	}
	p.view, p.y = p.view+1, 0
}

// tilesOf returns how many tiles of outputs stand in a row of them, and in all.
func tilesOf(out format.Shape) (across, tiles int) {
	const tile = kernel.OutputTile
	across = (out.Width + tile - 1) / tile
	return across, across * ((out.Height + tile - 1) / tile)
}
