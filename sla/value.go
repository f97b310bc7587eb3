package sla

import (
	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla/internal/kernel"
)

// A value is one activation: rows of pixels of channels (NHWC), with a border of
// zero pixels all around, so that convolutions need not look where the edge is.
// Channels are filled up with zeros to whole groups, except in the input of the
// network, which no kernel reads by groups.
type value struct {
	shape  format.Shape
	border int
	pitch  int // floats from one pixel to the next
	stride int // floats from one row to the next
	data   []float32
}

// overread is how many pixels past the end of a value a kernel may read: what
// belongs to outputs that nobody wants.
const overread = 8

// newValue is a value without its memory.
func newValue(shape format.Shape, border, pitch int) *value {
	return &value{shape: shape, border: border, pitch: pitch, stride: pitch * (shape.Width + 2*border)}
}

// floats is what allocate takes.
func (v *value) floats() int { return (v.shape.Height+2*v.border)*v.stride + overread*v.pitch }

func (v *value) allocate() {
	n := v.floats()
	v.data = make([]float32, n)[:n-overread*v.pitch]
}

// padded is the number of channels filled up to whole groups.
func padded(channels int) int {
	return (channels + kernel.ChannelGroup - 1) / kernel.ChannelGroup * kernel.ChannelGroup
}

// at is the index of pixel (y, x), which may lie in the border.
func (v *value) at(y, x int) int {
	return (y+v.border)*v.stride + (x+v.border)*v.pitch
}

// row is the inner part of row y: its pixels, with their padding.
func (v *value) row(y int) []float32 {
	i := v.at(y, 0)
	return v.data[i : i+v.shape.Width*v.pitch]
}

// pixel is the channels of pixel (y, x).
func (v *value) pixel(y, x int) []float32 {
	i := v.at(y, x)
	return v.data[i : i+v.shape.Channels]
}

// borders returns the border that each value needs: the widest padding of the
// convolutions that read it.
func borders(layers []format.Layer) []int {
	b := make([]int, len(layers)+1)
	for _, l := range layers {
		b[l.Input] = max(b[l.Input], l.Kernel/2)
	}
	return b
}

// groupSize is how many views of an image, at most, go through the later layers together.
const groupSize = 4

// groupFrom is the first layer that several views go through together: from there on a view
// has fewer tiles than a block, and their weights take longer to read than to multiply. A
// layer before it has enough tiles of its own, and values that are not to be there more than
// once.
func groupFrom(m *format.Manifest) int {
	shapes, from := m.Shapes(), len(m.Layers)
	for i := len(m.Layers) - 1; i >= 0; i-- {
		if _, tiles := tilesOf(shapes[i+1]); tiles >= tileBlock {
			break
		}
		if usesWinograd(&m.Layers[i], shapes[i+1]) {
			from = i
		}
	}
	return from
}

// operands are what a layer reads and writes of a view.
type operands struct{ out, in, residual *value }

// valuesOf returns, for each view of a group that goes together through the layers from one
// on, the input and the operands of each layer, and all of these values once, without their
// memory. What only the layers before that one read and write is the same for all views. A
// value takes the place of an earlier one, of the same shape and border, whose last reader
// has run.
func valuesOf(m *format.Manifest, group, from int) (inputs []*value, layers [][]operands, all []*value) {
	shapes, border := m.Shapes(), borders(m.Layers)
	lastUse := make([]int, len(shapes)) // the last layer that reads a value
	for i, l := range m.Layers {
		lastUse[l.Input] = i
		if l.Residual != 0 {
			lastUse[l.Residual] = i
		}
	}
	var places [][]*value // each is that of one value, or of one for each view
	var until []int       // the last layer that reads the value in a place
	take := func(i, pitch, last int) []*value {
		p := make([]*value, 1)
		if i > from || lastUse[i] >= from {
			p = make([]*value, group)
		}
		for k := range p {
			p[k] = newValue(shapes[i], border[i], pitch)
		}
		all, places, until = append(all, p...), append(places, p), append(until, last)
		return p
	}
	values := [][]*value{take(0, shapes[0].Channels, len(shapes))} // nobody takes the place of the input
	for i := 1; i < len(shapes); i++ {                             // value i is the output of layer i-1
		single := i <= from && lastUse[i] < from
		k := 0
		for k < len(places) && (places[k][0].shape != shapes[i] || places[k][0].border != border[i] || until[k] >= i-1 || single != (len(places[k]) == 1)) {
			k++
		}
		if k == len(places) {
			take(i, padded(shapes[i].Channels), 0)
		}
		until[k] = lastUse[i]
		values = append(values, places[k])
	}
	of := func(i, view int) *value { return values[i][min(view, len(values[i])-1)] }
	layers = make([][]operands, len(m.Layers))
	for view := range group {
		inputs = append(inputs, of(0, view))
		for i, l := range m.Layers {
			o := operands{out: of(i+1, view), in: of(l.Input, view)}
			if l.Residual != 0 {
				o.residual = of(l.Residual, view)
			}
			layers[i] = append(layers[i], o)
		}
	}
	return inputs, layers, all
}
