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

// valuesOf returns the values of a net, without their memory, and each place that they
// take once: a value takes that of an earlier one, of the same shape and border, whose
// last reader has run.
func valuesOf(m *format.Manifest) (values, places []*value) {
	shapes, border := m.Shapes(), borders(m.Layers)
	lastUse := make([]int, len(shapes)) // the last layer that reads a value
	for i, l := range m.Layers {
		lastUse[l.Input] = i
		if l.Residual != 0 {
			lastUse[l.Residual] = i
		}
	}
	values = append(values, newValue(shapes[0], border[0], shapes[0].Channels))
	places = append(places, values[0])
	until := []int{len(shapes)}        // the last layer that reads the value in a place; none takes that of the input
	for i := 1; i < len(shapes); i++ { // value i is the output of layer i-1
		k := 0
		for k < len(places) && (places[k].shape != shapes[i] || places[k].border != border[i] || until[k] >= i-1) {
			k++
		}
		if k == len(places) {
			places = append(places, newValue(shapes[i], border[i], padded(shapes[i].Channels)))
			until = append(until, 0)
		}
		until[k] = lastUse[i]
		values = append(values, places[k])
	}
	return values, places
}
