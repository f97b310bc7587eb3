package nhwc

import (
	"unsafe"

	"github.com/quarterturn/quarterturn/trainer/internal/parallel"
)

// vectorMax is the largest number of vectors of output channels that a kernel
// makes at a time.
const vectorMax = 2

// A kernels is a set of kernels for vectors of so many lanes, by the number of
// vectors and by tile: neighbouring pixels, or input channels, made at a time.
type kernels struct {
	lanes   int
	forward [vectorMax + 1][]forwardKernel
	weights [vectorMax + 1][]weightsKernel

	// Of Winograd's algorithm, see winograd.go, and of 2x2 pooling, see pool2.go.
	winogradInput, winogradOutput, winogradGrad, winogradGradInput, winogradWeights, winogradGradWeights transformKernel
	maxPool                                                                                              maxPoolKernel
	maxPoolGrad                                                                                          maxPoolGradKernel

	// For benchmarks: nothing but multiply-adds, peakFLOP operations a turn.
	peak     func(turns uintptr)
	peakFLOP int
}

// MultiplyAdds does nothing but so many turns of multiply-adds, as fast as a core can, and
// returns how many operations these are, or 0 without kernels for it: for benchmarks.
func MultiplyAdds(turns int) (flop float64) {
	set := available()[0]
	if set.peak == nil {
		return 0
	}
	set.peak(uintptr(turns))
	return float64(turns) * float64(set.peakFLOP)
}

// choose returns the fastest set that can make so many output channels, and how
// many vectors at a time.
func choose(channels int) (k *kernels, vectors int) {
	for _, k = range available() {
		if channels%k.lanes == 0 {
			break
		}
	}
	if channels%(2*k.lanes) == 0 {
		return k, 2
	}
	return k, 1
}

// A forwardKernel makes tile pixels of vectors*lanes output channels:
//
//	y[p][k] = sum over r < rows, i < length of x[p*pixel + r*row + i] * w[r*length+i][k]
//
// All distances are in bytes.
type forwardKernel = func(x *float32, pixel, row, length, rows uintptr, w *float32, wRow uintptr, y *float32, yPixel uintptr)

// A weightsKernel adds to tile rows of vectors*lanes columns of a weight gradient:
//
//	dw[i][k] += sum over height rows, width columns of x[row][column][i] * dy[row][column][k]
type weightsKernel = func(x *float32, pixel, row, width, height uintptr, dy *float32, dyPixel, dyRow uintptr, dw *float32, dwRow uintptr)

// A Conv is a convolution of a batch with zero padding of Kernel/2. Activations
// are padded NHWC, weights (Kernel, Kernel, In, Out). Its methods work on one
// image, so that several things can be done to it while the cache holds it.
type Conv struct {
	Images        int
	Height, Width int // of the input, without its border
	In, Out       int // channels; Out a multiple of 8, and In too for gradInput
	Kernel        int // 1, 3, or for a stem another odd number
	Stride        int // 1 or 2

	turned  []float32   // weights for the input gradient, see turn
	parts   []Part      // of the input gradient
	partial [][]float32 // per group of images, its weight gradient
}

// OutHeight is the height of the output, without its border.
func (c *Conv) OutHeight() int { return (c.Height + c.Stride - 1) / c.Stride }

// OutWidth is the width of the output, without its border.
func (c *Conv) OutWidth() int { return (c.Width + c.Stride - 1) / c.Stride }

// Padded is the number of floats of one padded image.
func Padded(height, width, channels int) int { return (height + 2) * (width + 2) * channels }

// Border is the width of the border of zeros around the input: 1, or what the
// kernel reaches beyond that.
func (c *Conv) Border() int { return max(1, c.Kernel/2) }

func (c *Conv) inWidth() int { return c.Width + 2*c.Border() }

func (c *Conv) inSize() int  { return (c.Height + 2*c.Border()) * c.inWidth() * c.In }
func (c *Conv) outSize() int { return Padded(c.OutHeight(), c.OutWidth(), c.Out) }

// A window is where the inputs of an output pixel lie.
type window struct {
	rows, columns int // of pixels
	row, column   int // of the first one, in the padded image, for output 0
	stride        int
}

// forward writes y = conv(x, w) into the inner part of the image y.
func (c *Conv) forward(y, x, w []float32) {
	pad := c.Border() - c.Kernel/2 // where the window of output 0 begins in the padded input
	grid := grid{height: c.OutHeight(), width: c.OutWidth(), pixel: c.Out, row: (c.OutWidth() + 2) * c.Out}
	convolve(y[grid.row+c.Out:], grid, x, c.inWidth(), c.In, window{c.Kernel, c.Kernel, pad, pad, c.Stride}, w, c.Out)
}

// taps lists the rows (or columns) of a kernel that reach the input pixels of a
// parity under stride 2, in the order of the outputs they come from, the first
// of which is that of half the pixel's index.
func (c *Conv) taps(parity int) []int {
	switch {
	case c.Kernel == 1 && parity == 0:
		return []int{0}
	case c.Kernel == 1:
		return nil
	case parity == 0:
		return []int{1}
	}
	return []int{2, 0}
}

// A Part is one of the convolutions that make the gradient of the input out of that of
// the output, with weights turned by half a turn and transposed. Under stride 2 input
// pixels of even and odd rows and columns meet different weights: that makes four
// convolutions of stride 1.
type Part struct {
	Taps          []int // of the kernel, row*Kernel + column, in the order of their inputs; none: the gradient is zero
	Rows, Columns int   // of a window
	Row, Column   int   // of the first window, in the padded gradient of the output
	Y, X, Step    int   // the pixels that it makes: from (Y, X) on, Step apart
	Height, Width int   // how many
}

// Parts lists them.
func (c *Conv) Parts() (parts []Part) {
	if c.Stride == 1 {
		pad := 1 - c.Kernel/2
		p := Part{Rows: c.Kernel, Columns: c.Kernel, Row: pad, Column: pad, Step: 1, Height: c.Height, Width: c.Width}
		for t := c.Kernel*c.Kernel - 1; t >= 0; t-- {
			p.Taps = append(p.Taps, t)
		}
		return []Part{p}
	}
	for parity := range 4 {
		y, x := parity/2, parity%2
		rows, columns := c.taps(y), c.taps(x)
		p := Part{Rows: len(rows), Columns: len(columns), Row: 1, Column: 1, Y: y, X: x, Step: 2, Height: (c.Height + 1 - y) / 2, Width: (c.Width + 1 - x) / 2}
		for _, ky := range rows {
			for _, kx := range columns {
				p.Taps = append(p.Taps, ky*c.Kernel+kx)
			}
		}
		if p.Height > 0 && p.Width > 0 {
			parts = append(parts, p)
		}
	}
	return parts
}

// turn prepares gradInput.
func (c *Conv) turn(w []float32) {
	if c.parts == nil {
		c.parts = c.Parts()
	}
	to := c.turned[:0]
	for _, p := range c.parts {
		for _, tap := range p.Taps {
			from := w[tap*c.In*c.Out:]
			for o := range c.Out {
				for i := range c.In {
					to = append(to, from[i*c.Out+o])
				}
			}
		}
	}
	c.turned = to
}

// gradInput writes the gradient of the input into the inner part of the image
// dx. The border of dy must be zero.
func (c *Conv) gradInput(dx, dy []float32) {
	row := (c.Width + 2) * c.In
	w := c.turned
	for _, p := range c.parts {
		to, g := dx[(p.Y+1)*row+(p.X+1)*c.In:], grid{p.Height, p.Width, p.Step * c.In, p.Step * row}
		if len(p.Taps) == 0 {
			for i := range g.height {
				for j := range g.width {
					clear(to[i*g.row+j*g.pixel:][:c.In])
				}
			}
			continue
		}
		convolve(to, g, dy, c.OutWidth()+2, c.Out, window{p.Rows, p.Columns, p.Row, p.Column, 1}, w, c.In)
		w = w[len(p.Taps)*c.In*c.Out:]
	}
}

// groups is the number of parts in which a batch's weight gradient is summed.
// It is fixed, so that the sum does not depend on the number of workers.
const groups = 16

// inGroups calls f for every image, those of one group in order.
func inGroups(images int, f func(worker, group, n int)) {
	parallel.For(groups, func(worker, g int) {
		for n := g * images / groups; n < (g+1)*images/groups; n++ {
			f(worker, g, n)
		}
	})
}

// startWeights makes ready for addWeights.
func (c *Conv) startWeights() {
	for len(c.partial) < groups {
		c.partial = append(c.partial, make([]float32, c.Kernel*c.Kernel*c.In*c.Out))
	}
}

// addWeights adds one image's part to the weight gradient of its group.
func (c *Conv) addWeights(group int, x, dy []float32) {
	const f = unsafe.Sizeof(float32(0))
	dw := c.partial[group]
	pad := c.Border() - c.Kernel/2
	set, vectors := choose(c.Out)
	byTile := set.weights[vectors]
	length := c.Kernel * c.In
	oh, ow := c.OutHeight(), c.OutWidth()
	for ky := range c.Kernel {
		for i := 0; i < length; i += len(byTile) - 1 {
			tile := min(len(byTile)-1, length-i)
			from := ((ky+pad)*c.inWidth()+pad)*c.In + i
			for k := 0; k < c.Out; k += set.lanes * vectors {
				byTile[tile](&x[from], uintptr(c.Stride*c.In)*f, uintptr(c.Stride*c.inWidth()*c.In)*f, uintptr(ow), uintptr(oh),
					&dy[(ow+3)*c.Out+k], uintptr(c.Out)*f, uintptr((ow+2)*c.Out)*f, &dw[(ky*length+i)*c.Out+k], uintptr(c.Out)*f)
			}
		}
	}
}

// weights writes the weight gradient, summed over the groups, to dw. It leaves
// zeros behind, for the next batch.
func (c *Conv) weights(dw []float32) {
	clear(dw)
	for _, part := range c.partial {
		add(dw, part)
		clear(part)
	}
}

// A grid is the pixels that a convolution makes: distances of pixels and rows
// in floats.
type grid struct{ height, width, pixel, row int }

// convolve makes the pixels of a grid, out channels each, the first at y[0]. x
// has rows of xWidth pixels of in channels; w is (rows, columns, in, out).
func convolve(y []float32, g grid, x []float32, xWidth, in int, win window, w []float32, out int) {
	const f = unsafe.Sizeof(float32(0))
	set, vectors := choose(out)
	block, byTile := set.lanes*vectors, set.forward[vectors]
	length := uintptr(win.columns * in)
	for k := 0; k < out; k += block {
		for row := range g.height {
			for col := 0; col < g.width; col += len(byTile) - 1 {
				tile := min(len(byTile)-1, g.width-col)
				from := ((row*win.stride+win.row)*xWidth + col*win.stride + win.column) * in
				byTile[tile](&x[from], uintptr(win.stride*in)*f, uintptr(xWidth*in)*f, length, uintptr(win.rows),
					&w[k], uintptr(out)*f, &y[row*g.row+col*g.pixel+k], uintptr(g.pixel)*f)
			}
		}
	}
}
