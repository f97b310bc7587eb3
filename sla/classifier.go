package sla

import (
	"math"

	"github.com/quarterturn/quarterturn/format"
)

// A Classifier runs a model. It is not safe for concurrent use.
//
// An image is given by Begin and Rows; after that RunBudget may be called for several
// modes, which share the passes they have in common.
type Classifier struct {
	manifest *format.Manifest
	joint    Joint
	pre      *preprocessor
	net      *network
	heads    []head    // as in the manifest
	input    []float32 // the preprocessed image, dense (H, W, C)

	// What is known of the image.
	inputRows int       // rows of the input that are made: the first ones
	passes    int       // views whose feature is known: the first ones
	group     int       // views behind them whose passes are under way, 0 if there are none
	view      int       // of these, the one that goes through the first layers, which the ones before it have behind them
	turned    int       // rows of that view that are made
	layer     int       // the layer that comes next, for that view or for all of the group
	part      int       // the part of that layer which comes next
	features  []feature // (M)
	viewRows  int       // views whose conditional logits are known: the first ones
	views     []float32 // (M, N), conditional logits

	result Result // of the slab's heads

	matching   head // Match's, made of a gallery
	matched    Result
	directions []float32 // (M, F), z_j/|z_j|

	tracing bool
	trace   []uint64
	testing *selfTest
}

// New makes a Classifier of a model that format.Decode returned or whose manifest is
// valid. It copies what it needs of the weights. A model that takes more memory than
// DefaultMemory allows is refused: the error is a *format.Error of the kind
// format.ErrUnsupported. NewWithin has another limit.
func New(m *format.Model) (*Classifier, error) { return NewWithin(m, DefaultMemory(&m.Manifest)) }

// NewWithin is New for a model that may take so many bytes of memory, as Memory
// counts them.
func NewWithin(m *format.Model, bytes int) (*Classifier, error) {
	if err := CheckMemory(&m.Manifest, bytes); err != nil {
		return nil, err
	}
	return newClassifier(&m.Manifest, newNetwork(m), newHeads(m)), nil
}

// Twin makes another Classifier of the same model, which shares its weights and may be
// used at the same time.
func (c *Classifier) Twin() *Classifier {
	return newClassifier(c.manifest, c.net.twin(c.manifest), c.heads)
}

func newClassifier(m *format.Manifest, net *network, heads []head) *Classifier {
	n, views := m.Classes(), m.Views()
	c := &Classifier{
		manifest: m,
		joint:    Joint{n, views},
		pre:      newPreprocessor(m.Input),
		net:      net,
		heads:    heads,
		input:    make([]float32, m.Input.Channels*m.Input.Height*m.Input.Width),
		features: make([]feature, views),
		views:    make([]float32, views*n),
		result:   Result{Logits: make([]float32, n), Probabilities: make([]float32, n)},
	}
	width := m.Shapes()[len(m.Layers)].Channels
	for j := range c.features {
		c.features[j].z = make([]float32, width)
	}
	return c
}

// Begin announces an image of width x height pixels, each 1 to MaxSide.
func (c *Classifier) Begin(width, height int) error {
	c.inputRows, c.tracing, c.testing = 0, false, nil
	c.restart()
	return c.pre.begin(width, height)
}

// Rows takes the next whole rows of the image, 4 bytes a pixel: red, green,
// blue and straight (not premultiplied) alpha, which is composed over black.
// Anything but whole rows, and rows beyond the announced height, are an error.
func (c *Classifier) Rows(rgba []byte) error { return c.pre.rows(rgba) }

// restart forgets what the network made of the image.
func (c *Classifier) restart() {
	c.passes, c.group, c.view, c.turned, c.layer, c.part, c.viewRows = 0, 0, 0, 0, 0, 0, 0
}

// Input returns a copy of the preprocessed image, dense (C, H, W), normalised as the net
// wants it, once all its rows are there.
func (c *Classifier) Input() ([]float32, error) {
	if _, err := c.prepare(math.MaxInt); err != nil {
		return nil, err
	}
	return planes(c.input, c.manifest.Input.Channels), nil
}

// prepare goes on with the input until it is complete or about so much work is done, and
// returns what is left of that.
func (c *Classifier) prepare(work int) (left int, err error) {
	if err := c.pre.complete(); err != nil {
		return 0, err
	}
	in := &c.manifest.Input
	for ; c.inputRows < in.Height && work > 0; c.inputRows++ {
		c.pre.finish(c.input, c.inputRows)
		work -= inputWork * in.Channels * in.Width
	}
	return work, nil
}

// Run classifies the image that was given. The error is ErrMode if the slab does not
// have the mode, or says that the image is not complete.
func (c *Classifier) Run(mode Mode) (*Result, error) { return c.RunBudget(mode, math.MaxInt) }

// RunBudget is Run in pieces, for a caller that may want to stop: once it has done
// about so much work, as Work counts it, it returns, with no result yet, and resumes
// when it is called again.
func (c *Classifier) RunBudget(mode Mode, work int) (*Result, error) {
	mode, err := ResolveMode(c.manifest, mode)
	if err != nil {
		return nil, err
	}
	views := 1
	if mode == Aggregated {
		views = c.joint.Views
	}
	temperature := c.manifest.Temperature(mode.String())
	for {
		if work, err = c.runViews(views, work); c.passes < views {
			return nil, err
		}
		work -= c.predict(mode, views)
		if mode != Adaptive {
			break
		}
		if TakesExit(c.manifest.Exits, views-1, c.result.Logits) {
			temperature = c.manifest.Exits[views-1].Temperature
			break
		}
		views++
	}
	softmax(c.result.Probabilities, c.result.Logits, temperature)
	return &c.result, nil
}

// runViews goes on until the features of the first so many views are known, or about
// so much work is done, and returns what is left of that.
func (c *Classifier) runViews(views, work int) (left int, err error) {
	if work, err = c.prepare(work); err != nil {
		return 0, err
	}
	in := &c.manifest.Input
	for c.passes < views && work > 0 {
		if c.group == 0 {
			c.group = min(c.net.group, views-c.passes)
		}
		alone := c.view < c.group
		switch {
		case alone && c.turned < in.Height:
			transformRow(c.net.inputs[c.view], c.input, c.manifest.Transforms[c.passes+c.view], c.turned)
			c.turned++
			work -= viewWork * in.Channels * in.Width
		case alone && c.layer == c.net.from:
			if c.view++; c.view < c.group {
				c.turned, c.layer = 0, 0
			}
		case alone:
			work = c.runLayer(c.view, 1, work)
		case c.layer < len(c.net.layers):
			work = c.runLayer(0, c.group, work)
		default:
			for _, o := range c.net.operands[c.layer-1][:c.group] {
				f := &c.features[c.passes]
				copy(f.z, o.out.pixel(0, 0))
				f.length = length(f.z)
				c.passes++
			}
			c.group, c.view, c.turned, c.layer = 0, 0, 0, 0
		}
	}
	return work, nil
}

// runLayer goes on with the layer that comes next for some views of the group, as network.run
// does, and returns what is left of the work.
func (c *Classifier) runLayer(first, count, work int) (left int) {
	if c.part, work = c.net.run(c.layer, c.part, first, count, work); c.part > 0 {
		return work
	}
	if c.tracing {
		for k := range count {
			c.observe(first + k)
		}
	}
	c.layer++
	return work
}

// predict makes the result, but for its probabilities, of the first so many views, and
// returns the work that it took.
func (c *Classifier) predict(mode Mode, views int) (work int) {
	r, n := &c.result, c.joint.Classes
	r.Mode, r.Passes, r.Views = mode, views, nil
	kind := modes[mode].head
	if mode == Adaptive && views > 1 {
		kind = format.HeadJoint
	}
	h := c.head(kind)
	if kind != format.HeadJoint {
		h.logits(r.Logits, &c.features[0])
		return len(h.w)
	}
	for ; c.viewRows < views; c.viewRows++ {
		h.conditional(c.views[c.viewRows*n:(c.viewRows+1)*n], c.joint, c.viewRows, &c.features[c.viewRows])
		work += len(h.w) / c.joint.Views
	}
	r.Views = c.views[:views*n]
	MeanOfViews(r.Logits, r.Views)
	return work + len(r.Views)
}
