package sla

import "github.com/quarterturn/quarterturn/format"

// A network runs the layers of a slab, one image at a time.
type network struct {
	layers  []format.Layer
	values  []*value    // value 0 is the input; values share buffers, see allocate
	weights [][]float32 // per layer, packed for its kernel
	biases  [][]float32 // per layer
}

func newNetwork(m *format.Model) *network {
	n := &network{
		layers:  m.Layers,
		values:  allocate(&m.Manifest),
		weights: make([][]float32, len(m.Layers)),
		biases:  make([][]float32, len(m.Layers)),
	}
	tensor := 0
	for i := range m.Layers {
		if l := &m.Layers[i]; l.Op == format.OpConv {
			n.weights[i] = packConv(m.Weights[tensor], l.Out, n.values[l.Input].shape.Channels, l.Kernel)
			n.biases[i] = m.Weights[tensor+1]
			tensor += 2
		}
	}
	return n
}

// forward runs the layers on value 0 and writes the feature, the mean of the
// last map, to z. observe, if not nil, sees each layer's output as it is made.
func (n *network) forward(z []float32, observe func(layer int, out *value)) {
	for i := range n.layers {
		l := &n.layers[i]
		in, out := n.values[l.Input], n.values[i+1]
		switch l.Op {
		case format.OpConv:
			var residual *value
			if l.Residual != 0 {
				residual = n.values[l.Residual]
			}
			conv(out, in, residual, l, n.weights[i], n.biases[i])
		case format.OpShortcut:
			shortcut(out, in, l.Stride)
		case format.OpMax:
			largest(out, in, l.Stride)
		case format.OpMean:
			mean(out, in)
		}
		if observe != nil {
			observe(i, out)
		}
	}
	last := n.values[len(n.layers)]
	copy(z, last.data)
}

// shortcut is the parameter-free shortcut of the CIFAR ResNet (option A of He
// et al. 2015): every stride-th pixel, and zero for the channels that are new.
func shortcut(out, in *value, stride int) {
	for c := range out.shape.Channels {
		for y := range out.shape.Height {
			row := out.row(c, y)
			if c >= in.shape.Channels {
				clear(row)
				continue
			}
			from := in.row(c, y*stride)
			for x := range row {
				row[x] = from[x*stride]
			}
		}
	}
}

// largest is max pooling over the part of a 3x3 window that lies in the image.
func largest(out, in *value, stride int) {
	for c := range out.shape.Channels {
		for y := range out.shape.Height {
			row := out.row(c, y)
			for x := range row {
				top := in.row(c, y*stride)[x*stride]
				for i := max(0, y*stride-1); i < min(in.shape.Height, y*stride+2); i++ {
					for _, v := range in.row(c, i)[max(0, x*stride-1):min(in.shape.Width, x*stride+2)] {
						if v > top {
							top = v
						}
					}
				}
				row[x] = top
			}
		}
	}
}

// mean is global average pooling: rows are summed left to right, top to bottom.
func mean(out, in *value) {
	for c := range in.shape.Channels {
		var sum float32
		for y := range in.shape.Height {
			for _, v := range in.row(c, y) {
				sum += v
			}
		}
		out.data[out.at(c, 0, 0)] = sum / float32(in.shape.Height*in.shape.Width)
	}
}
