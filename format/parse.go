package format

// MaxViews is the largest number of transformations of a slab.
const MaxViews = 256

// Limits of what a manifest may say. Every list has its own, which is looked at before
// the list is read, so that reading takes time in proportion to the file, and memory
// within the file's size and a constant. Whether the weights are really there is checked
// against the file.
const (
	maxManifest = 4 << 20 // bytes
	maxClasses  = 1 << 16
	maxSide     = 4096
	maxChannels = 1 << 16
	maxLayers   = 4096
	maxHeads    = 3
	maxMetrics  = 1024
	maxPlanes   = 16 // elements of a list of one a channel; Validate wants fewer
	maxDims     = 4
	maxCount    = 1 << 53 // of images, steps: exact in JSON
)

// parse reads the manifest. It checks the encoding; Validate checks the meaning.
func parse(b []byte, base int64) (*Manifest, error) {
	c := &cursor{b: b, base: base}
	m := c.manifest()
	if c.off != len(b) {
		c.corrupt(c.off, "trailing bytes after the manifest")
	}
	if c.err != nil {
		return nil, c.err
	}
	return &m, nil
}

func (c *cursor) manifest() (x Manifest) {
	fields := c.object(11, 12)
	c.key("name")
	x.Name = c.rawString()
	c.list("labels", maxClasses, func() { x.Labels = append(x.Labels, c.rawString()) })
	c.list("transforms", MaxViews, func() { x.Transforms = append(x.Transforms, c.transform()) })
	c.key("input")
	x.Input = c.input()
	c.list("layers", maxLayers, func() { x.Layers = append(x.Layers, c.layer()) })
	c.list("heads", maxHeads, func() { x.Heads = append(x.Heads, c.head()) })
	if fields == 12 {
		at := c.off
		c.list("exits", MaxViews, func() { x.Exits = append(x.Exits, c.exit()) })
		if len(x.Exits) == 0 {
			c.corrupt(at, "is empty, and so should not be there")
		}
	}
	c.key("recommended")
	x.Recommended = c.rawString()
	c.list("metrics", maxMetrics, func() { x.Metrics = append(x.Metrics, c.metric()) })
	c.key("provenance")
	x.Provenance = c.provenance()
	c.key("selftest")
	x.SelfTest = c.selfTest()
	c.list("tensors", 2*(maxLayers+maxHeads), func() { x.Tensors = append(x.Tensors, c.tensor()) })
	c.end()
	return
}

func (c *cursor) transform() (x Transform) {
	c.object(2, 2)
	c.key("turns")
	x.Turns = c.integer(3)
	c.list("channels", maxPlanes, func() { x.Channels = append(x.Channels, c.integer(3)) })
	c.end()
	return
}

func (c *cursor) input() (x Input) {
	c.object(5, 5)
	c.key("channels")
	x.Channels = c.integer(maxChannels)
	c.key("height")
	x.Height = c.integer(maxSide)
	c.key("width")
	x.Width = c.integer(maxSide)
	c.list("mean", maxPlanes, func() { x.Mean = append(x.Mean, c.float32()) })
	c.list("std", maxPlanes, func() { x.Std = append(x.Std, c.float32()) })
	c.end()
	return
}

func (c *cursor) layer() (x Layer) {
	c.object(8, 8)
	c.key("name")
	x.Name = c.rawString()
	c.key("op")
	x.Op = c.rawString()
	c.key("input")
	x.Input = c.integer(maxLayers)
	c.key("residual")
	x.Residual = c.integer(maxLayers)
	c.key("out")
	x.Out = c.integer(maxChannels)
	c.key("kernel")
	x.Kernel = c.integer(7)
	c.key("stride")
	x.Stride = c.integer(2)
	c.key("relu")
	x.ReLU = c.boolean()
	c.end()
	return
}

func (c *cursor) head() (x Head) {
	fields := c.object(1, 2)
	c.key("kind")
	x.Kind = c.rawString()
	if fields == 2 {
		c.key("scale")
		at := c.off
		if x.Scale = c.float32(); x.Scale == 0 {
			c.corrupt(at, "is 0, and so should not be there")
		}
	}
	c.end()
	return
}

func (c *cursor) exit() (x Exit) {
	c.object(3, 3)
	c.key("margin")
	x.Margin = c.float32()
	c.key("temperature")
	x.Temperature = c.float32()
	c.key("share")
	x.Share = c.float64()
	c.end()
	return
}

func (c *cursor) metric() (x Metric) {
	fields := c.object(6, 7)
	c.key("mode")
	x.Mode = c.rawString()
	c.key("split")
	x.Split = c.rawString()
	c.key("n")
	x.N = c.integer(maxCount)
	c.key("accuracy")
	x.Accuracy = c.float64()
	c.key("nll")
	x.NLL = c.float64()
	c.key("ece")
	x.ECE = c.float64()
	if fields == 7 {
		c.key("temperature")
		at := c.off
		if x.Temperature = c.float32(); x.Temperature == 0 {
			c.corrupt(at, "is 0, and so should not be there")
		}
	}
	c.end()
	return
}

func (c *cursor) provenance() (x Provenance) {
	c.object(8, 8)
	c.key("tool")
	x.Tool = c.rawString()
	c.key("data")
	x.Data = c.rawString()
	c.key("method")
	x.Method = c.rawString()
	c.key("net")
	x.Net = c.rawString()
	c.key("seed")
	x.Seed = c.integer(maxCount)
	c.key("images")
	x.Images = c.integer(maxCount)
	c.key("epochs")
	x.Epochs = c.integer(maxCount)
	c.key("steps")
	x.Steps = c.integer(maxCount)
	c.end()
	return
}

func (c *cursor) selfTest() (x SelfTest) {
	c.object(2, 2)
	c.key("seed")
	x.Seed = c.integer(maxCount)
	c.key("digest")
	x.Digest = c.digest()
	c.end()
	return
}

func (c *cursor) tensor() (x Tensor) {
	c.object(4, 4)
	c.key("name")
	x.Name = c.rawString()
	c.list("shape", maxDims, func() { x.Shape = append(x.Shape, c.integer(maxChannels*MaxViews)) })
	c.key("offset")
	x.Offset = c.integer(maxCount)
	c.key("sha256")
	x.SHA256 = c.digest()
	c.end()
	return
}
