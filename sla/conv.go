package sla

import (
	"unsafe"

	"github.com/quarterturn/quarterturn/format"
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
	row    []float32 // (pixels, C), of a map narrower than that
	in, to []float32 // (spectra, block, C), of a block of tiles
	zeros  []float32 // (C), the bias of spectra
}

// newConvolution packs the weights (Out, channels, k, k) of a layer, which makes
// out of in.
func newConvolution(l *format.Layer, in, out *value, weights, bias []float32, s *scratch) *convolution {
	c := &convolution{layer: l, scratch: s, bias: make([]float32, out.pitch)}
	copy(c.bias, bias)
	c.winograd = l.Kernel == 3 && l.Stride == 1 && min(out.shape.Height, out.shape.Width) >= tile
	if c.winograd {
		c.weights = packWinograd(weights, l.Out, in, out)
		grow(&s.in, spectra*plane(padded(in.shape.Channels)))
		grow(&s.to, spectra*plane(out.pitch))
		grow(&s.zeros, out.pitch)
		return c
	}
	c.weights = packDirect(weights, l, in, out)
	grow(&s.row, pixels*out.pitch)
	return c
}

func grow(s *[]float32, n int) {
	if n > len(*s) {
		*s = make([]float32, n)
	}
}

// packDirect orders weights (Out, C, k, k) as the kernels read them, (groups,
// k, k·C, lanes), with zeros for the channels of the padding.
func packDirect(w []float32, l *format.Layer, in, out *value) []float32 {
	k, channels := l.Kernel, in.shape.Channels
	packed := make([]float32, out.pitch*k*k*in.pitch)
	for i, v := range w {
		o, c, y, x := i/(k*k*channels), i/(k*k)%channels, i/k%k, i%k
		packed[((o/lanes*k+y)*k+x)*in.pitch*lanes+c*lanes+o%lanes] = v
	}
	return packed
}

// run computes out = act(W*in + b + residual). Every output is summed in the
// same order, whatever kernel computes it: the bias, then the rows of the
// window, its columns and the input channels, each ascending; or, by Winograd's
// algorithm, what winograd.go says.
func (c *convolution) run(out, in, residual *value) {
	if c.winograd {
		c.runWinograd(out, in, residual)
		return
	}
	l, width := c.layer, out.shape.Width
	args := sumsArgs{w: &c.weights[0], bias: &c.bias[0], xStep: float * l.Stride * in.pitch, yStep: float * out.pitch,
		rows: l.Kernel, xRow: float * in.stride, run: l.Kernel * in.pitch, groups: out.pitch / lanes}
	for y := range out.shape.Height {
		row := out.row(y)
		for x := 0; x < width; x += args.count {
			args.count = max(pixels, (width-x)/pixels*pixels)
			if width < pixels {
				args.y = &c.scratch.row[0]
			} else {
				x = min(x, width-args.count) // the last pixels may overlap those before
				args.y = &row[x*out.pitch]
			}
			args.x = &in.data[in.at(y*l.Stride-l.Kernel/2, x*l.Stride-l.Kernel/2)]
			sums(&args)
		}
		if width < pixels {
			copy(row, c.scratch.row)
		}
		finish(row, residual, l.ReLU, y)
	}
}

// finish adds the residual to row y and applies the activation.
func finish(row []float32, residual *value, relu bool, y int) {
	if residual != nil {
		for i, r := range residual.row(y) {
			row[i] += r
		}
	}
	if relu {
		for i, v := range row {
			if v < 0 {
				row[i] = 0
			}
		}
	}
}

const float = int(unsafe.Sizeof(float32(0)))
