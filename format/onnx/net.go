package onnx

import (
	"fmt"
	"slices"

	"github.com/quarterturn/quarterturn/format"
)

// Layers have names of any kind, so what comes of layer i is called "layer<i>/<name>" and
// cannot be taken for something else.
func layerName(i int, l *format.Layer) string { return fmt.Sprintf("layer%d/%s", i, l.Name) }

// A net writes the layers and heads of a slab into a graph.
type net struct {
	graph
	model   *format.Model
	weights map[string][]float32 // by layerName or a head's kind, and ".weight" or ".bias"
}

func newNet(m *format.Model) *net {
	n := &net{graph: graph{named: map[string]bool{}}, model: m, weights: map[string][]float32{}}
	w := m.Weights
	take := func(name string) {
		n.weights[name+".weight"], n.weights[name+".bias"] = w[0], w[1]
		w = w[2:]
	}
	for i := range m.Layers {
		if l := &m.Layers[i]; l.Op == format.OpConv {
			take(layerName(i, l))
		}
	}
	for _, h := range m.Heads {
		take(h.Kind)
	}
	return n
}

// features adds the layers. The input is float32 (N, C, H, W), the output (N, F).
func (n *net) features(input string) string {
	shapes := n.model.Shapes()
	values := []string{input}
	for i := range n.model.Layers {
		l := &n.model.Layers[i]
		values = append(values, n.layer(l, layerName(i, l), values, shapes[l.Input]))
	}
	return n.op("Flatten", "features", values[len(values)-1])
}

// head adds the head of a kind on features z (N, F); its output (N, outputs) is called
// name. Of a joint head it takes the rows of one view alone, unless view is negative.
func (n *net) head(kind string, view int, z, name string) string {
	w, b := n.weights[kind+".weight"], n.weights[kind+".bias"]
	tensors := kind
	if view >= 0 {
		w, b = n.rowsOf(view, w), n.rowsOf(view, b)
		tensors = fmt.Sprintf("%s/view%d", kind, view)
	}
	features := len(w) / len(b)
	scale := float32(0)
	for _, h := range n.model.Heads {
		if h.Kind == kind {
			scale = h.Scale
		}
	}
	sumName := name
	if scale != 0 {
		sumName += "/sum"
	}
	sum := n.node("Gemm", sumName, []string{z, n.floats(tensors+".weight", []int{len(b), features}, w), n.floats(tensors+".bias", []int{len(b)}, b)}, one("transB", 1))
	if scale == 0 {
		return sum
	}
	length := n.node("ReduceL2", name+"/norm", []string{z}, list("axes", 1))
	length = n.op("Max", name+"/length", length, n.floats("least length", []int{1}, []float32{1e-12}))
	return n.op("Mul", name, n.op("Div", name+"/cosine", sum, length), n.floats(kind+"/scale", []int{1}, []float32{scale}))
}

// rowsOf returns the rows of a joint head's tensor that belong to a view: output
// y*M + view for each class y.
func (n *net) rowsOf(view int, v []float32) []float32 {
	classes, views := n.model.Classes(), n.model.Views()
	row := len(v) / (classes * views)
	var out []float32
	for y := range classes {
		out = append(out, v[(y*views+view)*row:][:row]...)
	}
	return out
}

// layer adds the operators of a layer; its output is called name.
func (n *net) layer(l *format.Layer, name string, values []string, in format.Shape) string {
	x := values[l.Input : l.Input+1]
	pads := attribute{name: "pads", values: slices.Repeat([]int{(l.Kernel - 1) / 2}, 4)}
	strides := attribute{name: "strides", values: []int{l.Stride, l.Stride}}
	kernel := attribute{name: "kernel_shape", values: []int{l.Kernel, l.Kernel}}
	switch l.Op {
	case format.OpMax:
		return n.node("MaxPool", name, x, kernel, pads, strides)
	case format.OpMean:
		return n.node("GlobalAveragePool", name, x)
	case format.OpShortcut:
		picked := n.node("Slice", name+"/pick", []string{x[0], n.integers(name+"/starts", 0, 0),
			n.integers(name+"/ends", in.Height, in.Width), n.integers(name+"/axes", 2, 3), n.integers(name+"/steps", l.Stride, l.Stride)})
		return n.node("Pad", name, []string{picked, n.integers(name+"/pads", 0, 0, 0, 0, 0, l.Out-in.Channels, 0, 0)})
	}
	tensor := func(suffix string, shape ...int) string {
		return n.floats(name+suffix, shape, n.weights[name+suffix])
	}
	steps := []string{"Conv"}
	if l.Residual != 0 {
		steps = append(steps, "Add")
	}
	if l.ReLU {
		steps = append(steps, "Relu")
	}
	out := ""
	for i, op := range steps {
		result := name
		if i < len(steps)-1 {
			result += "/" + op
		}
		switch op {
		case "Conv":
			out = n.node(op, result, []string{x[0], tensor(".weight", l.Out, in.Channels, l.Kernel, l.Kernel), tensor(".bias", l.Out)}, kernel, pads, strides)
		case "Add":
			out = n.node(op, result, []string{out, values[l.Residual]})
		case "Relu":
			out = n.node(op, result, []string{out})
		}
	}
	return out
}
