package graph

import (
	"math"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
	"github.com/quarterturn/quarterturn/trainer/internal/rows"
)

// Export returns the weights of the graph as those of a slab with this manifest, whose
// heads it sets: batch normalisation,
// with its running statistics, is folded into the convolution before it.
func (g *Graph) Export(m *format.Manifest) *format.Model {
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
		// A head for fewshot.SetPrototypes to fill.
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

// weights returns the weight and the bias as a slab's head has them.
func (h *headLayer) weights() (weight, bias []float32) {
	weight = append(weight, h.weight.value...)
	if h.scale != 0 {
		rows.Normalize(weight, h.features)
	}
	if bias = make([]float32, h.outputs); h.bias != nil {
		copy(bias, h.bias.value)
	}
	return weight, bias
}

// fold returns weights (out, in, k, k) and biases (out) of a plain convolution
// that does what convolution and normalisation do together.
func (c *convLayer) fold() (weight, bias []float32) {
	shape := c.weight.node.Shape() // (k, k, in, out)
	k, in, out := shape[0], shape[2], shape[3]
	weight, bias = make([]float32, len(c.weight.value)), make([]float32, out)
	for o := range out {
		scale, mean := 1., 0.
		if c.gamma != nil {
			scale = float64(c.gamma.value[o])
		}
		if !c.frozen {
			scale /= math.Sqrt(float64(c.running.variance[o]) + nhwc.Epsilon)
			mean = float64(c.running.mean[o])
		}
		bias[o] = float32(float64(c.beta.value[o]) - mean*scale)
		for i := range in {
			for t := range k * k {
				weight[(o*in+i)*k*k+t] = float32(float64(c.weight.value[(t*in+i)*out+o]) * scale)
			}
		}
	}
	return weight, bias
}
