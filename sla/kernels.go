package sla

// The kernels are three, each written for WebAssembly, for AVX2, and in plain Go
// for all else. They give the same bits: every output has its own sum, in the
// order that is stated here, of products that are rounded before they are added.
// Distances are in bytes.

// pixels is the number of neighbouring outputs that sums makes at a time.
const pixels = 4

// sumsArgs are the arguments of sums, which makes the channels of some outputs:
//
//	y[p][o] = bias[o] + Σ_r Σ_i x[p][r][i] · w[r][i][o]
//
// with the rows r and the floats i of a row ascending. An output is a pixel of a
// direct convolution, whose window has so many rows, or a tile of a Winograd one.
type sumsArgs struct {
	x, w, bias, y *float32 // w is (groups, rows, run, lanes)
	count         int      // outputs, a multiple of pixels
	xStep, yStep  int      // from one output to the next
	rows, xRow    int      // xRow is from one row of the window to the next
	run           int      // floats in a row
	groups        int      // lanes of output channels
}

// Winograd's F(4x4, 3x3) makes tiles of 4x4 outputs of 6x6 inputs (Lavin and
// Gray 2015, arXiv 1509.09308, with the points 0, 1, -1, 2, -2 and infinity).
const (
	tile    = 4
	reach   = tile + 2      // side of the input of a tile
	spectra = reach * reach // numbers that a transformed tile has
)

// spreadArgs are the arguments of spread, which transforms the input of a tile,
// BᵀdB, along rows first.
type spreadArgs struct {
	x, y        *float32 // the tile's first pixel; the first of its spectra
	xRow, xStep int      // from one row and one pixel to the next
	yStep       int      // from one number of the spectrum to the next
	channels    int      // rounded up to whole groups if that is faster
}

// gatherArgs are the arguments of gather, which makes the outputs of a tile,
// act(AᵀmA + bias + residual), along columns first.
type gatherArgs struct {
	x, y, bias, residual *float32 // the first of the spectra; the tile's first pixel; residual may be nil
	xStep                int
	yRow, yStep          int
	rRow                 int // from one row of the residual to the next; its pixels are yStep apart
	channels             int
	relu                 int
}
