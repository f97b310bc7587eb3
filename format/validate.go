package format

import "slices"

// Validate checks that a manifest makes sense: that it describes a net that can
// run, and modes, transformations and preprocessing that fit it. The tensor
// table is not looked at. The error is an *Error of kind ErrUnsupported.
func (m *Manifest) Validate() error {
	v := validator{kind: ErrUnsupported}
	v.labels(m)
	v.input(&m.Input)
	v.transforms(m)
	v.layers(m)
	v.heads(m)
	v.exits(m)
	v.rest(m)
	return v.result()
}

// A validator keeps the first complaint.
type validator struct {
	kind error
	list string // the list whose elements are looked at, or ""
	i    int    // the element
	err  *Error
}

func (v *validator) result() error {
	if v.err != nil {
		return v.err
	}
	return nil
}

// want complains about a field, of element i of the list where there is one,
// unless ok.
func (v *validator) want(ok bool, field, detail string) {
	if ok || v.err != nil {
		return
	}
	if v.list != "" {
		if field != "" {
			field = "." + field
		}
		field = v.list + "[" + itoa(v.i) + "]" + field
	}
	v.err = &Error{v.kind, field, -1, detail}
}

// within complains unless lo <= x <= hi.
func (v *validator) within(x, lo, hi int, field, what string) {
	if x < lo || x > hi {
		v.want(false, field, "want "+itoa(lo)+" to "+itoa(hi)+what+", have "+itoa(x))
	}
}

func (v *validator) labels(m *Manifest) {
	v.within(len(m.Labels), 1, maxClasses, "labels", " classes")
	if v.err != nil {
		return
	}
	seen := make(map[string]bool, len(m.Labels))
	v.list = "labels"
	for i, l := range m.Labels {
		v.i = i
		v.want(l != "", "", "is empty")
		v.want(!seen[l], "", "repeats another label")
		seen[l] = true
	}
	v.list = ""
}

func (v *validator) input(in *Input) {
	if in.Channels != 1 && in.Channels != 3 {
		v.want(false, "input.channels", "images come with 1 (grey) or 3 (RGB) channels, the slab wants "+itoa(in.Channels))
	}
	v.within(in.Height, 1, maxSide, "input.height", " pixels")
	v.within(in.Width, 1, maxSide, "input.width", " pixels")
	v.want(len(in.Mean) == in.Channels && len(in.Std) == in.Channels, "input.mean", "want one mean and one std a channel")
	for i := range in.Mean {
		v.want(isFinite(in.Mean[i]), "input.mean", "is not finite")
	}
	for _, s := range in.Std {
		v.want(s > 0 && isFinite(s), "input.std", "is not a positive number")
	}
}

func (v *validator) transforms(m *Manifest) {
	v.within(len(m.Transforms), 1, MaxViews, "transforms", " transformations")
	if v.err != nil {
		return
	}
	v.list = "transforms"
	for i, t := range m.Transforms {
		v.i = i
		v.within(t.Turns, 0, 3, "turns", " quarter turns")
		v.want(t.Turns%2 == 0 || m.Input.Height == m.Input.Width, "turns", "an odd quarter turn needs a square input")
		used, identity := 0, t.Turns == 0
		for c, from := range t.Channels {
			if from >= 0 && from < m.Input.Channels {
				used |= 1 << from
			}
			identity = identity && c == from
		}
		v.want(len(t.Channels) == m.Input.Channels && used == 1<<m.Input.Channels-1, "channels",
			"is not a permutation of the input's channels")
		v.want(identity == (i == 0), "", "the identity must come first, and only there")
		for j := range i {
			v.want(m.Transforms[j].Turns != t.Turns || !slices.Equal(m.Transforms[j].Channels, t.Channels), "", "repeats an earlier one")
		}
	}
	v.list = ""
}

func (v *validator) layers(m *Manifest) {
	n := len(m.Layers)
	v.within(n, 1, maxLayers, "layers", " layers")
	if v.err != nil {
		return
	}
	v.list = "layers"
	shapes := make([]Shape, 1, n+1)
	shapes[0] = Shape{m.Input.Channels, m.Input.Height, m.Input.Width}
	names := make(map[string]bool, n)
	for i := range m.Layers {
		l := &m.Layers[i]
		v.i = i
		v.want(l.Name != "" && !names[l.Name], "name", "is empty or repeats another's")
		names[l.Name] = true
		v.want((l.Op == OpMean) == (i == n-1), "op", "want mean for the last layer, and only there")
		v.within(l.Input, 0, i, "input", ", a value before this layer")
		v.within(l.Residual, 0, i, "residual", ", a value before this layer")
		if v.err != nil {
			return // the shapes below would make no sense
		}
		in := shapes[l.Input]
		switch l.Op {
		case OpConv:
			v.want(l.Kernel%2 == 1 && l.Kernel > 0 && l.Kernel <= 7, "kernel", "want 1, 3, 5 or 7")
		case OpShortcut:
			v.want(l.Out >= in.Channels, "out", "a shortcut cannot drop channels")
			v.want(l.Kernel == 0 && l.Residual == 0 && !l.ReLU, "", "a shortcut has neither kernel, residual nor ReLU")
		case OpMax:
			v.want(l.Kernel == 2 || l.Kernel == 3, "kernel", "want 2 or 3 for max")
			v.want(l.Out == in.Channels && l.Residual == 0 && !l.ReLU, "", "max keeps the channels, and has neither residual nor ReLU")
			v.want(l.Kernel == 3 || l.Stride == 2 && in.Height > 1 && in.Width > 1, "", "max with kernel 2 has stride 2 and an input of at least 2x2 pixels")
		case OpMean:
			v.want(l.Out == 0 && l.Kernel == 0 && l.Stride == 0 && l.Residual == 0 && !l.ReLU, "", "mean takes nothing but its input")
		default:
			v.want(false, "op", "want conv, shortcut, max or mean")
		}
		if l.Op != OpMean {
			v.within(l.Out, 1, maxChannels, "out", " channels")
			v.within(l.Stride, 1, 2, "stride", "")
		}
		if v.err != nil {
			return
		}
		out := l.outShape(in)
		v.want(l.Residual == 0 || shapes[l.Residual] == out, "residual", "want a value of this layer's output shape")
		shapes = append(shapes, out)
	}
	v.list = ""
}

func (v *validator) heads(m *Manifest) {
	v.within(len(m.Heads), 1, maxHeads, "heads", "")
	if v.err != nil {
		return
	}
	v.list = "heads"
	order := [...]string{HeadClass, HeadJoint, HeadDistilled}
	next := 0
	for i, h := range m.Heads {
		for next < len(order) && order[next] != h.Kind {
			next++
		}
		v.i = i
		v.want(next < len(order), "kind", "want class, joint, distilled, each once at most, in this order")
		next++
		v.want(h.Scale >= 0 && isFinite(h.Scale), "scale", "is negative or not finite")
	}
	v.list = ""
}

func (v *validator) exits(m *Manifest) {
	if len(m.Exits) == 0 {
		return
	}
	v.want(m.HasHead(HeadJoint) && m.HasHead(HeadDistilled), "exits", "need a joint and a distilled head")
	v.within(len(m.Exits), m.Views(), m.Views(), "exits", ", one a transformation")
	v.list = "exits"
	for i, x := range m.Exits {
		v.i = i
		v.want(x.Margin >= 0 && isFinite(x.Margin) && (i < len(m.Exits)-1 || x.Margin == 0), "margin", "is not finite, negative, or not 0 in the last one")
		v.want(x.Temperature > 0 && isFinite(x.Temperature), "temperature", "is not a positive number")
		v.want(x.Share >= 0 && x.Share <= 1, "share", "want 0 to 1")
	}
	v.list = ""
}

func (v *validator) rest(m *Manifest) {
	v.want(m.HasMode(m.Recommended), "recommended", "the slab has neither the head nor the exits that this mode needs")
	v.within(len(m.Metrics), 0, maxMetrics, "metrics", "")
	v.list = "metrics"
	for i, x := range m.Metrics {
		v.i = i
		v.want(m.HasMode(x.Mode), "mode", "the slab has neither the head nor the exits that this mode needs")
		v.want(x.Accuracy >= 0 && x.Accuracy <= 1, "accuracy", "want 0 to 1")
		v.want(x.Temperature >= 0 && isFinite(x.Temperature), "temperature", "is not a positive number")
		v.want(x.Temperature == 0 || x.Mode != ModeAdaptive, "temperature", "the exits of this mode have their own")
		tempered := x.Temperature != 0
		for k := 0; tempered && k < i; k++ {
			v.want(m.Metrics[k].Mode != x.Mode || m.Metrics[k].Temperature == 0, "temperature", "this mode has one already")
		}
	}
	v.list = ""
	v.want(len(m.SelfTest.Digest) == 32, "selftest.digest", "want 32 bytes")
	p := &m.Provenance
	v.want(min(p.Seed, p.Images, p.Epochs, p.Steps, m.SelfTest.Seed) >= 0, "provenance", "counts and seeds cannot be negative")
}

// checkTable compares the tensor table with the one the layers and heads call
// for: nothing may be missing, reordered, overlapping, or hidden in a gap.
func (m *Manifest) checkTable() error {
	v := validator{kind: ErrCorrupt}
	table := m.TensorShapes()
	v.within(len(m.Tensors), len(table), len(table), "tensors", " rows")
	v.list = "tensors"
	for i := 0; i < len(table) && v.err == nil; i++ {
		have, need := &m.Tensors[i], &table[i]
		v.i = i
		v.want(have.Name == need.Name, "name", "is not the tensor that comes here")
		v.want(slices.Equal(have.Shape, need.Shape), "shape", "is not the shape that the layer needs")
		v.within(have.Offset, need.Offset, need.Offset, "offset", "")
		v.want(len(have.SHA256) == 32, "sha256", "want 32 bytes")
	}
	return v.result()
}

func isFinite[F float32 | float64](v F) bool { return v-v == 0 }
