package gen

// Words of kernel.FinishArgs, kernel.SumPixelsArgs and kernel.MaxPool2Args.
const (
	finishY = iota
	finishResidual
	finishN
	finishReLU
)

const (
	sumX = iota
	sumY
	sumPixels
	sumChannels
	sumXStride
)

const (
	maxX = iota
	maxY
	maxPixels
	maxChannels
	maxXRowStride
	maxXStride
	maxYStride
)

// wide is whether a body treats four channels or one.
type wide bool

func (v wide) get(f *function, p local) {
	f.get(p)
	if v {
		f.vector(opLoadV128)
	} else {
		f.op(opF32Load)
	}
	f.at(0)
}

func (v wide) store(f *function) {
	if v {
		f.vector(opStoreV128)
	} else {
		f.op(opF32Store)
	}
	f.at(0)
}

func (v wide) add(f *function) {
	if v {
		f.vector(opAddF32x4)
	} else {
		f.op(opAddF32)
	}
}

// A larger writes what leaves, of two numbers on the stack, the second if it is larger and
// else the first: NaN and -0 stay.
type larger struct{ first, second local }

func (f *function) larger() larger { return larger{f.local(typeF32), f.local(typeF32)} }

func (l larger) of(f *function, v wide) {
	if v {
		f.vector(opPMaxF32x4)
		return
	}
	f.set(l.second)
	f.set(l.first)
	f.get(l.second)
	f.get(l.first)
	f.get(l.first)
	f.get(l.second)
	f.op(opF32Lt, opSelect)
}

// channels repeats what body writes for every four channels, where there are vectors, and
// then for every one that is left; n, their number, comes to nothing.
func (f *function) channels(n local, vectors bool, body func(v wide, bytes int32)) {
	each := func(v wide, step int32) {
		enough := func() {
			f.get(n)
			f.constant(step)
			f.op(opI32GeS)
		}
		enough()
		f.when(func() {
			f.loop(func() {
				body(v, step*lane)
				f.move(n, n, -step)
				enough()
			})
		})
	}
	if vectors {
		each(true, lanes)
	}
	each(false, 1)
}

// finishBody is the body of kernel.Finish.
func finishBody(vectors bool) []byte {
	f := &function{}
	args := f.begin()
	y, residual, n, relu := f.field(args, finishY), f.field(args, finishResidual), f.field(args, finishN), f.field(args, finishReLU)
	larger := f.larger()
	least := map[wide]local{false: f.local(typeF32)}
	f.leastOf(relu)
	f.set(least[false])
	if vectors {
		least[true] = f.local(typeV128)
		f.get(least[false])
		f.vector(opSplatF32x4)
		f.set(least[true])
	}
	run := func(residual ...local) {
		f.channels(n, vectors, func(v wide, bytes int32) {
			f.get(y)
			v.get(f, y)
			for _, r := range residual {
				v.get(f, r)
				v.add(f)
			}
			f.get(least[v])
			larger.of(f, v)
			v.store(f)
			for _, p := range append(residual, y) {
				f.move(p, p, bytes)
			}
		})
	}
	f.get(residual)
	f.op(opIf, noResult)
	run(residual)
	f.op(opElse)
	run()
	f.op(opEnd)
	f.end()
	return f.bytes()
}

// leastOf puts on the stack what outputs are no less than: 0 with ReLU, minus infinity
// without.
func (f *function) leastOf(relu local) {
	f.op(opF32Const, 0, 0, 0, 0)
	f.op(opF32Const, 0, 0, 0x80, 0xff)
	f.get(relu)
	f.op(opSelect)
}

// sumPixelsBody is the body of kernel.SumPixels: for four channels or one, all pixels.
func sumPixelsBody(vectors bool) []byte {
	f := &function{}
	args := f.begin()
	x, y, pixels, n := f.field(args, sumX), f.field(args, sumY), f.field(args, sumPixels), f.field(args, sumChannels)
	stride := f.stride(args, sumXStride)
	p, left := f.i32(), f.i32()
	sums := map[wide]local{false: f.local(typeF32)}
	if vectors {
		sums[true] = f.local(typeV128)
	}
	f.get(pixels)
	f.when(func() {
		f.channels(n, vectors, func(v wide, bytes int32) {
			v.get(f, y)
			f.set(sums[v])
			f.move(p, x, 0)
			f.move(left, pixels, 0)
			f.repeat(left, 1, func() {
				f.get(sums[v])
				v.get(f, p)
				v.add(f)
				f.set(sums[v])
				f.sum(p, p, stride)
			})
			f.get(y)
			f.get(sums[v])
			v.store(f)
			f.move(x, x, bytes)
			f.move(y, y, bytes)
		})
	})
	f.end()
	return f.bytes()
}

// maxPool2Body is the body of kernel.MaxPool2.
func maxPool2Body(vectors bool) []byte {
	f := &function{}
	args := f.begin()
	x, y, pixels, n := f.field(args, maxX), f.field(args, maxY), f.field(args, maxPixels), f.field(args, maxChannels)
	xRow, xStride, yStride := f.stride(args, maxXRowStride), f.stride(args, maxXStride), f.stride(args, maxYStride)
	from, to, left := f.locals(typeI32, 4), f.i32(), f.i32()
	larger := f.larger()
	f.repeat(pixels, 1, func() {
		f.move(from[0], x, 0)
		f.sum(from[1], x, xStride)
		f.sum(from[2], x, xRow)
		f.sum(from[3], from[2], xStride)
		f.move(to, y, 0)
		f.move(left, n, 0)
		f.channels(left, vectors, func(v wide, bytes int32) {
			f.get(to)
			v.get(f, from[0])
			for _, p := range from[1:] {
				v.get(f, p)
				larger.of(f, v)
			}
			v.store(f)
			for _, p := range append(from[:4:4], to) {
				f.move(p, p, bytes)
			}
		})
		f.sum(x, x, xStride)
		f.sum(x, x, xStride)
		f.sum(y, y, yStride)
	})
	f.end()
	return f.bytes()
}
