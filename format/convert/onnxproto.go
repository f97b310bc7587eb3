package convert

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// fields calls f for every field of a message: v for integers and fixed 32 bits, part for
// bytes.
func fields(b []byte, f func(number protowire.Number, v uint64, part []byte) error) error {
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var v uint64
		var part []byte
		switch kind {
		case protowire.VarintType:
			v, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			part, n = protowire.ConsumeBytes(b)
		case protowire.Fixed32Type:
			var x uint32
			x, n = protowire.ConsumeFixed32(b)
			v = uint64(x)
		default:
			n = protowire.ConsumeFieldValue(number, kind, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := f(number, v, part); err != nil {
			return err
		}
	}
	return nil
}

// A constant is a TensorProto: floats or integers.
type constant struct {
	name   string
	shape  []int
	floats []float32
	ints   []int
}

// repeated appends a repeated integer, which may come packed.
func repeated(list []int, v uint64, part []byte) ([]int, error) {
	if part == nil {
		return append(list, int(int64(v))), nil
	}
	for len(part) > 0 {
		x, n := protowire.ConsumeVarint(part)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		list = append(list, int(int64(x)))
		part = part[n:]
	}
	return list, nil
}

func parseTensor(b []byte) (*constant, error) {
	var c constant
	var kind uint64
	var raw []byte
	external := false
	err := fields(b, func(number protowire.Number, v uint64, part []byte) (err error) {
		switch number {
		case 1:
			c.shape, err = repeated(c.shape, v, part)
		case 2:
			kind = v
		case 4: // float_data
			if part == nil {
				c.floats = append(c.floats, math.Float32frombits(uint32(v)))
			}
			for ; len(part) >= 4; part = part[4:] {
				c.floats = append(c.floats, math.Float32frombits(binary.LittleEndian.Uint32(part)))
			}
		case 7: // int64_data
			c.ints, err = repeated(c.ints, v, part)
		case 8:
			c.name = string(part)
		case 9:
			raw = part
		case 14: // data_location
			external = v != 0
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if external {
		return nil, fmt.Errorf("the tensor %q is in a file of its own; export the model as one file", c.name)
	}
	switch kind {
	case 1:
		for ; len(raw) >= 4; raw = raw[4:] {
			c.floats = append(c.floats, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
		}
	case 7:
		for ; len(raw) >= 8; raw = raw[8:] {
			c.ints = append(c.ints, int(int64(binary.LittleEndian.Uint64(raw))))
		}
	default:
		return &c, nil // of a type that nothing here reads
	}
	n := 1
	for _, d := range c.shape {
		if d < 0 || d > 0 && n > math.MaxInt32/d {
			return nil, fmt.Errorf("the tensor %q has the shape %v", c.name, c.shape)
		}
		n *= d
	}
	if have := len(c.floats) + len(c.ints); have != n || len(raw) != 0 {
		return nil, fmt.Errorf("the tensor %q of shape %v has %d values", c.name, c.shape, have)
	}
	return &c, nil
}

// An operator is a NodeProto.
type operator struct {
	op, name, domain string
	in, out          []string
	ints             map[string][]int // attributes that are integers
	floats           map[string]float64
	tensors          map[string]*constant
	text             map[string]string
}

// one returns an attribute that is an integer.
func (o *operator) one(name string, otherwise int) int {
	if v := o.ints[name]; len(v) > 0 {
		return v[0]
	}
	return otherwise
}

func parseOperator(b []byte) (*operator, error) {
	o := &operator{ints: map[string][]int{}, floats: map[string]float64{}, tensors: map[string]*constant{}, text: map[string]string{}}
	err := fields(b, func(number protowire.Number, _ uint64, part []byte) error {
		switch number {
		case 1:
			o.in = append(o.in, string(part))
		case 2:
			o.out = append(o.out, string(part))
		case 3:
			o.name = string(part)
		case 4:
			o.op = string(part)
		case 5:
			return o.attribute(part)
		case 7:
			o.domain = string(part)
		}
		return nil
	})
	if err == nil && len(o.out) == 0 {
		err = errors.New("an operator without an output")
	}
	if o.name == "" && len(o.out) > 0 {
		o.name = o.out[0]
	}
	return o, err
}

func (o *operator) attribute(b []byte) error {
	var name string
	var ints []int
	var float *float64
	var text string
	var tensor *constant
	err := fields(b, func(number protowire.Number, v uint64, part []byte) (err error) {
		switch number {
		case 1:
			name = string(part)
		case 2:
			f := float64(math.Float32frombits(uint32(v)))
			float = &f
		case 3, 8: // i, ints
			ints, err = repeated(ints, v, part)
		case 4:
			text = string(part)
		case 5:
			tensor, err = parseTensor(part)
		}
		return err
	})
	if err != nil {
		return err
	}
	o.ints[name], o.text[name] = ints, text
	if float != nil {
		o.floats[name] = *float
	}
	if tensor != nil {
		o.tensors[name] = tensor
	}
	return nil
}

// A graphProto is what matters of a ModelProto.
type graphProto struct {
	producer  string
	metadata  map[string]string
	operators []*operator
	constants map[string]*constant
	inputs    []string
	shapes    map[string][]int // of inputs; -1: free
	outputs   []string
}

func parseModel(b []byte) (*graphProto, error) {
	g := &graphProto{metadata: map[string]string{}, constants: map[string]*constant{}, shapes: map[string][]int{}}
	found := false
	err := fields(b, func(number protowire.Number, _ uint64, part []byte) error {
		switch number {
		case 2:
			g.producer = string(part)
		case 7:
			found = true
			return g.graph(part)
		case 14:
			var key, value string
			if err := fields(part, func(number protowire.Number, _ uint64, part []byte) error {
				if number == 1 {
					key = string(part)
				} else if number == 2 {
					value = string(part)
				}
				return nil
			}); err != nil {
				return err
			}
			g.metadata[key] = value
		}
		return nil
	})
	if err == nil && !found {
		err = errors.New("it holds no graph")
	}
	return g, err
}

func (g *graphProto) graph(b []byte) error {
	return fields(b, func(number protowire.Number, _ uint64, part []byte) error {
		switch number {
		case 1:
			o, err := parseOperator(part)
			if err != nil {
				return err
			}
			g.operators = append(g.operators, o)
		case 5:
			c, err := parseTensor(part)
			if err != nil {
				return err
			}
			g.constants[c.name] = c
		case 11, 12:
			name, shape, err := parseValue(part)
			if err != nil {
				return err
			}
			if number == 12 {
				g.outputs = append(g.outputs, name)
				break
			}
			g.inputs = append(g.inputs, name)
			g.shapes[name] = shape
		}
		return nil
	})
}

// parseValue reads a ValueInfoProto: its name and dimensions.
func parseValue(b []byte) (name string, shape []int, err error) {
	err = fields(b, func(number protowire.Number, _ uint64, part []byte) error {
		if number == 1 {
			name = string(part)
		}
		if number != 2 {
			return nil
		}
		return fields(part, func(number protowire.Number, _ uint64, part []byte) error { // TypeProto
			if number != 1 {
				return nil
			}
			return fields(part, func(number protowire.Number, _ uint64, part []byte) error { // its Tensor
				if number != 2 {
					return nil
				}
				return fields(part, func(number protowire.Number, _ uint64, part []byte) error { // TensorShapeProto
					if number != 1 {
						return nil
					}
					dim := -1
					if err := fields(part, func(number protowire.Number, v uint64, _ []byte) error {
						if number == 1 && v <= math.MaxInt32 {
							dim = int(v)
						}
						return nil
					}); err != nil {
						return err
					}
					shape = append(shape, dim)
					return nil
				})
			})
		})
	})
	return name, shape, err
}
