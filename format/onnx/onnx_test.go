package onnx

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/sla"
)

// fields lists a message's fields by number: integers, and bytes.
func fields(t *testing.T, b []byte) (ints map[protowire.Number][]int, parts map[protowire.Number][][]byte) {
	t.Helper()
	ints, parts = map[protowire.Number][]int{}, map[protowire.Number][][]byte{}
	for len(b) > 0 {
		number, kind, n := protowire.ConsumeTag(b)
		b = b[max(n, 0):]
		switch kind {
		case protowire.VarintType:
			var v uint64
			v, n = protowire.ConsumeVarint(b)
			ints[number] = append(ints[number], int(v))
		case protowire.BytesType:
			var v []byte
			v, n = protowire.ConsumeBytes(b)
			parts[number] = append(parts[number], v)
		default:
			t.Fatalf("field %d has wire type %d", number, kind)
		}
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		b = b[n:]
	}
	return ints, parts
}

// A tensor of one image, without the dimension N: (C, H, W), or (C).
type tensor struct {
	c, h, w int
	v       []float64
}

func (x tensor) at(c, y, col int) float64 {
	if y < 0 || y >= x.h || col < 0 || col >= x.w {
		return 0
	}
	return x.v[(c*x.h+y)*x.w+col]
}

// A node is an operator of the graph under test.
type node struct {
	op     string
	inputs []string
	attr   map[string][]int
}

// evaluate runs a node as the ONNX operator specification says, opset 13.
func evaluate(t *testing.T, n node, values map[string]tensor, weights map[string][]float64, integers map[string][]int) tensor {
	x := values[n.inputs[0]]
	window := func(out int, f func(c, y, col int) float64) tensor {
		k, s, p := n.attr["kernel_shape"], n.attr["strides"], n.attr["pads"]
		r := tensor{c: out, h: (x.h+p[0]+p[2]-k[0])/s[0] + 1, w: (x.w+p[1]+p[3]-k[1])/s[1] + 1}
		for c := range r.c {
			for y := range r.h {
				for col := range r.w {
					r.v = append(r.v, f(c, y*s[0]-p[0], col*s[1]-p[1]))
				}
			}
		}
		return r
	}
	switch n.op {
	case "Conv":
		w, bias, k := weights[n.inputs[1]], weights[n.inputs[2]], n.attr["kernel_shape"][0]
		return window(len(bias), func(o, y, col int) float64 {
			sum := bias[o]
			for c := range x.c {
				for i := range k * k {
					sum += w[(o*x.c+c)*k*k+i] * x.at(c, y+i/k, col+i%k)
				}
			}
			return sum
		})
	case "MaxPool":
		k := n.attr["kernel_shape"][0]
		return window(x.c, func(c, y, col int) float64 {
			top := math.Inf(-1)
			for i := range k * k {
				if r, s := y+i/k, col+i%k; r >= 0 && r < x.h && s >= 0 && s < x.w {
					top = max(top, x.at(c, r, s))
				}
			}
			return top
		})
	case "Add":
		y := values[n.inputs[1]]
		out := tensor{x.c, x.h, x.w, nil}
		for i, v := range x.v {
			out.v = append(out.v, v+y.v[i])
		}
		return out
	case "Relu":
		out := tensor{x.c, x.h, x.w, nil}
		for _, v := range x.v {
			out.v = append(out.v, max(0, v))
		}
		return out
	case "Slice":
		starts, ends, axes, steps := integers[n.inputs[1]], integers[n.inputs[2]], integers[n.inputs[3]], integers[n.inputs[4]]
		if axes[0] != 2 || axes[1] != 3 || starts[0] != 0 || starts[1] != 0 {
			t.Fatalf("slice %v from %v", axes, starts)
		}
		out := tensor{c: x.c, h: (ends[0] + steps[0] - 1) / steps[0], w: (ends[1] + steps[1] - 1) / steps[1]}
		for i := range out.c * out.h * out.w {
			out.v = append(out.v, x.at(i/(out.h*out.w), i/out.w%out.h*steps[0], i%out.w*steps[1]))
		}
		return out
	case "Pad":
		p := integers[n.inputs[1]]
		return tensor{x.c + p[5], x.h, x.w, append(x.v[:len(x.v):len(x.v)], make([]float64, p[5]*x.h*x.w)...)}
	case "GlobalAveragePool":
		out := tensor{x.c, 1, 1, make([]float64, x.c)}
		for i, v := range x.v {
			out.v[i/(x.h*x.w)] += v / float64(x.h*x.w)
		}
		return out
	case "Flatten":
		return x
	case "Gemm":
		w, bias := weights[n.inputs[1]], weights[n.inputs[2]]
		out := tensor{c: len(bias), h: 1, w: 1}
		for k, b := range bias {
			for i, v := range x.v {
				b += w[k*len(x.v)+i] * v
			}
			out.v = append(out.v, b)
		}
		return out
	}
	t.Fatalf("operator %s", n.op)
	return tensor{}
}

// The graph, evaluated by the letter of the operators' specification, computes the
// logits that the slab computes.
func TestGraphGivesTheSlabsLogits(t *testing.T) {
	for _, channels := range []int{1, 3} {
		m := formattest.Tiny(channels)
		m.Layers = append(m.Layers[:5:5], format.Layer{Name: "pool", Op: format.OpMax, Input: 5, Out: 5, Kernel: map[int]int{1: 2, 3: 3}[channels], Stride: 2}, m.Layers[5])
		m.Layers[6].Input = 6
		if err := m.Validate(); err != nil {
			t.Fatal(err)
		}
		b, err := Encode(m, Options{Mode: Heads})
		if err != nil {
			t.Fatal(err)
		}
		ints, parts := fields(t, b)
		_, opset := fields(t, parts[8][0])
		if versions, _ := fields(t, parts[8][0]); ints[1][0] != 8 || versions[2][0] != 13 || len(opset) != 0 {
			t.Errorf("IR version %v, opset %v", ints[1], versions)
		}
		_, graph := fields(t, parts[7][0])
		weights, integers := map[string][]float64{}, map[string][]int{}
		for _, b := range graph[5] {
			i, p := fields(t, b)
			name, raw := string(p[8][0]), p[9][0]
			size := 1
			for _, d := range i[1] {
				size *= d
			}
			if i[2][0] == int64Type {
				for ; len(raw) > 0; raw = raw[8:] {
					integers[name] = append(integers[name], int(binary.LittleEndian.Uint64(raw)))
				}
			} else {
				for ; len(raw) > 0; raw = raw[4:] {
					weights[name] = append(weights[name], float64(math.Float32frombits(binary.LittleEndian.Uint32(raw))))
				}
			}
			if len(weights[name])+len(integers[name]) != size {
				t.Errorf("%s has %d elements of %v", name, len(weights[name])+len(integers[name]), i[1])
			}
		}

		c, err := sla.New(m)
		if err != nil {
			t.Fatal(err)
		}
		rgba := make([]byte, 8*8*4)
		for i, v := range formattest.LCG(9, len(rgba)) {
			if rgba[i] = byte(127 * (v + 1)); i%4 == 3 {
				rgba[i] = 255
			}
		}
		if err := errors.Join(c.Begin(8, 8), c.Rows(rgba)); err != nil {
			t.Fatal(err)
		}
		x, err := c.Input()
		if err != nil {
			t.Fatal(err)
		}
		image := tensor{c: channels, h: 8, w: 8}
		for _, v := range x {
			image.v = append(image.v, float64(v))
		}
		values := map[string]tensor{"image": image}
		for _, b := range graph[1] {
			_, p := fields(t, b)
			n := node{op: string(p[4][0]), attr: map[string][]int{}}
			for _, in := range p[1] {
				n.inputs = append(n.inputs, string(in))
			}
			for _, a := range p[5] {
				i, q := fields(t, a)
				n.attr[string(q[1][0])] = append(i[8], i[3]...)
			}
			values[string(p[2][0])] = evaluate(t, n, values, weights, integers)
		}
		for _, mode := range []sla.Mode{sla.Baseline, sla.Distilled} {
			r, err := c.Run(mode)
			if err != nil {
				t.Fatal(err)
			}
			got := values[map[sla.Mode]string{sla.Baseline: "class", sla.Distilled: "distilled"}[mode]].v
			for k, want := range r.Logits {
				if math.Abs(got[k]-float64(want)) > 1e-5*(1+math.Abs(got[k])) {
					t.Errorf("%d channels, %v: logit %d is %v in the graph, %v in the slab", channels, mode, k, got[k], want)
				}
			}
		}
		if len(graph[11]) != 1 || len(graph[12]) != 3 {
			t.Errorf("%d inputs, %d outputs", len(graph[11]), len(graph[12]))
		}
	}
}
