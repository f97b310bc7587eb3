package format

// Limits of what a manifest may say. They keep every product of them within 63
// bits; whether the weights are really there is checked against the file.
const (
	maxManifest = 4 << 20 // bytes
	maxClasses  = 1 << 16
	maxViews    = 256
	maxSide     = 4096
	maxChannels = 1 << 16
	maxLayers   = 4096
	maxCount    = 1 << 53 // of images, steps: exact in JSON
)

// parse reads the manifest. It checks the encoding; validate checks the meaning.
func parse(b []byte, base int64) (*Manifest, error) {
	c := &cursor{b: b, base: base}
	m := new(Manifest)
	c.fields(func(key string) {
		switch key {
		case "name":
			m.Name = c.rawString()
		case "labels":
			m.Labels = list(c, c.rawString)
		case "transforms":
			m.Transforms = list(c, c.transform)
		case "input":
			m.Input = c.input()
		case "layers":
			m.Layers = list(c, c.layer)
		case "heads":
			m.Heads = list(c, c.head)
		case "recommended":
			m.Recommended = c.rawString()
		case "metrics":
			m.Metrics = list(c, c.metric)
		case "provenance":
			m.Provenance = c.provenance()
		case "selftest":
			m.SelfTest = c.selfTest()
		case "tensors":
			m.Tensors = list(c, c.tensor)
		}
	}, "name", "labels", "transforms", "input", "layers", "heads", "recommended",
		"metrics", "provenance", "selftest", "tensors")
	if c.err == nil && c.off != len(b) {
		c.corrupt(c.off, "trailing bytes after the manifest")
	}
	if c.err != nil {
		return nil, c.err
	}
	return m, nil
}

func (c *cursor) transform() (t Transform) {
	c.fields(func(key string) {
		switch key {
		case "turns":
			t.Turns = c.integer(3)
		case "channels":
			t.Channels = list(c, func() int { return c.integer(3) })
		}
	}, "turns", "channels")
	return
}

func (c *cursor) input() (in Input) {
	c.fields(func(key string) {
		switch key {
		case "channels":
			in.Channels = c.integer(maxChannels)
		case "height":
			in.Height = c.integer(maxSide)
		case "width":
			in.Width = c.integer(maxSide)
		case "mean":
			in.Mean = list(c, c.float32)
		case "std":
			in.Std = list(c, c.float32)
		}
	}, "channels", "height", "width", "mean", "std")
	return
}

func (c *cursor) layer() (l Layer) {
	c.fields(func(key string) {
		switch key {
		case "name":
			l.Name = c.rawString()
		case "op":
			l.Op = c.rawString()
		case "input":
			l.Input = c.integer(maxLayers)
		case "residual":
			l.Residual = c.integer(maxLayers)
		case "out":
			l.Out = c.integer(maxChannels)
		case "kernel":
			l.Kernel = c.integer(7)
		case "stride":
			l.Stride = c.integer(2)
		case "relu":
			l.ReLU = c.boolean()
		}
	}, "name", "op", "input", "residual", "out", "kernel", "stride", "relu")
	return
}

func (c *cursor) head() (h Head) {
	c.fields(func(string) { h.Kind = c.rawString() }, "kind")
	return
}

func (c *cursor) metric() (m Metric) {
	c.fields(func(key string) {
		switch key {
		case "mode":
			m.Mode = c.rawString()
		case "split":
			m.Split = c.rawString()
		case "n":
			m.N = c.integer(maxCount)
		case "accuracy":
			m.Accuracy = c.float64()
		case "nll":
			m.NLL = c.float64()
		case "ece":
			m.ECE = c.float64()
		}
	}, "mode", "split", "n", "accuracy", "nll", "ece")
	return
}

func (c *cursor) provenance() (p Provenance) {
	c.fields(func(key string) {
		switch key {
		case "tool":
			p.Tool = c.rawString()
		case "data":
			p.Data = c.rawString()
		case "method":
			p.Method = c.rawString()
		case "net":
			p.Net = c.rawString()
		case "seed":
			p.Seed = c.integer(maxCount)
		case "images":
			p.Images = c.integer(maxCount)
		case "epochs":
			p.Epochs = c.integer(maxCount)
		case "steps":
			p.Steps = c.integer(maxCount)
		}
	}, "tool", "data", "method", "net", "seed", "images", "epochs", "steps")
	return
}

func (c *cursor) selfTest() (s SelfTest) {
	c.fields(func(key string) {
		switch key {
		case "seed":
			s.Seed = c.integer(maxCount)
		case "digest":
			s.Digest = c.bytes()
		}
	}, "seed", "digest")
	return
}

func (c *cursor) tensor() (t Tensor) {
	c.fields(func(key string) {
		switch key {
		case "name":
			t.Name = c.rawString()
		case "shape":
			t.Shape = list(c, func() int { return c.integer(maxChannels * maxViews) })
		case "offset":
			t.Offset = c.integer(maxCount)
		case "sha256":
			t.SHA256 = c.bytes()
		}
	}, "name", "shape", "offset", "sha256")
	return
}
