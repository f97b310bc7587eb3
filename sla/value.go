package sla

import "github.com/quarterturn/quarterturn/format"

// A value is one activation: C planes of (H+2B) rows of (W+2B) floats, with a
// border of B zeros around each plane, so that convolutions need not look where
// the edge is.
type value struct {
	shape  format.Shape
	border int
	stride int       // floats from one row to the next: W + 2B
	plane  int       // floats from one plane to the next
	data   []float32 // C * plane
}

// overread is how many floats past the end of a value a kernel may read: what
// belongs to outputs that nobody wants.
const overread = 16

func newValue(shape format.Shape, border int) *value {
	v := &value{shape: shape, border: border, stride: shape.Width + 2*border}
	v.plane = (shape.Height + 2*border) * v.stride
	n := shape.Channels * v.plane
	v.data = make([]float32, n+overread)[:n]
	return v
}

// at is the index of pixel (y, x) of plane c; y and x may reach into the border.
func (v *value) at(c, y, x int) int {
	return c*v.plane + (y+v.border)*v.stride + x + v.border
}

// row is the inner part of row y of plane c.
func (v *value) row(c, y int) []float32 {
	i := v.at(c, y, 0)
	return v.data[i : i+v.shape.Width : i+v.shape.Width]
}

// borders gives the border that each value needs: the widest padding of the
// convolutions that read it.
func borders(layers []format.Layer) []int {
	b := make([]int, len(layers)+1)
	for _, l := range layers {
		b[l.Input] = max(b[l.Input], l.Kernel/2)
	}
	return b
}

// allocate gives every value of a net its buffer. A buffer is used again, for a
// value of the same shape and border, once its last reader has run.
func allocate(m *format.Manifest) []*value {
	shapes, border := m.Shapes(), borders(m.Layers)
	lastUse := make([]int, len(shapes)) // the last layer that reads a value
	for i, l := range m.Layers {
		lastUse[l.Input] = i
		if l.Residual != 0 {
			lastUse[l.Residual] = i
		}
	}
	type kind struct {
		format.Shape
		border int
	}
	free := map[kind][]*value{}
	values := make([]*value, len(shapes))
	for i := range shapes {
		k := kind{shapes[i], border[i]}
		if n := len(free[k]); n > 0 {
			values[i], free[k] = free[k][n-1], free[k][:n-1]
		} else {
			values[i] = newValue(shapes[i], border[i])
		}
		// Value i is the output of layer i-1: what that layer was the last to
		// read is free for the layers after it.
		for j := range i {
			if lastUse[j] == i-1 {
				kj := kind{shapes[j], border[j]}
				free[kj] = append(free[kj], values[j])
			}
		}
	}
	return values
}
