package sla

import (
	"math"

	"github.com/quarterturn/quarterturn/format"
)

// Trace runs a mode from the first layer on and fingerprints what every layer made: for
// each pass one number a layer, and at the end one for the logits. Two targets that
// disagree do so first where their traces do; TraceName names the entry. The numbers hold
// until the next call. Errors are those of Run.
func (c *Classifier) Trace(mode Mode) ([]uint64, error) { return c.TraceBudget(mode, math.MaxInt) }

// TraceBudget is Trace in pieces, as RunBudget is Run: it may return nil and want to be
// called again, with the same mode.
func (c *Classifier) TraceBudget(mode Mode, work int) ([]uint64, error) {
	if !c.tracing {
		c.restart() // every layer is to be seen
		if c.trace == nil {
			c.trace = make([]uint64, c.joint.Views*len(c.net.layers)+1)
		}
		c.tracing = true
	}
	r, err := c.RunBudget(mode, work)
	if r == nil && err == nil {
		return nil, nil
	}
	c.tracing = false
	if err != nil {
		return nil, err
	}
	n := c.passes * len(c.net.layers)
	c.trace[n] = fingerprint(fnvOffset, r.Logits)
	return c.trace[:n+1], nil
}

// observe puts into the trace what the layer under way made of a view of the group.
func (c *Classifier) observe(view int) {
	out := c.net.operands[c.layer][view].out
	h := fnvOffset
	for y := range out.shape.Height {
		for x := range out.shape.Width {
			h = fingerprint(h, out.pixel(y, x))
		}
	}
	c.trace[(c.passes+view)*len(c.net.layers)+c.layer] = h
}

// TraceName says what entry i of a trace of so many entries is.
func TraceName(m *format.Manifest, entries, i int) string {
	if i == entries-1 {
		return "logits"
	}
	n := len(m.Layers)
	return "view " + itoa(i/n) + ", layer " + m.Layers[i%n].Name
}

// FNV-1a over 32-bit words instead of bytes.
const fnvOffset, fnvPrime uint64 = 14695981039346656037, 1099511628211

func fingerprint(h uint64, values []float32) uint64 {
	for _, v := range values {
		h = (h ^ uint64(math.Float32bits(canonical(v)))) * fnvPrime
	}
	return h
}
