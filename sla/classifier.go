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
	Adaptive        // Distilled, then views one by one until an exit of the slab is taken: 1 to M passes
	Matched         // by what a user showed, not by a head: see Match; not for Run
)

var modeNames = [...]string{"auto", format.ModeBaseline, format.ModeSingle, format.ModeAggregated, format.ModeDistilled, format.ModeAdaptive, "matched"}

// modeHeads gives the head that a mode reads, first.
var modeHeads = [...]string{"", format.HeadClass, format.HeadJoint, format.HeadJoint, format.HeadDistilled, format.HeadDistilled}

func (m Mode) String() string {
	if m < 0 || int(m) >= len(modeNames) {
		return "unknown"
	}
	return modeNames[m]
}

var errGallery = modeError("a gallery needs a row of features for each class and view")

// ErrMode says that a mode is unknown, or that a slab does not give it.
var ErrMode = errors.New("mode not available")

// ParseMode reads the name of a mode.
func ParseMode(name string) (Mode, error) {
	for i, n := range modeNames[:Matched] {
		if n == name {
			return Mode(i), nil
		}
	}
	return 0, modeError("there is no mode " + name + "; use " + join(modeNames[:Matched]))
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
	if mode < 0 || int(mode) >= len(modeHeads) || !m.HasHead(modeHeads[mode]) || mode == Adaptive && len(m.Exits) == 0 {
		return 0, modeError("this slab does not give the mode " + mode.String() + "; it gives " + join(m.Modes()))
	}
	return mode, nil
}

// A Result is what a run gives. Its slices belong to the Classifier and hold
// until the next run.
type Result struct {
	Mode          Mode      // as asked for, Auto resolved
	Passes        int       // passes of the network that the mode took for this image
	Logits        []float32 // (N)
	Probabilities []float32 // (N), the softmax of Logits, over the exit's temperature if the mode is Adaptive
	Views         []float32 // (Passes, N): each view's conditional logits w_{i,j}·z_j; nil unless Logits come from the joint head
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
	heads      []linear    // as in the manifest
	input      []float32   // dense (C, H, W), the preprocessed image
	features   [][]float32 // per view, z_j
	lengths    []float32   // per view, |z_j|
	directions []float32   // (M, F), z_j/|z_j|
	passes     int         // views whose z_j is known for this image: the first ones
	layer      int         // the layer at which the pass under way stands
	haveInput  bool
	logits     []float32
	probs      []float32
	views      []float32
	result     Result
	traceState []uint64
}

// linear is a head: outputs of w·z + b, or scale·(w·z + b)/|z| if scale is not 0.
type linear struct {
	w, b  []float32 // (outputs, features), (outputs)
	scale float32
}

// logit is output k of the head for a view.
func (c *Classifier) logit(h *linear, k, view int) float32 {
	z := c.features[view]
	sum := h.b[k]
	w := h.w[k*len(z) : (k+1)*len(z)]
	for i, v := range z {
		sum += float32(w[i] * v)
	}
	if h.scale != 0 {
		sum = float32(sum/c.lengths[view]) * h.scale
	}
	return sum
}

// length is |z|, but never 0.
func length(z []float32) float32 {
	var sum float32
	for _, v := range z {
		sum += float32(v * v)
	}
	return max(1e-12, float32(math.Sqrt(float64(sum))))
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
		input:    make([]float32, m.Input.Channels*m.Input.Height*m.Input.Width),
		logits:   make([]float32, m.Classes()),
		probs:    make([]float32, m.Classes()),
		lengths:  make([]float32, m.Manifest.Views()),
		views:    make([]float32, m.Manifest.Views()*m.Classes()),
	}
	first := len(m.Weights) - 2*len(m.Heads)
	for i := range m.Heads {
		c.heads = append(c.heads, linear{m.Weights[first+2*i], m.Weights[first+2*i+1], m.Heads[i].Scale})
	}
	width := c.net.values[len(m.Layers)].shape.Channels
	for range c.joint.Views {
		c.features = append(c.features, make([]float32, width))
	}
	return c, nil
}

// Memory is about how many bytes the Classifier holds beside the model's weights.
func (c *Classifier) Memory() int {
	s := c.net.shared
	floats := len(c.input) + len(c.features)*len(c.features[0]) + len(s.row) + len(s.in) + len(s.out) + len(s.zeros)
	seen := map[*value]bool{}
	for i, v := range c.net.values {
		if !seen[v] {
			seen[v] = true
			floats += cap(v.data)
		}
		if i > 0 && c.net.convs[i-1] != nil {
			floats += len(c.net.convs[i-1].weights)
		}
	}
	return 4 * floats
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
		c.passes, c.layer = 0, 0
	}
	return c.input, nil
}
