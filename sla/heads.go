package sla

import (
	"math"

	"github.com/quarterturn/quarterturn/format"
)

// A feature is what the network makes of one view: z, and its length |z|.
type feature struct {
	z      []float32 // (F)
	length float32
}

// A head is a linear classifier on a feature: w·z + b, or scale·(w·z + b)/|z| if
// scale is not 0.
type head struct {
	w, b  []float32 // (outputs, F), (outputs)
	scale float32
}

// output is output k of the head for a view's feature.
func (h *head) output(k int, f *feature) float32 {
	sum := h.b[k]
	w := h.w[k*len(f.z) : (k+1)*len(f.z)]
	for i, v := range f.z {
		sum += float32(w[i] * v)
	}
	if h.scale != 0 {
		sum = float32(sum/f.length) * h.scale
	}
	return canonical(sum)
}

// length is |z|, but never 0.
func length(z []float32) float32 {
	var sum float32
	for _, v := range z {
		sum += float32(v * v)
	}
	return max(1e-12, float32(math.Sqrt(float64(sum))))
}

// newHeads returns the heads of a model, in its order. The weights are copied.
func newHeads(m *format.Model) []head {
	heads := make([]head, len(m.Heads))
	first := len(m.Weights) - 2*len(m.Heads)
	for i, h := range m.Heads {
		w, b := m.Weights[first+2*i], m.Weights[first+2*i+1]
		heads[i] = head{append([]float32(nil), w...), append([]float32(nil), b...), h.Scale}
	}
	return heads
}

// head is the head of a kind, which the slab has.
func (c *Classifier) head(kind string) *head {
	i := 0
	for c.manifest.Heads[i].Kind != kind {
		i++
	}
	return &c.heads[i]
}

// logits writes one output a class of a view's feature to logits (N).
func (h *head) logits(logits []float32, f *feature) {
	for i := range logits {
		logits[i] = h.output(i, f)
	}
}

// conditional writes to logits (N) those of a joint head for a view j, given that it
// was turned by transformation j: w_{i,j}·z_j.
func (h *head) conditional(logits []float32, joint Joint, j int, f *feature) {
	for i := range logits {
		logits[i] = h.output(joint.Index(i, j), f)
	}
}

// MeanOfViews writes to logits (N) the mean over k views of their conditional logits
// views (k, N), s_i = 1/k Σ_j w_{i,j}·z_j with j ascending: the aggregation of the SLA
// paper, eq. 4, with so many of the transformations as have been looked at.
func MeanOfViews(logits, views []float32) {
	n := len(logits)
	k := len(views) / n
	for i := range logits {
		var sum float32
		for j := range k {
			sum += views[j*n+i]
		}
		logits[i] = canonical(sum / float32(k))
	}
}
