package gen

// Words of kernel.WinogradInputArgs and kernel.WinogradOutputArgs.
const (
	inputX = iota
	inputY
	inputXRowStride
	inputXStride
	inputYStride
	inputChannels
)

const (
	outputX = iota
	outputY
	outputBias
	outputResidual
	outputXStride
	outputYRowStride
	outputYStride
	outputResidualRowStride
	outputChannels
	outputReLU
)

// Sides of a tile: kernel.OutputTile and kernel.InputTile.
const outputTile, inputTile = 4, 6

// Both transforms keep what is between their directions in the frames that the plain
// kernels have below the stack pointer.
const (
	inputFrame  = inputTile * inputTile * vector
	outputFrame = outputTile*inputTile*vector + vector
)

// A transform is a Winograd transform while it is written.
type transform struct {
	*function
	frame local
	four  local
	v, t  []local // what is transformed, and beside it
}

func newTransform(f *function, frame int32) *transform {
	t := &transform{function: f, frame: f.i32(), four: f.local(typeV128), v: f.locals(typeV128, inputTile), t: f.locals(typeV128, 4)}
	f.op(opGlobalGet, stackPointer)
	f.constant(-frame)
	f.op(opI32Add)
	f.set(t.frame)
	// By way of memory: a constant that it can see wazero makes anew wherever it is used.
	f.get(t.frame)
	f.op(opF32Const, 0, 0, 0x80, 0x40, opF32Store)
	f.at(0)
	f.splat(t.four, t.frame, 0)
	return t
}

// times4 multiplies what is on the stack.
func (t *transform) times4() {
	t.get(t.four)
	t.vector(opMulF32x4)
}

// binary sets a local to a sum or a difference.
func (t *transform) binary(to, a local, op uint64, b local) {
	t.get(a)
	t.get(b)
	t.vector(op)
	t.set(to)
}

// input is Bᵀ in one direction, in place.
func (t *transform) input() {
	a, b, c, d, e, f := t.v[0], t.v[1], t.v[2], t.v[3], t.v[4], t.v[5]
	p, q, r, s := t.t[0], t.t[1], t.t[2], t.t[3]
	t.get(d)
	t.get(b)
	t.times4()
	t.vector(opSubF32x4)
	t.set(p)
	t.get(e)
	t.get(c)
	t.times4()
	t.vector(opSubF32x4)
	t.set(q)
	t.binary(r, d, opSubF32x4, b)
	t.binary(s, e, opSubF32x4, c)
	t.get(s)
	t.get(a)
	t.get(c)
	t.vector(opSubF32x4)
	t.times4()
	t.vector(opAddF32x4)
	t.set(a)
	t.get(f)
	t.get(d)
	t.vector(opSubF32x4)
	t.get(r)
	t.times4()
	t.vector(opSubF32x4)
	t.set(f)
	t.binary(r, r, opAddF32x4, r)
	t.binary(b, q, opAddF32x4, p)
	t.binary(c, q, opSubF32x4, p)
	t.binary(d, s, opAddF32x4, r)
	t.binary(e, s, opSubF32x4, r)
}

// output is Aᵀ in one direction, in place; it leaves four numbers.
func (t *transform) output() {
	a, b, c, d, e, f := t.v[0], t.v[1], t.v[2], t.v[3], t.v[4], t.v[5]
	s, u, p, q := t.t[0], t.t[1], t.t[2], t.t[3]
	t.binary(s, b, opAddF32x4, c)
	t.binary(u, b, opSubF32x4, c)
	t.binary(p, d, opAddF32x4, e)
	t.binary(q, d, opSubF32x4, e)
	t.binary(q, q, opAddF32x4, q)
	t.binary(a, a, opAddF32x4, s)
	t.binary(a, a, opAddF32x4, p)
	t.binary(b, u, opAddF32x4, q)
	t.get(s)
	t.get(p)
	t.times4()
	t.vector(opAddF32x4)
	t.set(c)
	t.get(u)
	t.get(q)
	t.times4()
	t.vector(opAddF32x4)
	t.get(f)
	t.vector(opAddF32x4)
	t.set(d)
}

// winogradInputBody is the body of kernel.WinogradInput, four channels at a time.
func winogradInputBody() []byte {
	f := &function{}
	args := f.begin()
	x, y, channels := f.field(args, inputX), f.field(args, inputY), f.field(args, inputChannels)
	xRow, xStride, yStride := f.stride(args, inputXRowStride), f.stride(args, inputXStride), f.stride(args, inputYStride)
	yRow := f.i32()
	f.scale(yRow, yStride, inputTile)
	t := newTransform(f, inputFrame)
	pointers := f.locals(typeI32, inputTile)
	f.op(opBlock, noResult)
	f.repeat(channels, lanes, func() {
		f.equidistant(pointers, x, xStride)
		f.ahead(t.frame, inputFrame-lane)
		for i := range inputTile {
			for j, p := range pointers {
				f.load(t.v[j], p, 0)
				f.sum(p, p, xRow)
			}
			t.input()
			for j, v := range t.v {
				f.store(t.frame, vector*(i*inputTile+j), v)
			}
			f.cut(pointers[0])
		}
		f.equidistant(pointers, y, yRow)
		for j := range inputTile {
			for i, v := range t.v {
				f.load(v, t.frame, vector*(i*inputTile+j))
			}
			t.input()
			for i, p := range pointers {
				f.store(p, 0, t.v[i])
				f.sum(p, p, yStride)
			}
			f.cut(pointers[0])
		}
		f.move(x, x, vector)
		f.move(y, y, vector)
	})
	f.op(opEnd)
	f.end()
	return f.bytes()
}

// winogradOutputBody is the body of kernel.WinogradOutput, four channels at a time. No
// residual is one of -0 everywhere, which changes no sum, and no ReLU is one below minus
// infinity: what is known about addresses (see ahead) would not outlast a branch.
func winogradOutputBody() []byte {
	f := &function{}
	args := f.begin()
	x, y, bias, residual := f.field(args, outputX), f.field(args, outputY), f.field(args, outputBias), f.field(args, outputResidual)
	xStride, yRow, yStride := f.stride(args, outputXStride), f.stride(args, outputYRowStride), f.stride(args, outputYStride)
	residualRow, channels, relu := f.stride(args, outputResidualRowStride), f.field(args, outputChannels), f.field(args, outputReLU)
	xRow, residualStride, step := f.i32(), f.i32(), f.i32()
	f.scale(xRow, xStride, inputTile)
	t := newTransform(f, outputFrame)
	least := f.local(typeV128)

	f.leastOf(relu)
	f.vector(opSplatF32x4)
	f.set(least)

	f.move(residualStride, yStride, 0)
	f.constant(vector)
	f.set(step)
	f.get(residual)
	f.op(opI32Eqz)
	f.when(func() {
		f.move(residual, t.frame, outputFrame-vector)
		f.get(residual)
		f.op(opF32Const, 0, 0, 0, 0x80) // -0
		f.vector(opSplatF32x4)
		f.vector(opStoreV128)
		f.at(0)
		for _, l := range []local{residualStride, residualRow, step} {
			f.constant(0)
			f.set(l)
		}
	})
	pointers, ys, rs := f.locals(typeI32, inputTile), f.locals(typeI32, outputTile), f.locals(typeI32, outputTile)
	f.op(opBlock, noResult)
	f.repeat(channels, lanes, func() {
		f.equidistant(pointers, x, xRow)
		f.ahead(t.frame, outputFrame-lane)
		for j := range inputTile {
			for i, p := range pointers {
				f.load(t.v[i], p, 0)
				f.sum(p, p, xStride)
			}
			t.output()
			for i := range outputTile {
				f.store(t.frame, vector*(i*inputTile+j), t.v[i])
			}
			f.cut(pointers[0])
		}
		f.equidistant(ys, y, yStride)
		f.equidistant(rs, residual, residualStride)
		for i := range outputTile {
			for j, v := range t.v {
				f.load(v, t.frame, vector*(i*inputTile+j))
			}
			t.output()
			for j := range outputTile {
				f.get(ys[j])
				f.get(t.v[j])
				f.get(bias)
				f.vector(opLoadV128)
				f.at(0)
				f.vector(opAddF32x4)
				f.get(rs[j])
				f.vector(opLoadV128)
				f.at(0)
				f.vector(opAddF32x4)
				f.get(least)
				f.vector(opPMaxF32x4) // NaN and -0 stay
				f.vector(opStoreV128)
				f.at(0)
				f.sum(ys[j], ys[j], yRow)
				f.sum(rs[j], rs[j], residualRow)
			}
			f.cut(ys[0])
		}
		f.move(x, x, vector)
		f.move(y, y, vector)
		f.move(bias, bias, vector)
		f.sum(residual, residual, step)
	})
	f.op(opEnd)
	f.end()
	return f.bytes()
}
