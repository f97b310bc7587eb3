package sla

import (
	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla/internal/kernel"
)

// A network runs the layers of a slab: the first ones a view at a time, those behind them
// for a group of views together.
type network struct {
	layers   []format.Layer
	group    int            // views of a group, at most
	from     int            // the first layer that a group goes through together
	operands [][]operands   // per layer, for each view of a group; values share memory, see planOf
	inputs   []*value       // of each view of a group
	convs    []*convolution // per layer, nil for another
	costs    [][]cost       // per number of views, less one, and layer
}

// newNetwork allocates the values and packs the weights of a model.
func newNetwork(m *format.Model) *network {
	p := planOf(&m.Manifest)
	n, s := p.allocate(m.Layers)
	packed := make([]float32, p.packed) // in one piece: the collector runs once for it, not thirty times
	tensor := 0
	for i := range m.Layers {
		if l := &m.Layers[i]; l.Op == format.OpConv {
			n.convs[i], packed = newConvolution(l, n.operands[i][0].in, n.operands[i][0].out, m.Weights[tensor], m.Weights[tensor+1], packed, s)
			tensor += 2
		}
	}
	return n
}

// twin is a network of the same weights with values of its own.
func (n *network) twin(m *format.Manifest) *network {
	t, s := planOf(m).allocate(m.Layers)
	for i, c := range n.convs {
		if c != nil {
			t.convs[i] = &convolution{layer: c.layer, winograd: c.winograd, weights: c.weights, bias: c.bias, scratch: s}
		}
	}
	return t
}

// allocate makes a network without its convolutions, and the scratch that they will share.
func (p *plan) allocate(layers []format.Layer) (*network, *scratch) {
	for _, v := range p.values {
		v.allocate()
	}
	n := &network{layers: layers, group: p.group, from: p.from, operands: p.operands, inputs: p.inputs, convs: make([]*convolution, len(layers)), costs: p.costs}
	return n, p.scratch.allocate()
}

// run goes on with layer i at one of its parts, for some views of a group, until the layer is
// complete or about so much work is done. It returns the part that comes next, 0 once the
// layer is complete, and what is left of the work.
func (n *network) run(i, part, first, count, work int) (next, left int) {
	views, single, cost := n.operands[i][first:first+count], n.costs[0][i].parts, n.costs[count-1][i]
	for {
		if c := n.convs[i]; c != nil && c.winograd {
			c.runWinograd(part, views)
		} else {
			n.runPart(i, part%single, &views[part/single])
		}
		part, work = part+1, work-cost.each
		if part == cost.parts {
			return 0, work
		}
		if work <= 0 {
			return part, work
		}
	}
}

// runPart computes a part of layer i for a view.
func (n *network) runPart(i, part int, v *operands) {
	switch l := &n.layers[i]; l.Op {
	case format.OpConv:
		n.convs[i].runDirect(part, v)
	case format.OpShortcut:
		shortcut(part, v.out, v.in, l.Stride)
	case format.OpMax:
		if l.Kernel == 2 {
			maxPool2(part, v.out, v.in)
		} else {
			maxPool3(part, v.out, v.in, l.Stride)
		}
	case format.OpMean:
		mean(part, v.out, v.in)
	}
}

// rowPart is the pixels of a row, at most, that are a part of a layer; a multiple of
// kernel.MR.
const rowPart = 64

// partsOf is how many parts the pixels of v are.
func partsOf(v *value) int { return v.shape.Height * ((v.shape.Width + rowPart - 1) / rowPart) }

// pixelsOf returns the row of a part of v, and the first of its pixels and the one after the last.
func pixelsOf(v *value, part int) (y, first, last int) {
	across := (v.shape.Width + rowPart - 1) / rowPart
	y, first = part/across, part%across*rowPart
	return y, first, min(v.shape.Width, first+rowPart)
}

// shortcut makes a part of the parameter-free shortcut of the CIFAR ResNet (option A of
// He et al. 2015): every stride-th pixel, and zero for the channels that are new.
func shortcut(part int, out, in *value, stride int) {
	y, first, last := pixelsOf(out, part)
	from, to := in.at(y*stride, first*stride), out.at(y, first)
	for range last - first {
		pixel := out.data[to : to+out.shape.Channels]
		clear(pixel[copy(pixel, in.data[from:from+in.shape.Channels]):])
		from, to = from+stride*in.pitch, to+out.pitch
	}
}

// maxPool2 makes a part of max pooling over 2x2 windows, two pixels apart.
func maxPool2(part int, out, in *value) {
	y, first, last := pixelsOf(out, part)
	kernel.MaxPool2(&kernel.MaxPool2Args{X: &in.data[in.at(2*y, 2*first)], Y: &out.data[out.at(y, first)], Pixels: last - first,
		Channels: out.shape.Channels, XRowStride: in.stride, XStride: in.pitch, YStride: out.pitch})
}

// maxPool3 makes a part of max pooling over the part of a 3x3 window that lies in the image.
func maxPool3(part int, out, in *value, stride int) {
	y, first, last := pixelsOf(out, part)
	for x := first; x < last; x++ {
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

// mean adds a part to global average pooling: pixels are summed left to right, top to
// bottom. The last part completes it.
func mean(part int, out, in *value) {
	sum := out.pixel(0, 0)
	if part == 0 {
		clear(sum)
	}
	y, first, last := pixelsOf(in, part)
	kernel.SumPixels(&kernel.SumPixelsArgs{X: &in.data[in.at(y, first)], Y: &sum[0], Pixels: last - first, Channels: len(sum), XStride: in.pitch})
	if part == partsOf(in)-1 {
		for c := range sum {
			sum[c] /= float32(in.shape.Height * in.shape.Width)
		}
	}
}
