// Package formattest makes small models for the tests of other packages.
package formattest

import (
	"math/rand/v2"

	"github.com/quarterturn/quarterturn/format"
)

// Tiny returns a model with all three heads, both kinds of shortcut layer and
// random weights: 3 classes, 4 rotations, an input of channels x 8 x 8.
func Tiny(channels int) *format.Model {
	identity := []int{0, 1, 2}[:channels]
	m := &format.Model{Manifest: format.Manifest{
		Name:   "tiny",
		Labels: []string{"cat", "dog", "été"},
		Transforms: []format.Transform{
			{Turns: 0, Channels: identity}, {Turns: 1, Channels: identity},
			{Turns: 2, Channels: identity}, {Turns: 3, Channels: identity},
		},
		Input: format.Input{Channels: channels, Height: 8, Width: 8,
			Mean: []float32{.5, .5, .5}[:channels], Std: []float32{.25, .5, .5}[:channels]},
		Layers: []format.Layer{
			{Name: "stem", Op: format.OpConv, Input: 0, Out: 4, Kernel: 3, Stride: 1, ReLU: true},
			{Name: "a", Op: format.OpConv, Input: 1, Out: 6, Kernel: 3, Stride: 2, ReLU: true},
			{Name: "skip", Op: format.OpShortcut, Input: 1, Out: 6, Stride: 2},
			{Name: "b", Op: format.OpConv, Input: 2, Residual: 3, Out: 6, Kernel: 3, Stride: 1, ReLU: true},
			{Name: "proj", Op: format.OpConv, Input: 4, Out: 5, Kernel: 1, Stride: 1},
			{Name: "mean", Op: format.OpMean, Input: 5},
		},
		Heads: []format.Head{{Kind: format.HeadClass}, {Kind: format.HeadJoint}, {Kind: format.HeadDistilled}},

		Recommended: format.ModeDistilled,
		Metrics:     []format.Metric{{Mode: format.ModeDistilled, Split: "validation", N: 300, Accuracy: .5, NLL: 1.25, ECE: .0625}},
		Provenance:  format.Provenance{Tool: "formattest", Data: "none", Method: "random", Net: "tiny", Seed: 70000, Images: 7},
		SelfTest:    format.SelfTest{Seed: 300, Digest: make([]byte, 32)},
	}}
	Weigh(m)
	return m
}

// Weigh gives a model random weights.
func Weigh(m *format.Model) {
	m.Weights = nil
	rng := rand.New(rand.NewPCG(1, 2))
	for _, t := range m.TensorShapes() {
		w := make([]float32, t.Elements())
		for i := range w {
			w[i] = float32(rng.NormFloat64()) / 4
		}
		m.Weights = append(m.Weights, w)
	}
}

// Odd returns a model with layers of every kind, kernel and stride, numbers of
// channels and sides that no tile divides, two views, exits, and temperatures.
func Odd() *format.Model {
	conv := func(name string, input, residual, out, kernel, stride int, relu bool) format.Layer {
		return format.Layer{Name: name, Op: format.OpConv, Input: input, Residual: residual, Out: out, Kernel: kernel, Stride: stride, ReLU: relu}
	}
	m := &format.Model{Manifest: format.Manifest{
		Name: "odd", Labels: []string{"a", "b", "c", "d", "e"},
		Transforms: []format.Transform{{Turns: 0, Channels: []int{0, 1, 2}}, {Turns: 2, Channels: []int{2, 0, 1}}},
		Input:      format.Input{Channels: 3, Height: 26, Width: 21, Mean: []float32{.5, .5, .5}, Std: []float32{.25, .5, .5}},
		Layers: []format.Layer{
			conv("7x7", 0, 0, 8, 7, 2, true), // 13x11
			conv("3x3", 1, 0, 9, 3, 1, false),
			conv("3x3 of eight", 1, 1, 8, 3, 1, true),
			{Name: "max", Op: format.OpMax, Input: 3, Out: 8, Kernel: 3, Stride: 1},
			conv("5x5", 4, 0, 16, 5, 1, false),
			conv("5x5 apart", 5, 0, 7, 5, 2, true), // 7x6
			conv("1x1 apart", 4, 0, 7, 1, 2, false),
			conv("residual", 6, 7, 7, 3, 1, true),
			{Name: "max apart", Op: format.OpMax, Input: 8, Out: 7, Kernel: 3, Stride: 2}, // 4x3
			{Name: "skip", Op: format.OpShortcut, Input: 9, Out: 8, Stride: 1},
			conv("narrow", 10, 10, 8, 3, 1, false),
			conv("narrow and apart", 11, 0, 1, 3, 2, true), // 2x2
			conv("1x1", 12, 0, 24, 1, 1, false),
			conv("7x7 of a few", 13, 13, 24, 7, 1, true),
			{Name: "max of four", Op: format.OpMax, Input: 14, Out: 24, Kernel: 2, Stride: 2}, // 1x1
			{Name: "mean", Op: format.OpMean, Input: 15},
		},
		Heads:       []format.Head{{Kind: format.HeadClass}, {Kind: format.HeadJoint}, {Kind: format.HeadDistilled}},
		Exits:       []format.Exit{{Margin: 20, Temperature: 1.5, Share: .25}, {Temperature: .75, Share: .75}},
		Recommended: format.ModeAggregated, SelfTest: format.SelfTest{Seed: 3, Digest: make([]byte, 32)},
		Metrics: []format.Metric{{Mode: format.ModeBaseline, Split: "validation", N: 9, Temperature: 2.5}, {Mode: format.ModeAggregated, Split: "validation", N: 9, Temperature: .25}},
	}}
	Weigh(m)
	return m
}

// LCG returns n numbers in [-1, 1). The Python scripts behind the fixtures make weights and
// images with the same generator: see lcg.py.
func LCG(seed uint32, n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		seed = next(seed)
		out[i] = float32(int32(seed>>16)-32768) / 32768
	}
	return out
}

// Noise returns n bytes of that generator.
func Noise(seed uint32, n int) []byte {
	out := make([]byte, n)
	for i := range out {
		seed = next(seed)
		out[i] = byte(seed >> 24)
	}
	return out
}

// next is the linear congruential generator of Press et al., "Numerical Recipes", 7.1.
func next(seed uint32) uint32 { return seed*1664525 + 1013904223 }
