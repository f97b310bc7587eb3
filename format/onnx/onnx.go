package onnx

import (
	"encoding/binary"
	"math"
	"slices"

	"github.com/quarterturn/quarterturn/format"
)

// A message is a protocol buffer under construction. Field numbers in this file
// are those of onnx.proto (https://github.com/onnx/onnx, IR version 8).
type message []byte

func (m *message) integer(field, v int) {
	*m = binary.AppendUvarint(*m, uint64(field<<3))
	*m = binary.AppendUvarint(*m, uint64(v))
}

func (m *message) bytes(field int, b []byte) {
	*m = binary.AppendUvarint(*m, uint64(field<<3|2))
	*m = binary.AppendUvarint(*m, uint64(len(b)))
	*m = append(*m, b...)
}

func (m *message) string(field int, s string) { m.bytes(field, []byte(s)) }

// Values of TensorProto.DataType and AttributeProto.AttributeType.
const (
	float32Type, int64Type         = 1, 7
	integerAttribute, intAttribute = 2, 7
)

// A graph is a GraphProto under construction.
type graph struct{ message }

// An attribute of an operator is a list of integers, or one.
type attribute struct {
	name   string
	values []int
	single bool
}

// node adds an operator; its output is called like it.
func (g *graph) node(op, name string, inputs []string, attributes ...attribute) string {
	var n message
	for _, in := range inputs {
		n.string(1, in)
	}
	n.string(2, name)
	n.string(3, name)
	n.string(4, op)
	for _, a := range attributes {
		var m message
		m.string(1, a.name)
		field, kind := 8, intAttribute
		if a.single {
			field, kind = 3, integerAttribute
		}
		for _, v := range a.values {
			m.integer(field, v)
		}
		m.integer(20, kind)
		n.bytes(5, m)
	}
	g.bytes(1, n)
	return name
}

// tensor adds an initializer, little-endian in raw, and gives its name.
func (g *graph) tensor(name string, kind int, shape []int, raw []byte) string {
	var t message
	for _, d := range shape {
		t.integer(1, d)
	}
	t.integer(2, kind)
	t.string(8, name)
	t.bytes(9, raw)
	g.bytes(5, t)
	return name
}

func (g *graph) floats(name string, shape []int, v []float32) string {
	raw := make([]byte, 0, 4*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return g.tensor(name, float32Type, shape, raw)
}

func (g *graph) integers(name string, v ...int) string {
	raw := make([]byte, 0, 8*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(x))
	}
	return g.tensor(name, int64Type, []int{len(v)}, raw)
}

// value adds an input (field 11) or output (12): N of so many float32s, N free.
func (g *graph) value(field int, name string, shape ...int) {
	var free, dims, tensor, kind, v message
	free.string(2, "N")
	dims.bytes(1, free)
	for _, d := range shape {
		var dim message
		dim.integer(1, d)
		dims.bytes(1, dim)
	}
	tensor.integer(1, float32Type)
	tensor.bytes(2, dims)
	kind.bytes(1, tensor)
	v.string(1, name)
	v.bytes(2, kind)
	g.bytes(field, v)
}

// Encode gives the net and the heads of a model, which must be valid, as an ONNX
// model of opset 13.
func Encode(m *format.Model) []byte {
	var g graph
	g.string(2, m.Name)
	g.value(11, "image", m.Input.Channels, m.Input.Height, m.Input.Width)
	tensors, weights := m.TensorShapes(), m.Weights
	next := func() string {
		name := g.floats(tensors[0].Name, tensors[0].Shape, weights[0])
		tensors, weights = tensors[1:], weights[1:]
		return name
	}
	shapes := m.Shapes()
	values := []string{"image"}
	for i := range m.Layers {
		l := &m.Layers[i]
		values = append(values, g.layer(l, values, shapes[l.Input], next))
	}
	features := g.node("Flatten", "features", values[len(values)-1:])
	for _, h := range m.Heads {
		name := h.Kind
		if h.Scale != 0 {
			name += "/sum"
		}
		sum := g.node("Gemm", name, []string{features, next(), next()}, attribute{"transB", []int{1}, true})
		if h.Scale != 0 {
			length := g.node("ReduceL2", h.Kind+"/length", []string{features}, attribute{name: "axes", values: []int{1}})
			cosine := g.node("Div", h.Kind+"/cosine", []string{sum, length})
			g.node("Mul", h.Kind, []string{cosine, g.floats(h.Kind+"/scale", []int{1}, []float32{h.Scale})})
		}
		g.value(12, h.Kind, m.Outputs(h.Kind))
	}

	var opset, model message
	opset.integer(2, 13)
	model.integer(1, 8)
	model.string(2, "quarterturn")
	model.bytes(7, g.message)
	model.bytes(8, opset)
	return model
}

// layer adds the operators of a layer and gives the name of its output; next
// takes the next tensor of the slab.
func (g *graph) layer(l *format.Layer, values []string, in format.Shape, next func() string) string {
	x := values[l.Input : l.Input+1]
	pads := attribute{name: "pads", values: slices.Repeat([]int{(l.Kernel - 1) / 2}, 4)}
	strides := attribute{name: "strides", values: []int{l.Stride, l.Stride}}
	kernel := attribute{name: "kernel_shape", values: []int{l.Kernel, l.Kernel}}
	switch l.Op {
	case format.OpMax:
		return g.node("MaxPool", l.Name, x, kernel, pads, strides)
	case format.OpMean:
		return g.node("GlobalAveragePool", l.Name, x)
	case format.OpShortcut:
		picked := g.node("Slice", l.Name+"/pick", []string{x[0], g.integers(l.Name+"/starts", 0, 0),
			g.integers(l.Name+"/ends", in.Height, in.Width), g.integers(l.Name+"/axes", 2, 3), g.integers(l.Name+"/steps", l.Stride, l.Stride)})
		return g.node("Pad", l.Name, []string{picked, g.integers(l.Name+"/pads", 0, 0, 0, 0, 0, l.Out-in.Channels, 0, 0)})
	}
	// What follows the convolution is named so that the last step has the layer's name.
	steps := []string{"Conv"}
	if l.Residual != 0 {
		steps = append(steps, "Add")
	}
	if l.ReLU {
		steps = append(steps, "Relu")
	}
	out := ""
	for i, op := range steps {
		name := l.Name
		if i < len(steps)-1 {
			name += "/" + op
		}
		switch op {
		case "Conv":
			out = g.node(op, name, []string{x[0], next(), next()}, kernel, pads, strides)
		case "Add":
			out = g.node(op, name, []string{out, values[l.Residual]})
		case "Relu":
			out = g.node(op, name, []string{out})
		}
	}
	return out
}
