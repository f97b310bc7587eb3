package sla

import (
	"errors"
	"math"

	"github.com/quarterturn/quarterturn/format"
)

// A Mode is a way to come from images to class logits.
type Mode int

// The modes. Auto is the one that the slab recommends.
const (
	Auto       Mode = iota
	Baseline        // the class head on the image: one pass
	Single          // the joint head's identity labels on the image: one pass
	Aggregated      // the mean over all transformations of the joint head's logits: M passes
	Distilled       // the distilled head on the image: one pass
)

var modeNames = [...]string{"auto", format.ModeBaseline, format.ModeSingle, format.ModeAggregated, format.ModeDistilled}

// modeHeads gives the head that a mode reads.
var modeHeads = [...]string{"", format.HeadClass, format.HeadJoint, format.HeadJoint, format.HeadDistilled}

func (m Mode) String() string {
	if m < 0 || int(m) >= len(modeNames) {
		return "unknown"
	}
	return modeNames[m]
}

// ErrMode says that a mode is unknown, or that a slab has no head for it.
var ErrMode = errors.New("mode not available")

// ParseMode reads the name of a mode.
func ParseMode(name string) (Mode, error) {
	for i, n := range modeNames {
		if n == name {
			return Mode(i), nil
		}
	}
	return 0, modeError("there is no mode " + name + "; use " + join(modeNames[:]))
}

// join is strings.Join with commas; package strings would bring the tables of
// package unicode into the module.
func join(names []string) string {
	s := ""
	for i, n := range names {
		if i > 0 {
			s += ", "
		}
		s += n
	}
	return s
}

type modeError string

func (e modeError) Error() string { return string(e) }
func (modeError) Unwrap() error   { return ErrMode }

// ResolveMode checks that the heads of a slab give a mode, and says which one
// Auto is.
func ResolveMode(m *format.Manifest, mode Mode) (Mode, error) {
	if mode == Auto {
		return ParseMode(m.Recommended)
	}
	if mode < 0 || int(mode) >= len(modeHeads) || !m.HasHead(modeHeads[mode]) {
		return 0, modeError("this slab has no head for the mode " + mode.String() + "; it has " + join(m.Modes()))
	}
	return mode, nil
}

// A Result is what a run gives. Its slices belong to the Classifier and hold
// until the next run.
type Result struct {
	Mode          Mode      // as asked for, Auto resolved
	Passes        int       // passes of the network that the mode takes
	Logits        []float32 // (N)
	Probabilities []float32 // (N), the softmax of Logits
	Views         []float32 // (Passes, N): each view's conditional logits w_{i,j}·z_j; nil unless the mode uses the joint head
}

// A Classifier runs a model. It is not safe for concurrent use.
//
// An image is given by Begin and Rows; after that Run may be called for several
// modes, which share the passes they have in common.
type Classifier struct {
	manifest   *format.Manifest
	joint      Joint
	pre        *preprocessor
	net        *network
	heads      map[string]linear
	input      []float32   // dense (C, H, W), the preprocessed image
	features   [][]float32 // per view, z_j
	done       []bool      // per view, whether z_j was computed for this image
	haveInput  bool
	logits     []float32
	probs      []float32
	views      []float32
	result     Result
	traceState []uint64
}

// linear is a head: outputs of w·z + b.
type linear struct {
	w, b []float32 // (outputs, features), (outputs)
}

// logit is output k of the head.
func (h *linear) logit(k int, z []float32) float32 {
	sum := h.b[k]
	w := h.w[k*len(z) : (k+1)*len(z)]
	for i, v := range z {
		sum += float32(w[i] * v)
	}
	return sum
}

// maxActivations bounds the floats that the activations of a net may take, so
// that a small slab cannot claim all memory: 256 MiB.
const maxActivations = 1 << 26

// New makes a Classifier of a model that format.Decode gave or whose manifest is
// valid. The model must not be changed afterwards.
func New(m *format.Model) (*Classifier, error) {
	floats := 0
	for _, s := range m.Shapes() {
		floats += s.Elements()
	}
	if floats > maxActivations {
		return nil, &format.Error{Kind: format.ErrUnsupported, Field: "layers", Offset: -1,
			Detail: "the activations of one image take " + itoa(floats) + " numbers, more than " + itoa(maxActivations)}
	}
	c := &Classifier{
		manifest: &m.Manifest,
		joint:    Joint{m.Classes(), m.Manifest.Views()},
		pre:      newPreprocessor(m.Input),
		net:      newNetwork(m),
		heads:    map[string]linear{},
		input:    make([]float32, m.Input.Channels*m.Input.Height*m.Input.Width),
		done:     make([]bool, m.Manifest.Views()),
		logits:   make([]float32, m.Classes()),
		probs:    make([]float32, m.Classes()),
		views:    make([]float32, m.Manifest.Views()*m.Classes()),
	}
	first := len(m.Weights) - 2*len(m.Heads)
	for i, h := range m.Heads {
		c.heads[h.Kind] = linear{m.Weights[first+2*i], m.Weights[first+2*i+1]}
	}
	width := c.net.values[len(m.Layers)].shape.Channels
	for range c.done {
		c.features = append(c.features, make([]float32, width))
	}
	return c, nil
}

// Begin announces an image of width x height pixels.
func (c *Classifier) Begin(width, height int) error {
	c.haveInput = false
	return c.pre.begin(width, height)
}

// Rows takes the next whole rows of the image, 4 bytes a pixel: red, green,
// blue and straight (not premultiplied) alpha, which is composed over black.
func (c *Classifier) Rows(rgba []byte) error { return c.pre.rows(rgba) }

// Input gives the preprocessed image, dense (C, H, W), once its rows are there.
func (c *Classifier) Input() ([]float32, error) {
	if !c.haveInput {
		if err := c.pre.finish(c.input); err != nil {
			return nil, err
		}
		c.haveInput = true
		clear(c.done)
	}
	return c.input, nil
}

// Run classifies the image that was given.
func (c *Classifier) Run(mode Mode) (*Result, error) { return c.run(mode, nil) }

func (c *Classifier) run(mode Mode, observe func(view, layer int, out *value)) (*Result, error) {
	mode, err := ResolveMode(c.manifest, mode)
	if err != nil {
		return nil, err
	}
	if _, err := c.Input(); err != nil {
		return nil, err
	}
	c.result = Result{Mode: mode, Passes: 1, Logits: c.logits, Probabilities: c.probs}
	if mode == Aggregated {
		c.result.Passes = c.joint.Views
	}
	for j := range c.result.Passes {
		c.pass(j, observe)
	}
	switch mode {
	case Baseline:
		c.plain(c.heads[format.HeadClass])
	case Distilled:
		c.plain(c.heads[format.HeadDistilled])
	case Single, Aggregated:
		c.aggregate(c.heads[format.HeadJoint], c.result.Passes)
	}
	softmax(c.probs, c.logits)
	return &c.result, nil
}

// pass computes z_j, unless it is known already.
func (c *Classifier) pass(j int, observe func(view, layer int, out *value)) {
	if c.done[j] && observe == nil {
		return
	}
	transformInto(c.net.values[0], c.input, c.manifest.Transforms[j])
	var see func(int, *value)
	if observe != nil {
		see = func(layer int, out *value) { observe(j, layer, out) }
	}
	c.net.forward(c.features[j], see)
	c.done[j] = true
}

// plain gives the logits of a head with one output a class.
func (c *Classifier) plain(h linear) {
	for i := range c.logits {
		c.logits[i] = canonical(h.logit(i, c.features[0]))
	}
}

// aggregate gives s_i = 1/J Σ_j w_{i,j}·z_j over the first J views: the mean of
// logits, each from its own transformed image (SLA paper, eq. 4).
func (c *Classifier) aggregate(h linear, views int) {
	for i := range c.logits {
		var sum float32
		for j := range views {
			v := h.logit(c.joint.Index(i, j), c.features[j])
			c.views[j*c.joint.Classes+i] = canonical(v)
			sum += v
		}
		c.logits[i] = canonical(sum / float32(views))
	}
	c.result.Views = c.views[:views*c.joint.Classes]
}

// Trace runs a mode and fingerprints what every layer made: for each pass, one
// number a layer, and at the end one for the logits. Two targets that disagree
// do so first where their traces do; TraceName names the entry.
func (c *Classifier) Trace(mode Mode) ([]uint64, error) {
	c.traceState = c.traceState[:0]
	r, err := c.run(mode, func(_, _ int, out *value) {
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

// TraceName says what entry i of a trace is.
func TraceName(m *format.Manifest, mode Mode, i int) string {
	passes := 1
	if mode == Aggregated {
		passes = m.Views()
	}
	if n := len(m.Layers); i < passes*n {
		return "view " + itoa(i/n) + ", layer " + m.Layers[i%n].Name
	}
	return "logits"
}

// FNV-1a over 32-bit words instead of bytes.
const fnvOffset, fnvPrime uint64 = 14695981039346656037, 1099511628211

func fingerprint(h uint64, values []float32) uint64 {
	for _, v := range values {
		h = (h ^ uint64(math.Float32bits(canonical(v)))) * fnvPrime
	}
	return h
}
