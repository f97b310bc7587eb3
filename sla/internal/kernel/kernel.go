// Package kernel holds the inner loops of inference: the matrix product that every
// convolution comes down to, and the transforms of Winograd's algorithm.
//
// Each kernel is written for WebAssembly, for AVX2, and in plain Go for all else.
// They give the same bits: every output has its own sum, in the order stated here,
// of products that are rounded before they are added. Strides count floats.
package kernel

import "unsafe"

const (
	// MR is the number of neighbouring rows that GEMM computes at a time.
	MR = 4

	// ChannelGroup is the number of neighbouring channels that the kernels treat
	// alike; activations are padded to whole groups.
	ChannelGroup = 8
)

// Winograd's F(4x4, 3x3) makes tiles of 4x4 outputs of 6x6 inputs (Lavin and
// Gray 2015, arXiv 1509.09308, with the points 0, 1, -1, 2, -2 and infinity).
const (
	OutputTile = 4                     // side of a tile of outputs
	InputTile  = OutputTile + 2        // side of the inputs that it needs
	TileElems  = InputTile * InputTile // elements of a transformed tile
)

// GEMMArgs are the arguments of GEMM, which computes a row of C for every output:
//
//	C[m][n] = Bias[n] + Σ_r Σ_k A[m][r][k] · B[r][k][n]
//
// with r and k ascending. An output is a pixel of a direct convolution, whose window
// has KRows rows, or a tile of a Winograd one.
type GEMMArgs struct {
	A, B, Bias, C *float32 // B is packed as (NGroups, KRows, K, NR())
	M             int      // rows of A and C, a multiple of MR
	AStride       int      // from one row of A to the next
	CStride       int      // from one row of C to the next
	KRows         int      // rows of the window
	ARowStride    int      // from one row of the window to the next
	K             int      // floats in a row of the window
	NGroups       int      // groups of NR() output channels
}

// WinogradInputArgs are the arguments of WinogradInput, which transforms the input of
// a tile, BᵀdB, along rows first.
type WinogradInputArgs struct {
	X, Y       *float32 // the tile's first pixel; the first of its TileElems elements
	XRowStride int      // from one row of pixels to the next
	XStride    int      // from one pixel to the next
	YStride    int      // from one element to the next
	Channels   int      // rounded up to whole groups if that is faster
}

// WinogradOutputArgs are the arguments of WinogradOutput, which computes the outputs
// of a tile, act(AᵀmA + bias + residual), along columns first.
type WinogradOutputArgs struct {
	X, Y, Bias, Residual *float32 // the first element; the tile's first pixel; Residual may be nil
	XStride              int      // from one element to the next
	YRowStride           int      // from one row of pixels to the next
	YStride              int      // from one pixel to the next, of the residual too
	ResidualRowStride    int      // from one row of the residual to the next
	Channels             int      // a multiple of ChannelGroup
	ReLU                 int      // 1 if negative outputs become zero, else 0
}

// at is the address of element i.
func at(p *float32, i int) *float32 {
	return (*float32)(unsafe.Add(unsafe.Pointer(p), i*int(unsafe.Sizeof(*p))))
}
