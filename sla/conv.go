package sla

import (
	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla/internal/kernel"
)

// A convolution is a layer made ready: its weights packed for the kernels, and
// whether it is computed directly or by Winograd's algorithm.
type convolution struct {
	layer    *format.Layer
	winograd bool
	weights  []float32
	bias     []float32 // with its padding
	scratch  *scratch
}

// scratch is working memory that the convolutions of a network share.
type scratch struct {
	row     []float32 // (kernel.MR, C), of a map narrower than that
	in, out []float32 // (kernel.TileElems, tileBlock, C), of a block of tiles
	zeros   []float32 // (C), the bias of transformed tiles
}

// usesWinograd tells how a convolution that makes out is computed.
func usesWinograd(l *format.Layer, out format.Shape) bool {
	return l.Op == format.OpConv && l.Kernel == 3 && l.Stride == 1 && min(out.Height, out.Width) >= kernel.OutputTile
}

// newConvolution packs the weights (Out, channels, k, k) of a layer, which makes
// out of in. It takes the room for them from packed, zeros, and returns what is left.
func newConvolution(l *format.Layer, in, out *value, weights, bias, packed []float32, s *scratch) (*convolution, []float32) {
	c := &convolution{layer: l, winograd: usesWinograd(l, out.shape), scratch: s}
	c.bias, packed = packed[:out.pitch], packed[out.pitch:]
	n := packedFloats(l, in, out)
	c.weights, packed = packed[:n], packed[n:]
	copy(c.bias, bias)
	if c.winograd {
		kernel.PackWinograd(c.weights, weights, in.shape.Channels, out.pitch)
	} else {
		kernel.PackDirect(c.weights, weights, l.Kernel, in.shape.Channels, in.pitch)
	}
	return c, packed
}

// runDirect computes a part of out = act(W*in + b + residual). Every output is summed in the
// same order, whatever kernel computes it: the bias, then the rows of the
// window, its columns and the input channels, each ascending; or, by Winograd's
// algorithm, what winograd.go says.
func (c *convolution) runDirect(part int, v *operands) {
	in, out, residual := v.in, v.out, v.residual
	l, width := c.layer, out.shape.Width
	args := kernel.GEMMArgs{B: &c.weights[0], Bias: &c.bias[0], AStride: l.Stride * in.pitch, CStride: out.pitch,
		KRows: l.Kernel, ARowStride: in.stride, K: l.Kernel * in.pitch, NGroups: out.pitch / kernel.NR()}
	y, first, last := pixelsOf(out, part)
	row := out.row(y)
	for x := first; x < last; x += args.M {
		args.M = max(kernel.MR, (last-x)/kernel.MR*kernel.MR)
		if width < kernel.MR {
			args.C = &c.scratch.row[0]
		} else {
			x = min(x, width-args.M) // the last pixels may overlap those before
			args.C = &row[x*out.pitch]
			first = min(first, x)
		}
		args.A = &in.data[in.at(y*l.Stride-l.Kernel/2, x*l.Stride-l.Kernel/2)]
		kernel.GEMM(&args)
	}
	if width < kernel.MR {
		copy(row, c.scratch.row)
	}
	end := kernel.FinishArgs{Y: &row[first*out.pitch], N: (last - first) * out.pitch}
	if residual != nil {
		end.Residual = &residual.row(y)[first*out.pitch]
	}
	if l.ReLU {
		end.ReLU = 1
	}
	kernel.Finish(&end)
}
