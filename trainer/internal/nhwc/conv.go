package nhwc

import "unsafe"

// At most tileMax neighbouring pixels or input channels, and vectorMax vectors of
// output channels, are what one kernel makes at a time.
const tileMax, vectorMax = 8, 2

// A kernels is a set of kernels for vectors of so many lanes, by tile and number
// of vectors.
type kernels struct {
	lanes, tile int // tile is the largest
	forward     [tileMax + 1][vectorMax + 1]forwardKernel
	weights     [tileMax + 1][vectorMax + 1]weightsKernel
}

// choose gives the fastest set that can make so many output channels, and how
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
// are padded NHWC, weights (Kernel, Kernel, In, Out).
type Conv struct {
	Images        int
	Height, Width int // of the input, without its border
	In, Out       int // channels; Out a multiple of 8, and In too for GradInput
	Kernel        int // 1 or 3
	Stride        int // 1 or 2

	flipped []float32   // weights for the input gradient, (Kernel, Kernel, Out, In)
	dilated [][]float32 // per worker, one image's dy spread out to the input's size
	partial [][]float32 // per group of images, its weight gradient
}

// OutHeight is the height of the output, without its border.
func (c *Conv) OutHeight() int { return (c.Height + c.Stride - 1) / c.Stride }

// OutWidth is the width of the output, without its border.
func (c *Conv) OutWidth() int { return (c.Width + c.Stride - 1) / c.Stride }

// Padded is the number of floats of one padded image.
func Padded(height, width, channels int) int { return (height + 2) * (width + 2) * channels }

func (c *Conv) inSize() int  { return Padded(c.Height, c.Width, c.In) }
func (c *Conv) outSize() int { return Padded(c.OutHeight(), c.OutWidth(), c.Out) }

// Forward writes y = conv(x, w) into the inner part of y.
func (c *Conv) Forward(y, x, w []float32) {
	in, out := c.inSize(), c.outSize()
	Parallel(c.Images, func(_, n int) {
		convolve(y[n*out:(n+1)*out], x[n*in:(n+1)*in], w, c.OutHeight(), c.OutWidth(), c.Width, c.In, c.Out, c.Kernel, c.Stride)
	})
}

// GradInput writes the gradient of the input into the inner part of dx. The
// border of dy must be zero.
func (c *Conv) GradInput(dx, dy, w []float32) {
	// The gradient is the convolution of dy with the weights turned by half a
	// turn and transposed. Under stride 2 dy is first spread out with zeros.
	kk := c.Kernel * c.Kernel
	if c.flipped == nil {
		c.flipped = make([]float32, len(w))
	}
	for t := range kk {
		from := w[(kk-1-t)*c.In*c.Out:]
		to := c.flipped[t*c.In*c.Out:]
		for i := range c.In {
			for o := range c.Out {
				to[o*c.In+i] = from[i*c.Out+o]
			}
		}
	}
	for c.Stride == 2 && len(c.dilated) < Workers() {
		c.dilated = append(c.dilated, make([]float32, Padded(c.Height, c.Width, c.Out)))
	}
	in, out := c.inSize(), c.outSize()
	Parallel(c.Images, func(worker, n int) {
		g := dy[n*out : (n+1)*out]
		if c.Stride == 2 {
			spread := c.dilated[worker]
			for y := range c.OutHeight() {
				for x := range c.OutWidth() {
					from := ((y+1)*(c.OutWidth()+2) + x + 1) * c.Out
					to := ((2*y+1)*(c.Width+2) + 2*x + 1) * c.Out
					copy(spread[to:to+c.Out], g[from:])
				}
			}
			g = spread
		}
		convolve(dx[n*in:(n+1)*in], g, c.flipped, c.Height, c.Width, c.Width, c.Out, c.In, c.Kernel, 1)
	})
}

// groups is the number of parts in which a batch's weight gradient is summed.
// It is fixed, so that the sum does not depend on the number of workers.
const groups = 16

// GradWeights writes the gradient of the weights, summed over the batch, to dw.
func (c *Conv) GradWeights(dw, x, dy []float32) {
	if c.partial == nil {
		c.partial = make([][]float32, groups)
		for g := range c.partial {
			c.partial[g] = make([]float32, len(dw))
		}
	}
	in, out := c.inSize(), c.outSize()
	Parallel(groups, func(_, g int) {
		clear(c.partial[g])
		for n := g * c.Images / groups; n < (g+1)*c.Images/groups; n++ {
			c.addWeights(c.partial[g], x[n*in:(n+1)*in], dy[n*out:(n+1)*out])
		}
	})
	copy(dw, c.partial[0])
	for _, part := range c.partial[1:] {
		for i, v := range part {
			dw[i] += v
		}
	}
}

// convolve makes one image: y is (height+2, width+2, out), x has rows of
// xWidth+2 pixels of in channels, w is (kernel, kernel, in, out).
func convolve(y, x, w []float32, height, width, xWidth, in, out, kernel, stride int) {
	const f = unsafe.Sizeof(float32(0))
	pad := 1 - kernel/2 // where the window of output 0 begins in the padded input
	set, vectors := choose(out)
	block := set.lanes * vectors
	length := uintptr(kernel * in)
	for k := 0; k < out; k += block {
		for row := range height {
			for col := 0; col < width; col += set.tile {
				tile := min(set.tile, width-col)
				from := ((row*stride+pad)*(xWidth+2) + col*stride + pad) * in
				to := ((row+1)*(width+2)+col+1)*out + k
				set.forward[tile][vectors](&x[from], uintptr(stride*in)*f, uintptr((xWidth+2)*in)*f, length, uintptr(kernel),
					&w[k], uintptr(out)*f, &y[to], uintptr(out)*f)
			}
		}
	}
}

// addWeights adds one image's part of the weight gradient.
func (c *Conv) addWeights(dw, x, dy []float32) {
	const f = unsafe.Sizeof(float32(0))
	pad := 1 - c.Kernel/2
	set, vectors := choose(c.Out)
	length := c.Kernel * c.In
	oh, ow := c.OutHeight(), c.OutWidth()
	for ky := range c.Kernel {
		for i := 0; i < length; i += set.tile {
			tile := min(set.tile, length-i)
			from := ((ky+pad)*(c.Width+2)+pad)*c.In + i
			for k := 0; k < c.Out; k += set.lanes * vectors {
				set.weights[tile][vectors](&x[from], uintptr(c.Stride*c.In)*f, uintptr(c.Stride*(c.Width+2)*c.In)*f, uintptr(ow), uintptr(oh),
					&dy[(ow+3)*c.Out+k], uintptr(c.Out)*f, uintptr((ow+2)*c.Out)*f, &dw[(ky*length+i)*c.Out+k], uintptr(c.Out)*f)
			}
		}
	}
}
