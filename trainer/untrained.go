package trainer

import (
	"math/rand/v2"
	"strconv"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
	"github.com/quarterturn/quarterturn/trainer/graph"
	"github.com/quarterturn/quarterturn/trainer/nets"
)

// Untrained returns the slab of a net with its initial weights: what it takes in
// time and memory does not depend on what they are. The error is that of a name no net has.
func Untrained(netName string, channels, side, classes, seed int) ([]byte, error) {
	net, err := nets.Parse(netName, newInput(channels, side, side))
	if err != nil {
		return nil, err
	}
	transforms, err := sla.ParseTransforms("rotation", channels)
	if err != nil {
		return nil, err
	}
	m, err := graph.ParseMethod("sla+sd")
	if err != nil {
		return nil, err
	}
	manifest := format.Manifest{
		Name: netName + ", untrained", Transforms: transforms, Input: newInput(channels, side, side), Layers: net.Layers(),
		Recommended: format.ModeDistilled, Provenance: format.Provenance{Tool: Tool, Data: "none", Method: "none", Net: netName, Seed: seed},
	}
	for i := range classes {
		manifest.Labels = append(manifest.Labels, strconv.Itoa(i))
	}
	g, err := graph.New(graph.Spec{Net: net, Input: manifest.Input, Joint: sla.Joint{Classes: classes, Views: len(transforms)},
		Images: 1, Method: m, Temperature: 1, Rng: rand.New(rand.NewPCG(uint64(seed), 0))})
	if err != nil {
		return nil, err
	}
	defer g.Close()
	return evaluate.EncodeWithSelfTest(g.Export(&manifest))
}

// newInput is the input of every net: levels from -1 to 1.
func newInput(channels, height, width int) format.Input {
	half := []float32{0.5, 0.5, 0.5}[:channels]
	return format.Input{Channels: channels, Height: height, Width: width, Mean: half, Std: half}
}
