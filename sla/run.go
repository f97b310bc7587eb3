package sla

import (
	"math"

	"github.com/quarterturn/quarterturn/format"
)

// Run classifies the image that was given.
func (c *Classifier) Run(mode Mode) (*Result, error) { return c.RunFor(mode, math.MaxInt) }

// RunFor is Run in pieces, for a caller that may want to stop: once it has taken
// about that many multiply-adds it returns between two layers, with no result yet,
// and goes on when it is called again.
func (c *Classifier) RunFor(mode Mode, macs int) (*Result, error) { return c.run(mode, macs, nil) }

func (c *Classifier) run(mode Mode, macs int, observe func(out *value)) (*Result, error) {
	mode, err := ResolveMode(c.manifest, mode)
	if err != nil {
		return nil, err
	}
	if observe != nil {
		c.passes, c.layer = 0, 0 // every layer is to be seen
	}
	passes := 1
	if mode == Aggregated {
		passes = c.joint.Views
	}
	for {
		if macs, err = c.look(passes, macs, observe); c.passes < passes {
			return nil, err
		}
		c.answer(mode, passes)
		if mode != Adaptive || passes == c.joint.Views || c.margin() >= c.manifest.Exits[passes-1].Margin {
			break
		}
		passes++
	}
	temperature := float32(1)
	if mode == Adaptive {
		temperature = c.manifest.Exits[passes-1].Temperature
	}
	softmax(c.probs, c.logits, temperature)
	return &c.result, nil
}

// look goes on until so many passes of the image are complete, or about so many
// multiply-adds are taken, and gives what is left of those.
func (c *Classifier) look(passes, macs int, observe func(out *value)) (left int, err error) {
	if _, err := c.Input(); err != nil {
		return 0, err
	}
	for c.passes < passes && macs > 0 {
		macs -= c.step(observe)
	}
	return macs, nil
}

// answer makes a result, but for its probabilities, of the first passes.
func (c *Classifier) answer(mode Mode, passes int) {
	c.result = Result{Mode: mode, Passes: passes, Logits: c.logits, Probabilities: c.probs}
	kind := modeHeads[mode]
	if mode == Adaptive && passes > 1 {
		kind = format.HeadJoint
	}
	i := 0
	for c.manifest.Heads[i].Kind != kind {
		i++
	}
	if kind == format.HeadJoint {
		c.aggregate(&c.heads[i], c.joint, passes)
	} else {
		c.plain(&c.heads[i])
	}
}

// margin is the difference of the two largest logits.
func (c *Classifier) margin() float32 {
	first, second := float32(math.Inf(-1)), float32(math.Inf(-1))
	for _, v := range c.logits {
		if v > first {
			first, second = v, first
		} else if v > second {
			second = v
		}
	}
	return first - second
}

// step runs the next layer of the first view whose z_j is not known, and gives the
// multiply-adds that it took.
func (c *Classifier) step(observe func(out *value)) int {
	if c.layer == 0 {
		transformInto(c.net.values[0], c.input, c.manifest.Transforms[c.passes])
	}
	out, macs := c.net.step(c.layer)
	if observe != nil {
		observe(out)
	}
	if c.layer++; c.layer == len(c.net.layers) {
		copy(c.features[c.passes], out.pixel(0, 0))
		c.lengths[c.passes] = length(c.features[c.passes])
		c.passes, c.layer = c.passes+1, 0
	}
	return macs
}

// plain gives the logits of a head with one output a class.
func (c *Classifier) plain(h *linear) {
	for i := range c.logits {
		c.logits[i] = canonical(c.logit(h, i, 0))
	}
}

// aggregate gives s_i = 1/J Σ_j w_{i,j}·z_j over the first J views: the mean of
// logits, each from its own transformed image (SLA paper, eq. 4).
func (c *Classifier) aggregate(h *linear, joint Joint, views int) {
	r := &c.result
	r.Views = c.views[:views*joint.Classes]
	for i := range r.Logits {
		var sum float32
		for j := range views {
			v := c.logit(h, joint.Index(i, j), j)
			r.Views[j*joint.Classes+i] = canonical(v)
			sum += v
		}
		r.Logits[i] = canonical(sum / float32(views))
	}
}

// Trace runs a mode and fingerprints what every layer made: for each pass, one
// number a layer, and at the end one for the logits. Two targets that disagree
// do so first where their traces do; TraceName names the entry.
func (c *Classifier) Trace(mode Mode) ([]uint64, error) {
	c.traceState = c.traceState[:0]
	r, err := c.run(mode, math.MaxInt, func(out *value) {
		h := fnvOffset
		for y := range out.shape.Height {
			for x := range out.shape.Width {
				h = fingerprint(h, out.pixel(y, x))
			}
		}
		c.traceState = append(c.traceState, h)
	})
	if err != nil {
		return nil, err
	}
	return append(c.traceState, fingerprint(fnvOffset, r.Logits)), nil
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
