package sla

import "github.com/quarterturn/quarterturn/sla/internal/kernel"

// tileBlock is the number of tiles that are transformed and multiplied together, so
// that their elements stay in the cache.
const tileBlock = 16

// planeFloats is the floats from one element of the tiles of a block to the next. The
// few extra ones keep planes from falling onto the same lines of the cache.
func planeFloats(channels int) int { return tileBlock*channels + 16 }

// runWinograd computes a block of tiles by Winograd's algorithm: every element of a transformed tile is
// summed over the input channels, ascending; the transforms' sums are those of the
// kernels. Tiles at the right and lower edge overlap those before them.
func (c *convolution) runWinograd(part int, out, in, residual *value) {
	const tile = kernel.OutputTile
	across, tiles := tilesOf(out)
	place := func(t int) (y, x int) {
		return min(t/across*tile, out.shape.Height-tile), min(t%across*tile, out.shape.Width-tile)
	}
	from, to := c.scratch.in, c.scratch.out
	channels, pitch := in.shape.Channels, padded(in.shape.Channels)
	fromPlane, toPlane := planeFloats(pitch), planeFloats(out.pitch)
	input := kernel.WinogradInputArgs{XRowStride: in.stride, XStride: in.pitch, YStride: fromPlane, Channels: channels}
	product := kernel.GEMMArgs{Bias: &c.scratch.zeros[0], AStride: pitch, CStride: out.pitch, KRows: 1, K: channels, NGroups: out.pitch / kernel.NR}
	output := kernel.WinogradOutputArgs{Bias: &c.bias[0], XStride: toPlane, YRowStride: out.stride, YStride: out.pitch, Channels: out.pitch}
	if c.layer.ReLU {
		output.ReLU = 1
	}
	first := part * tileBlock
	n := min(tileBlock, tiles-first)
	for t := range n {
		y, x := place(first + t)
		input.X, input.Y = &in.data[in.at(y-1, x-1)], &from[t*pitch]
		kernel.WinogradInput(&input)
	}
	product.M = (n + kernel.MR - 1) / kernel.MR * kernel.MR
	for e := range kernel.TileElems {
		product.A, product.B, product.C = &from[e*fromPlane], &c.weights[e*channels*out.pitch], &to[e*toPlane]
		kernel.GEMM(&product)
	}
	for t := range n {
		y, x := place(first + t)
		output.X, output.Y = &to[t*out.pitch], &out.data[out.at(y, x)]
		if residual != nil {
			output.Residual, output.ResidualRowStride = &residual.data[residual.at(y, x)], residual.stride
		}
		kernel.WinogradOutput(&output)
	}
}

// tilesOf returns how many tiles of outputs stand in a row of them, and in all.
func tilesOf(out *value) (across, tiles int) {
	const tile = kernel.OutputTile
	across = (out.shape.Width + tile - 1) / tile
	return across, across * ((out.shape.Height + tile - 1) / tile)
}
