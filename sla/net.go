package sla

import "github.com/quarterturn/quarterturn/format"

// A network runs the layers of a slab, one image at a time.
type network struct {
	layers []format.Layer
	values []*value       // value 0 is the input; values share buffers, see allocate
	convs  []*convolution // per layer, nil for another
	shared *scratch
}

func newNetwork(m *format.Model) *network {
	n := &network{
		layers: m.Layers,
		values: allocate(&m.Manifest),
		convs:  make([]*convolution, len(m.Layers)),
		shared: &scratch{},
	}
	tensor := 0
	for i := range m.Layers {
		if l := &m.Layers[i]; l.Op == format.OpConv {
			n.convs[i] = newConvolution(l, n.values[l.Input], n.values[i+1], m.Weights[tensor], m.Weights[tensor+1], n.shared)
			tensor += 2
		}
	}
	return n
}

// step runs layer i, and gives its output and the multiply-adds that it took.
func (n *network) step(i int) (out *value, macs int) {
	l := &n.layers[i]
	in, out := n.values[l.Input], n.values[i+1]
	switch l.Op {
	case format.OpConv:
		var residual *value
		if l.Residual != 0 {
			residual = n.values[l.Residual]
		}
		n.convs[i].run(out, in, residual)
		macs = out.shape.Elements() * in.shape.Channels * l.Kernel * l.Kernel
	case format.OpShortcut:
		shortcut(out, in, l.Stride)
	case format.OpMax:
		if l.Kernel == 2 {
			maxPool2(out, in)
		} else {
			maxPool3(out, in, l.Stride)
		}
	case format.OpMean:
		mean(out, in)
	}
	return out, macs
}

// shortcut is the parameter-free shortcut of the CIFAR ResNet (option A of He
// et al. 2015): every stride-th pixel, and zero for the channels that are new.
func shortcut(out, in *value, stride int) {
	for y := range out.shape.Height {
		for x := range out.shape.Width {
			to := out.pixel(y, x)
			clear(to[copy(to, in.pixel(y*stride, x*stride)):])
		}
	}
}

// maxPool2 is max pooling over 2x2 windows, two pixels apart.
func maxPool2(out, in *value) {
	for y := range out.shape.Height {
		for x := range out.shape.Width {
			top := out.pixel(y, x)
			a, b := in.pixel(2*y, 2*x)[:len(top)], in.pixel(2*y, 2*x+1)[:len(top)]
			c, d := in.pixel(2*y+1, 2*x)[:len(top)], in.pixel(2*y+1, 2*x+1)[:len(top)]
			for k, v := range a {
				if b[k] > v {
					v = b[k]
				}
				if c[k] > v {
					v = c[k]
				}
				if d[k] > v {
					v = d[k]
				}
				top[k] = v
			}
		}
	}
}

// maxPool3 is max pooling over the part of a 3x3 window that lies in the image.
func maxPool3(out, in *value, stride int) {
	for y := range out.shape.Height {
		for x := range out.shape.Width {
			top := out.pixel(y, x)
			copy(top, in.pixel(y*stride, x*stride))
			for i := max(0, y*stride-1); i < min(in.shape.Height, y*stride+2); i++ {
				for j := max(0, x*stride-1); j < min(in.shape.Width, x*stride+2); j++ {
					for c, v := range in.pixel(i, j) {
						if v > top[c] {
							top[c] = v
						}
					}
				}
			}
		}
	}
}

// mean is global average pooling: pixels are summed left to right, top to bottom.
func mean(out, in *value) {
	sum := out.pixel(0, 0)
	clear(sum)
	for y := range in.shape.Height {
		for x := range in.shape.Width {
			for c, v := range in.pixel(y, x) {
				sum[c] += v
			}
		}
	}
	for c := range sum {
		sum[c] /= float32(in.shape.Height * in.shape.Width)
	}
}
