package format

// Validate checks that a manifest makes sense: that it describes a net that can
// run, and modes, transformations and preprocessing that fit it. The tensor
// table is not looked at. The error is an *Error of kind ErrUnsupported.
func (m *Manifest) Validate() error {
	v := validator{}
	v.labels(m)
	v.input(&m.Input)
	v.transforms(m)
	v.layers(m)
	v.heads(m)
	v.rest(m)
	if v.err != nil {
		return v.err
	}
	return nil
}

// A validator keeps the first complaint.
type validator struct{ err *Error }

func (v *validator) want(ok bool, field, detail string) bool {
	if !ok && v.err == nil {
		v.err = &Error{ErrUnsupported, field, -1, detail}
	}
	return v.err == nil
}

func at(list string, i int) string { return list + "[" + itoa(i) + "]" }

func (v *validator) labels(m *Manifest) {
	n := len(m.Labels)
	v.want(n >= 1 && n <= maxClasses, "labels", "want 1 to "+itoa(maxClasses)+" classes, have "+itoa(n))
	seen := make(map[string]bool, n)
	for i, l := range m.Labels {
		v.want(l != "", at("labels", i), "is empty")
		v.want(!seen[l], at("labels", i), "repeats the label "+l)
		seen[l] = true
	}
}

func (v *validator) input(in *Input) {
	v.want(in.Channels == 1 || in.Channels == 3, "input.channels",
		"the image path gives 1 (grey) or 3 (RGB) channels, the slab wants "+itoa(in.Channels))
	v.want(in.Height >= 1 && in.Height <= maxSide && in.Width >= 1 && in.Width <= maxSide, "input",
		"want sides of 1 to "+itoa(maxSide)+" pixels, have "+itoa(in.Width)+"x"+itoa(in.Height))
	v.want(len(in.Mean) == in.Channels && len(in.Std) == in.Channels, "input.mean",
		"want one mean and one std a channel")
	for i, s := range in.Std {
		v.want(s > 0 && s-s == 0, at("input.std", i), "is not a positive number")
	}
	for i, s := range in.Mean {
		v.want(s-s == 0, at("input.mean", i), "is not finite")
	}
}

func (v *validator) transforms(m *Manifest) {
	n := len(m.Transforms)
	v.want(n >= 1 && n <= maxViews, "transforms", "want 1 to "+itoa(maxViews)+" of them, have "+itoa(n))
	for i, t := range m.Transforms {
		field := at("transforms", i)
		v.want(t.Turns >= 0 && t.Turns <= 3, field+".turns", "want 0 to 3 quarter turns")
		v.want(t.Turns%2 == 0 || m.Input.Height == m.Input.Width, field+".turns",
			"an odd quarter turn needs a square input")
		used, identity := 0, t.Turns == 0
		for c, from := range t.Channels {
			if from >= 0 && from < m.Input.Channels {
				used |= 1 << from
			}
			identity = identity && c == from
		}
		v.want(len(t.Channels) == m.Input.Channels && used == 1<<m.Input.Channels-1, field+".channels",
			"is not a permutation of the input's channels")
		v.want(identity == (i == 0), field, "the identity must come first, and only there")
		for j := range i {
			v.want(!sameTransform(m.Transforms[j], t), field, "repeats "+at("transforms", j))
		}
	}
}

func sameTransform(a, b Transform) bool {
	if a.Turns != b.Turns || len(a.Channels) != len(b.Channels) {
		return false
	}
	for i := range a.Channels {
		if a.Channels[i] != b.Channels[i] {
			return false
		}
	}
	return true
}

func (v *validator) layers(m *Manifest) {
	n := len(m.Layers)
	if !v.want(n >= 1 && n <= maxLayers, "layers", "want 1 to "+itoa(maxLayers)+" of them, have "+itoa(n)) {
		return
	}
	shapes := make([]Shape, 1, n+1)
	shapes[0] = Shape{m.Input.Channels, m.Input.Height, m.Input.Width}
	names := make(map[string]bool, n)
	for i := range m.Layers {
		l, field := &m.Layers[i], at("layers", i)
		v.want(l.Name != "" && !names[l.Name], field+".name", "is empty or repeats another's")
		names[l.Name] = true
		v.want((l.Op == OpMean) == (i == n-1), field+".op", "want mean for the last layer, and only there")
		if !v.want(l.Input >= 0 && l.Input <= i, field+".input", "want a value before this layer, 0 to "+itoa(i)) {
			return
		}
		switch in := shapes[l.Input]; l.Op {
		case OpConv:
			v.want(l.Kernel%2 == 1 && l.Kernel <= 7, field+".kernel", "want 1, 3, 5 or 7")
			v.window(l, field)
		case OpShortcut:
			v.want(l.Out >= in.Channels, field+".out", "a shortcut cannot drop channels")
			v.want(l.Kernel == 0 && l.Residual == 0 && !l.ReLU, field, "a shortcut has neither kernel, residual nor ReLU")
			v.window(l, field)
		case OpMean:
			v.want(l.Out == 0 && l.Kernel == 0 && l.Stride == 0 && l.Residual == 0 && !l.ReLU, field,
				"mean takes nothing but its input")
		default:
			v.want(false, field+".op", "want conv, shortcut or mean, have "+l.Op)
		}
		if v.err != nil {
			return
		}
		out := l.outShape(shapes[l.Input])
		if l.Residual != 0 {
			v.want(l.Residual >= 0 && l.Residual <= i && shapes[min(max(l.Residual, 0), i)] == out, field+".residual",
				"want an earlier value of this layer's output shape")
		}
		shapes = append(shapes, out)
	}
}

func (v *validator) window(l *Layer, field string) {
	v.want(l.Out >= 1 && l.Out <= maxChannels, field+".out", "want 1 to "+itoa(maxChannels)+" channels")
	v.want(l.Stride == 1 || l.Stride == 2, field+".stride", "want 1 or 2")
}

func (v *validator) heads(m *Manifest) {
	v.want(len(m.Heads) >= 1, "heads", "want at least one")
	order := []string{HeadClass, HeadJoint, HeadDistilled}
	next := 0
	for i, h := range m.Heads {
		k := next
		for k < len(order) && order[k] != h.Kind {
			k++
		}
		v.want(k < len(order), at("heads", i)+".kind", "want class, joint, distilled, each once at most, in this order")
		next = k + 1
	}
}

func (v *validator) rest(m *Manifest) {
	modes := m.Modes()
	v.want(contains(modes, m.Recommended), "recommended", "the heads do not give the mode "+m.Recommended)
	for i, x := range m.Metrics {
		v.want(contains(modes, x.Mode), at("metrics", i)+".mode", "the heads do not give the mode "+x.Mode)
		v.want(x.Accuracy >= 0 && x.Accuracy <= 1, at("metrics", i)+".accuracy", "want 0 to 1")
	}
	v.want(len(m.SelfTest.Digest) == 32, "selftest.digest", "want 32 bytes")
	p := &m.Provenance
	v.want(p.Seed >= 0 && p.Images >= 0 && p.Epochs >= 0 && p.Steps >= 0 && m.SelfTest.Seed >= 0, "provenance",
		"counts and seeds cannot be negative")
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

// checkTable compares the tensor table with the one the layers and heads call
// for: nothing may be missing, reordered, overlapping, or hidden in a gap.
func (m *Manifest) checkTable() error {
	v := validator{}
	table := m.TensorShapes()
	v.want(len(m.Tensors) == len(table), "tensors", "have "+itoa(len(m.Tensors))+", the layers and heads need "+itoa(len(table)))
	for i := 0; i < len(table) && v.err == nil; i++ {
		have, need, field := &m.Tensors[i], &table[i], at("tensors", i)
		v.want(have.Name == need.Name, field+".name", "want "+need.Name+" here, have "+have.Name)
		v.want(equalInts(have.Shape, need.Shape), field+".shape", "is not the shape that the layer needs")
		v.want(have.Offset == need.Offset, field+".offset", "want "+itoa(need.Offset)+", have "+itoa(have.Offset))
		v.want(len(have.SHA256) == 32, field+".sha256", "want 32 bytes")
	}
	if v.err != nil {
		v.err.Kind = ErrCorrupt
		return v.err
	}
	return nil
}

func equalInts(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}
