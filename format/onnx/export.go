package onnx

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quarterturn/quarterturn/format"
)

// Heads, given as a mode, asks for the logits of every head on the image as it is, with
// no mode: what further training elsewhere starts from.
const Heads = "heads"

// Options say what an ONNX model computes.
type Options struct {
	// Mode is a mode of the slab, auto (or nothing) for the one that it recommends, or Heads.
	Mode string
	// Preprocess makes the input pixels of any size instead of normalised values.
	Preprocess bool
}

// Encode returns a model, which must be valid, as an ONNX model of opset 13, IR version 8.
//
// The input is "image", float32 (N, C, H, W), normalised as the manifest says; or with
// Preprocess "pixels", uint8 (N, height, width, 3 or 4), RGB or RGBA of any size, which the
// graph crops, resizes and normalises to the very bits that a slab does.
//
// The outputs are "logits" and "probabilities", float32 (N, classes), and in the mode
// adaptive "passes", int64 (N); or with Heads the logits of each head under its kind.
// Views are computed inside, as one batch of N*M images. The mode adaptive computes all of
// them and then chooses, so it saves no time here.
//
// Metadata entries say the rest: "manifest" (the slab's, as JSON), "labels" (a JSON list),
// "mode", "passes", "layout", and how the input is normalised.
func Encode(m *format.Model, o Options) ([]byte, error) {
	mode := o.Mode
	if mode == "" || mode == "auto" {
		mode = m.Recommended
	}
	if mode != Heads && !slices.Contains(m.Modes(), mode) {
		return nil, fmt.Errorf("this slab does not have the mode %s; it has %s", mode, strings.Join(m.Modes(), ", "))
	}
	n := newNet(m)
	n.string(2, m.Name)
	input := "image"
	if o.Preprocess {
		n.value(11, "pixels", uint8Type, "N", "height", "width", "channels")
		input = n.preprocess("pixels")
	} else {
		n.value(11, input, float32Type, "N", m.Input.Channels, m.Input.Height, m.Input.Width)
	}
	if mode == Heads {
		z := n.features(input)
		for _, h := range m.Heads {
			n.head(h.Kind, -1, z, h.Kind)
			n.value(12, h.Kind, float32Type, "N", m.Outputs(h.Kind))
		}
	} else if err := n.mode(mode, input); err != nil {
		return nil, err
	}

	var opset, model message
	opset.integer(2, 13)
	model.integer(1, 8)
	model.string(2, "quarterturn")
	model.bytes(7, n.message)
	model.bytes(8, opset)
	for _, x := range metadata(m, mode, o.Preprocess) {
		var entry message
		entry.string(1, x[0])
		entry.string(2, x[1])
		model.bytes(14, entry)
	}
	return model, nil
}

// mode adds a mode's answer for the input.
func (n *net) mode(mode, input string) error {
	classes := n.model.Classes()
	n.value(12, "logits", float32Type, "N", classes)
	n.value(12, "probabilities", float32Type, "N", classes)
	switch mode {
	case format.ModeBaseline:
		n.head(format.HeadClass, -1, n.features(input), "logits")
	case format.ModeSingle:
		n.head(format.HeadJoint, 0, n.features(input), "logits")
	case format.ModeDistilled:
		n.head(format.HeadDistilled, -1, n.features(input), "logits")
	case format.ModeAggregated:
		z := n.viewFeatures(input)
		n.mean(z, "logits")
	case format.ModeAdaptive:
		return n.adaptive(input)
	}
	tempered := "logits"
	if t := n.model.Temperature(mode); t != 1 {
		tempered = n.op("Div", "tempered", "logits", n.floats("temperature", []int{1}, []float32{t}))
	}
	n.node("Softmax", "probabilities", []string{tempered}, one("axis", 1))
	return nil
}

// viewFeatures returns the features (N, F) of every view of the input. The views go
// through the net as one batch, view by view.
func (n *net) viewFeatures(input string) []string {
	var views []string
	for j, t := range n.model.Transforms {
		views = append(views, n.view(input, fmt.Sprintf("view%d", j), t))
	}
	all := n.features(n.node("Concat", "views", views, one("axis", 0)))
	last := n.model.Shapes()[len(n.model.Layers)].Channels
	all = n.op("Reshape", "features of views", all, n.integers("views x N x F", len(views), -1, last))
	var z []string
	for j := range views {
		z = append(z, n.node("Gather", fmt.Sprintf("features of view%d", j), []string{all, n.int64s(fmt.Sprintf("index %d", j), nil, j)}, one("axis", 0)))
	}
	return z
}

// view adds a transformation: quarter turns counter-clockwise, then the channels.
func (n *net) view(x, name string, t format.Transform) string {
	if t.Turns%2 == 1 {
		x = n.node("Transpose", name+"/transposed", []string{x}, list("perm", 0, 1, 3, 2))
	}
	reverse := func(axis int) {
		const first = -1 << 63 // beyond the first element
		x = n.op("Slice", fmt.Sprintf("%s/reversed%d", name, axis), x, n.integers("last", -1), n.integers("beyond first", first),
			n.integers(fmt.Sprintf("axis %d", axis), axis), n.integers("backwards", -1))
	}
	if t.Turns == 1 || t.Turns == 2 {
		reverse(2)
	}
	if t.Turns == 2 || t.Turns == 3 {
		reverse(3)
	}
	if !slices.IsSorted(t.Channels) {
		x = n.node("Gather", name+"/channels", []string{x, n.integers(fmt.Sprintf("channels %v", t.Channels), t.Channels...)}, one("axis", 1))
	}
	return x
}

// mean adds the mean of the joint head's logits over views, each with the outputs of its
// own transformation.
func (n *net) mean(z []string, name string) string {
	sum := ""
	for j, view := range z {
		logits := n.head(format.HeadJoint, j, view, fmt.Sprintf("%s/joint%d", name, j))
		if j == 0 {
			sum = logits
			continue
		}
		sum = n.op("Add", fmt.Sprintf("%s/sum%d", name, j), sum, logits)
	}
	return n.op("Div", name, sum, n.floats(fmt.Sprintf("%d views", len(z)), []int{1}, []float32{float32(len(z))}))
}

// adaptive adds all exits and takes, for each image, the first that is sure enough.
func (n *net) adaptive(input string) error {
	classes, exits := n.model.Classes(), n.model.Exits
	if classes < 2 {
		return errors.New("a slab of one class has no margin, so no graph of the mode adaptive")
	}
	n.value(12, "passes", int64Type, "N")
	z := n.viewFeatures(input)
	logits, temperature, passes := "", "", ""
	for k := len(exits); k >= 1; k-- { // from the last, which always answers, to the first
		name := fmt.Sprintf("exit%d", k)
		l := name
		if k == 1 {
			n.head(format.HeadDistilled, -1, z[0], l)
		} else {
			n.mean(z[:k], l)
		}
		t := n.floats(name+"/temperature", []int{1, 1}, []float32{exits[k-1].Temperature})
		p := n.int64s(fmt.Sprintf("pass %d", k), []int{1, 1}, k)
		if k == len(exits) {
			logits, temperature, passes = l, t, p
			continue
		}
		two := n.op("TopK", name+"/two", l, n.integers("two", 2))
		first := n.op("Slice", name+"/first", two, n.integers("zero", 0), n.integers("one", 1), n.integers("axis 1", 1))
		second := n.op("Slice", name+"/second", two, n.integers("one", 1), n.integers("two", 2), n.integers("axis 1", 1))
		sure := n.op("GreaterOrEqual", name+"/sure", n.op("Sub", name+"/margin", first, second), n.floats(name+"/least margin", []int{1}, []float32{exits[k-1].Margin}))
		logits = n.op("Where", name+"/logits", sure, l, logits)
		temperature = n.op("Where", name+"/taken temperature", sure, t, temperature)
		passes = n.op("Where", name+"/passes", sure, p, passes)
	}
	n.op("Identity", "logits", logits)
	row := n.node("ReduceMax", "one per image", []string{logits}, list("axes", 1)) // (N, 1), whose shape is wanted
	n.op("Squeeze", "passes", n.op("Expand", "passes of each", passes, n.op("Shape", "N x 1", row)), n.integers("axis 1", 1))
	n.node("Softmax", "probabilities", []string{n.op("Div", "tempered", logits, temperature)}, one("axis", 1))
	return nil
}

// metadata are the model's entries, in a fixed order.
func metadata(m *format.Model, mode string, preprocess bool) [][2]string {
	list := func(v any) string {
		b, err := json.Marshal(v)
		if err != nil {
			panic(err) // strings and finite numbers alone
		}
		return string(b)
	}
	entries := [][2]string{
		{"manifest", string(m.AppendJSON(nil))},
		{"labels", list(m.Labels)},
		{"mode", mode},
		{"mean", list(m.Input.Mean)},
		{"std", list(m.Input.Std)},
	}
	if mode != Heads {
		entries = append(entries, [2]string{"passes", fmt.Sprint(m.Passes(mode))})
	}
	if preprocess {
		return append(entries, [2]string{"layout", "NHWC"}, [2]string{"preprocessing", "in the graph: uint8 RGB or RGBA of any size"})
	}
	return append(entries, [2]string{"layout", "NCHW"}, [2]string{"preprocessing", "resize to the input's size, then (v/255 - mean)/std for each channel"})
}
