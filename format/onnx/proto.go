package onnx

import (
	"encoding/binary"
	"fmt"
	"math"
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
	float32Type, uint8Type, int64Type, float64Type = 1, 2, 7, 11

	integerAttribute, intAttribute = 2, 7
)

// A graph is a GraphProto under construction.
type graph struct {
	message
	named map[string]bool // the constants that are there already
}

// An attribute of an operator is a list of integers, or one.
type attribute struct {
	name   string
	values []int
	single bool
}

// one is an attribute that is a single integer.
func one(name string, v int) attribute { return attribute{name, []int{v}, true} }

// list is an attribute that is a list of integers.
func list(name string, v ...int) attribute { return attribute{name, v, false} }

// op adds an operator; its output has its name.
func (g *graph) op(op, name string, inputs ...string) string { return g.node(op, name, inputs) }

// node adds an operator; its first output has its name.
func (g *graph) node(op, name string, inputs []string, attributes ...attribute) string {
	var n message
	for _, in := range inputs {
		n.string(1, in)
	}
	n.string(2, name)
	if op == "TopK" { // has two outputs
		n.string(2, name+"/indices")
	}
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

// tensor adds an initializer, little-endian in raw, and returns its name. One that is
// there already under that name is taken to be the same.
func (g *graph) tensor(name string, kind int, shape []int, raw []byte) string {
	if g.named[name] {
		return name
	}
	g.named[name] = true
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

// floats adds a float32 constant.
func (g *graph) floats(name string, shape []int, v []float32) string {
	raw := make([]byte, 0, 4*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return g.tensor(name, float32Type, shape, raw)
}

// integers adds a list of int64s.
func (g *graph) integers(name string, v ...int) string {
	return g.int64s(name, []int{len(v)}, v...)
}

func (g *graph) int64s(name string, shape []int, v ...int) string {
	raw := make([]byte, 0, 8*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint64(raw, uint64(x))
	}
	return g.tensor(name, int64Type, shape, raw)
}

// value adds an input (field 11) or output (12) of some data type. A dimension is an
// int, or a string that names a free one.
func (g *graph) value(field int, name string, dataType int, shape ...any) {
	var dims, tensor, kind, v message
	for _, d := range shape {
		var dim message
		switch d := d.(type) {
		case int:
			dim.integer(1, d)
		case string:
			dim.string(2, d)
		}
		dims.bytes(1, dim)
	}
	tensor.integer(1, dataType)
	tensor.bytes(2, dims)
	kind.bytes(1, tensor)
	v.string(1, name)
	v.bytes(2, kind)
	g.bytes(field, v)
}

// scalar adds a float32 constant.
func (g *graph) scalar(v float32) string {
	return g.floats(fmt.Sprintf("float %v", v), nil, []float32{v})
}

// double adds a float64 constant.
func (g *graph) double(v float64) string {
	return g.tensor(fmt.Sprintf("double %v", v), float64Type, nil, binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)))
}
