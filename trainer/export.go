package trainer

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strconv"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/pack"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
)

// export gives the weights of the graph as those of a slab: batch normalisation,
// with its running statistics, is folded into the convolution before it.
func (g *graph) export(m *format.Manifest) *format.Model {
	model := &format.Model{Manifest: *m}
	for i := range g.convs {
		weight, bias := g.convs[i].fold()
		model.Weights = append(model.Weights, weight, bias)
	}
	model.Heads = nil
	for _, h := range g.heads {
		if h.export != "" {
			model.Heads = append(model.Heads, format.Head{Kind: h.export, Scale: h.scale})
			weight, bias := h.weights()
			model.Weights = append(model.Weights, weight, bias)
		}
	}
	if g.episodes {
		// A head that setPrototypes fills.
		h := format.Head{Kind: format.HeadJoint, Scale: sla.MatchScale}
		if m.Views() == 1 {
			h.Kind = format.HeadClass
		}
		model.Heads = append(model.Heads, h)
		outputs := m.Classes() * m.Views()
		model.Weights = append(model.Weights, make([]float32, outputs*g.features), make([]float32, outputs))
	}
	return model
}

// weights gives the weight and the bias as a slab's head has them.
func (h *headLayer) weights() (weight, bias []float32) {
	weight = append(weight, h.weight.value...)
	if h.scale == 0 {
		return weight, append(bias, h.bias.value...)
	}
	newNormaliseOp("", h.outputs, h.features, 1).rows(weight, weight)
	return weight, make([]float32, h.outputs)
}

// fold gives weights (out, in, k, k) and biases (out) of a plain convolution
// that does what convolution and normalisation do together.
func (c *convLayer) fold() (weight, bias []float32) {
	shape := c.weight.node.Shape() // (k, k, in, out)
	k, in, out := shape[0], shape[2], shape[3]
	weight, bias = make([]float32, len(c.weight.value)), make([]float32, out)
	for o := range out {
		scale := float64(c.gamma.value[o]) / math.Sqrt(float64(c.running.variance[o])+nhwc.Epsilon)
		bias[o] = float32(float64(c.beta.value[o]) - float64(c.running.mean[o])*scale)
		for i := range in {
			for t := range k * k {
				weight[(o*in+i)*k*k+t] = float32(float64(c.weight.value[(t*in+i)*out+o]) * scale)
			}
		}
	}
	return weight, bias
}

// Untrained gives the slab of a net with its initial weights: what it takes in
// time and memory does not depend on what they are.
func Untrained(netName string, channels, side, classes, seed int) ([]byte, error) {
	net, err := parseNet(netName)
	if err != nil {
		return nil, err
	}
	transforms, err := sla.ParseTransforms("rotation", channels)
	if err != nil {
		return nil, err
	}
	m, err := parseMethod("sla+sd")
	if err != nil {
		return nil, err
	}
	manifest := format.Manifest{
		Name: netName + ", untrained", Transforms: transforms, Input: newInput(channels, side, side), Layers: net.layers(),
		Recommended: format.ModeDistilled, Provenance: format.Provenance{Tool: Tool, Data: "none", Method: "none", Net: netName, Seed: seed},
	}
	for i := range classes {
		manifest.Labels = append(manifest.Labels, strconv.Itoa(i))
	}
	g, err := newGraph(graphSpec{net: net, input: manifest.Input, joint: sla.Joint{Classes: classes, Views: len(transforms)},
		images: 1, method: m, temperature: 1, rng: rand.New(rand.NewPCG(uint64(seed), 0))})
	if err != nil {
		return nil, err
	}
	defer g.close()
	return seal(g.export(&manifest))
}

// newInput is the input of every net: levels from -1 to 1.
func newInput(channels, height, width int) format.Input {
	half := []float32{0.5, 0.5, 0.5}[:channels]
	return format.Input{Channels: channels, Height: height, Width: width, Mean: half, Std: half}
}

// seal gives the slab of a model, with its self-test's digest.
func seal(m *format.Model) ([]byte, error) {
	m.SelfTest = format.SelfTest{Seed: 1, Digest: make([]byte, 32)}
	if err := m.Validate(); err != nil {
		return nil, err
	}
	c, err := sla.New(m)
	if err != nil {
		return nil, err
	}
	digest, err := c.SelfTestDigest()
	if err != nil {
		return nil, fmt.Errorf("self-test: %w", err)
	}
	m.SelfTest.Digest = digest[:]
	return pack.Encode(m)
}

// tolerance is how far below the best a mode's validation accuracy may lie for
// the mode to be recommended for being cheaper: 0.2 points.
const tolerance = 0.002

// recommend chooses the mode that "auto" means: the cheapest within tolerance
// of the best on the validation images, among equals the most accurate.
func recommend(m *format.Manifest, metrics []format.Metric) string {
	var best float64
	for _, x := range metrics {
		best = max(best, x.Accuracy)
	}
	var chosen *format.Metric
	for i := range metrics {
		x := &metrics[i]
		if x.Accuracy < best-tolerance {
			continue
		}
		if chosen == nil || m.Passes(x.Mode) < m.Passes(chosen.Mode) ||
			m.Passes(x.Mode) == m.Passes(chosen.Mode) && x.Accuracy > chosen.Accuracy {
			chosen = x
		}
	}
	return chosen.Mode
}
