package onnx

// preprocess adds what docs/format.md says under "From an image to the input", and returns
// the normalised input, float32 (N, C, H, W). All sums are of integers below 2^24 in float32
// or 2^53 in float64, so they are exact, and so are the bits of the result.
func (n *net) preprocess(pixels string) string {
	in := n.model.Input
	shape := n.op("Shape", "pixels/shape", pixels)
	side := func(name string, axis int) string {
		return n.op("Slice", "pixels/"+name, shape, n.integers(name+" from", axis), n.integers(name+" to", axis+1))
	}
	height, width := side("height", 1), side("width", 2)

	// RGB gets an opaque alpha; then compose over black.
	missing := n.op("Sub", "pixels/missing", n.integers("four", 4), side("channels", 3))
	pads := n.node("Concat", "pixels/pads", []string{n.integers("seven zeros", 0, 0, 0, 0, 0, 0, 0), missing}, one("axis", 0))
	rgba := n.node("Cast", "pixels/rgba", []string{n.op("Pad", "pixels/padded", pixels, pads, n.tensor("opaque", uint8Type, nil, []byte{255}))}, one("to", float32Type))
	cut := func(name string, from, to int) string {
		return n.op("Slice", "pixels/"+name, rgba, n.integers(name+" from", from), n.integers(name+" to", to), n.integers("axis 3", 3))
	}
	v := n.op("Mul", "pixels/weighted", cut("rgb", 0, 3), cut("alpha", 3, 4))
	v = n.divFloor("pixels/composed", n.op("Add", "pixels/rounded", v, n.scalar(127)), n.scalar(255))
	if in.Channels == 1 {
		luma := n.op("Mul", "luma/weighted", v, n.floats("luma weights", []int{3}, []float32{19595, 38470, 7471}))
		luma = n.node("ReduceSum", "luma/sum", []string{luma, n.integers("axis 3", 3)}, one("keepdims", 1))
		v = n.divFloor("luma", n.op("Add", "luma/rounded", luma, n.scalar(32768)), n.scalar(65536))
	}
	v = n.crop(v, height, width)

	// Across: line = (wx v + 128) div 256, over (N, h, w, C). Down: (wy line + 2^23) div 2^24.
	cropShape := n.op("Shape", "crop/shape", v)
	v = n.node("Cast", "crop/double", []string{v}, one("to", float64Type))
	weights := func(name string, axis, to int) string {
		from := n.op("Slice", name+"/samples", cropShape, n.integers(name+" from", axis), n.integers(name+" to", axis+1))
		return n.tents(name, from, to)
	}
	line := n.op("MatMul", "across/product", weights("across", 2, in.Width), v) // (N, h, W, C)
	line = n.divFloor("across", n.op("Add", "across/rounded", line, n.double(128)), n.double(256))
	line = n.node("Transpose", "across/transposed", []string{line}, list("perm", 0, 2, 1, 3)) // (N, W, h, C)
	level := n.op("MatMul", "down/product", weights("down", 1, in.Height), line)              // (N, W, H, C)
	level = n.divFloor("down", n.op("Add", "down/rounded", level, n.double(1<<23)), n.double(1<<24))
	level = n.node("Transpose", "down/transposed", []string{level}, list("perm", 0, 3, 2, 1)) // (N, C, H, W)
	level = n.node("Cast", "levels", []string{level}, one("to", float32Type))

	unit := n.op("Div", "levels/unit", level, n.scalar(255))
	centred := n.op("Sub", "levels/centred", unit, n.floats("mean", []int{in.Channels, 1, 1}, in.Mean))
	return n.op("Div", "image", centred, n.floats("std", []int{in.Channels, 1, 1}, in.Std))
}

// crop cuts the centred window of the input's aspect ratio out of v (N, h, w, C).
func (n *net) crop(v, h, w string) string {
	in := n.model.Input
	H, W := n.integers("H", in.Height), n.integers("W", in.Width)
	wH, hW := n.op("Mul", "crop/wH", w, H), n.op("Mul", "crop/hW", h, W)
	wide := n.op("GreaterOrEqual", "crop/wide", wH, hW)
	// max(1, (2 a + b) div (2 b))
	fit := func(name, a string, b int) string {
		sum := n.op("Add", name+"/sum", n.op("Mul", name+"/twice", a, n.integers("two", 2)), n.integers(name+"/b", b))
		return n.op("Max", name, n.op("Div", name+"/quotient", sum, n.integers(name+"/2b", 2*b)), n.integers("one", 1))
	}
	cw := n.op("Where", "crop/width", wide, fit("crop/narrower", hW, in.Height), w)
	ch := n.op("Where", "crop/height", wide, h, fit("crop/lower", wH, in.Width))
	from := func(name, side, part string) string {
		return n.op("Div", name, n.op("Sub", name+"/rest", side, part), n.integers("two", 2))
	}
	y, x := from("crop/top", h, ch), from("crop/left", w, cw)
	pair := func(name, a, b string) string { return n.node("Concat", name, []string{a, b}, one("axis", 0)) }
	return n.op("Slice", "crop", v, pair("crop/from", y, x),
		pair("crop/to", n.op("Add", "crop/bottom", y, ch), n.op("Add", "crop/right", x, cw)), n.integers("axes 1 2", 1, 2))
}

// tents adds the integer weights with which samples (a number in a list) become m, as
// float64 (m, samples): see docs/format.md.
func (n *net) tents(name, samples string, m int) string {
	var odd []int // 2o+1
	for o := range m {
		odd = append(odd, 2*o+1)
	}
	two, zero := n.integers("two", 2), n.integers("zero", 0)
	count := n.op("Squeeze", name+"/count", samples)
	i := n.op("Range", name+"/i", n.int64s("from 0", nil, 0), count, n.int64s("by 1", nil, 1))
	position := n.op("Mul", name+"/position", n.op("Add", name+"/odd", n.op("Mul", name+"/even", i, two), n.integers("one", 1)), n.integers(name+"/m", m))
	centre := n.op("Mul", name+"/centre", n.int64s(name+"/outputs", []int{m, 1}, odd...), samples)
	distance := n.op("Abs", name+"/distance", n.op("Sub", name+"/difference", position, centre))
	reach := n.op("Mul", name+"/reach", n.op("Max", name+"/larger", samples, n.integers(name+"/m", m)), two)
	t := n.op("Max", name+"/tents", n.op("Sub", name+"/signed", reach, distance), zero)
	sums := n.op("CumSum", name+"/sums", t, n.int64s("along axis 1", nil, 1))
	total := n.node("ReduceSum", name+"/total", []string{t, n.integers("axis 1", 1)}, one("keepdims", 1))
	scaled := n.op("Add", name+"/scaled", n.op("Mul", name+"/shifted", sums, n.integers("2^17", 1<<17)), total)
	rounded := n.op("Div", name+"/rounded sums", scaled, n.op("Mul", name+"/twice total", total, two))
	before := n.op("Slice", name+"/before", n.op("Pad", name+"/padded", rounded, n.integers("one before", 0, 1, 0, 0)), zero, n.integers("last", -1), n.integers("axis 1", 1))
	return n.node("Cast", name+"/weights", []string{n.op("Sub", name+"/integers", rounded, before)}, one("to", float64Type))
}

// divFloor adds floor(x / d). The quotient of integers is either whole, and then exact, or
// further from a whole number than rounding moves it.
func (n *net) divFloor(name, x, d string) string {
	return n.op("Floor", name, n.op("Div", name+"/exact", x, d))
}
