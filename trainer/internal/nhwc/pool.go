package nhwc

import "github.com/quarterturn/quarterturn/trainer/internal/parallel"

// A Pool is max pooling over 3x3 windows, two pixels apart, of padded NHWC images
// without negative values, so that a border of zeros changes nothing.
type Pool struct{ Images, Height, Width, Channels int }

// OutHeight is the height of the output, without its border.
func (p *Pool) OutHeight() int { return (p.Height + 1) / 2 }

// OutWidth is the width of the output, without its border.
func (p *Pool) OutWidth() int { return (p.Width + 1) / 2 }

// windows calls f for every output pixel of every image, with the index of its
// first float and that of the first float of its window.
func (p *Pool) windows(f func(window, out int)) {
	in, out := Padded(p.Height, p.Width, p.Channels), Padded(p.OutHeight(), p.OutWidth(), p.Channels)
	parallel.For(p.Images, func(_, n int) {
		for y := range p.OutHeight() {
			for x := range p.OutWidth() {
				f(n*in+(2*y*(p.Width+2)+2*x)*p.Channels, n*out+((y+1)*(p.OutWidth()+2)+x+1)*p.Channels)
			}
		}
	})
}

// at is the distance of pixel k of a window from its first.
func (p *Pool) at(k int) int { return (k/3*(p.Width+2) + k%3) * p.Channels }

// Forward writes the inner part of y.
func (p *Pool) Forward(y, x []float32) {
	p.windows(func(window, out int) {
		to := y[out : out+p.Channels]
		copy(to, x[window:])
		for k := 1; k < 9; k++ {
			for c, v := range x[window+p.at(k):][:p.Channels] {
				to[c] = max(to[c], v)
			}
		}
	})
}

// Backward writes the gradient of x: all of an output's goes to the first of the
// largest values of its window, as in PyTorch.
func (p *Pool) Backward(dx, x, y, dy []float32) {
	clear(dx)
	p.windows(func(window, out int) {
		for c := range p.Channels {
			for k := range 9 {
				if i := window + p.at(k) + c; x[i] == y[out+c] {
					dx[i] += dy[out+c]
					break
				}
			}
		}
	})
}
