package pack_test

import (
	"fmt"
	"log"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/pack"
)

// A slab of the smallest net there is: it tells dark from bright.
func ExampleEncode() {
	m := &format.Model{Manifest: format.Manifest{
		Name:       "brightness",
		Labels:     []string{"dark", "bright"},
		Transforms: []format.Transform{{Channels: []int{0}}},
		Input:      format.Input{Channels: 1, Height: 4, Width: 4, Mean: []float32{.5}, Std: []float32{.5}},
		Layers: []format.Layer{
			{Name: "same", Op: format.OpConv, Out: 1, Kernel: 1, Stride: 1},
			{Name: "mean", Op: format.OpMean, Input: 1},
		},
		Heads:       []format.Head{{Kind: format.HeadClass}},
		Recommended: format.ModeBaseline,
		SelfTest:    format.SelfTest{Seed: 1, Digest: make([]byte, 32)}, // see sla.Classifier.SelfTestDigest
	}}
	for _, t := range m.TensorShapes() {
		fmt.Println(t.Name, t.Shape)
	}
	m.Weights = [][]float32{{1}, {0}, {-1, 1}, {0, 0}}
	slab, err := pack.Encode(m)
	if err != nil {
		log.Fatal(err)
	}
	again, err := format.Decode(slab)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(again.Name, again.Modes(), again.Parameters(), "parameters")
	// Output:
	// same.weight [1 1 1 1]
	// same.bias [1]
	// class.weight [2 1]
	// class.bias [2]
	// brightness [baseline] 6 parameters
}
