package gen

import "math"

// Words of kernel.winogradWeightsArgs.
const (
	weightsW = iota
	weightsY
	weightsChannels
	weightsYStride
	weightsOuts
)

// A number is how the transform of weights is computed: one output channel in a float64,
// or two in a vector.
type number struct {
	kind               byte
	add, sub, mul, div func()
	constant           func(float64)
	load               func(offset int)                // of the weights
	store              func(address local, put func()) // of an element
}

// winogradWeightsBody is the body of kernel.winogradWeights. With vectors, it transforms
// two output channels together if there are two.
func winogradWeightsBody(vectors bool) []byte {
	f := &function{}
	args := f.begin()
	w, y, outs := f.field(args, weightsW), f.field(args, weightsY), f.field(args, weightsOuts)
	channels, stride := f.field(args, weightsChannels), f.stride(args, weightsYStride)
	next, left, to, element := f.i32(), f.i32(), f.i32(), f.i32()
	beside := int32(lanes) // kernel.NR
	if vectors {
		beside = group
	}
	f.scale(next, channels, 9*lane) // from the weights of an output channel to those of the next
	scalar := number{
		kind: typeF64,
		add:  func() { f.op(opAddF64) }, sub: func() { f.op(opSubF64) }, mul: func() { f.op(opMulF64) }, div: func() { f.op(opDivF64) },
		constant: func(v float64) { f.op(opF64Const); f.bits(math.Float64bits(v)) },
		load: func(offset int) {
			f.get(w)
			f.op(opF32Load)
			f.at(offset)
			f.op(opPromoteF64)
		},
		store: func(address local, put func()) {
			f.get(address)
			put()
			f.op(opDemoteF32, opF32Store)
			f.at(0)
		},
	}
	// all transforms the weights of every input channel.
	all := func(n number) {
		f.move(left, channels, 0)
		f.move(to, y, 0)
		f.repeat(left, 1, func() {
			f.move(element, to, 0)
			f.transformWeights(n, element, stride)
			f.move(w, w, 9*lane)
			f.move(to, to, beside*lane)
		})
	}
	if vectors {
		f.get(outs)
		f.constant(2)
		f.op(opI32Eq)
		f.when(func() {
			all(number{
				kind: typeV128,
				add:  func() { f.vector(opAddF64x2) }, sub: func() { f.vector(opSubF64x2) }, mul: func() { f.vector(opMulF64x2) }, div: func() { f.vector(opDivF64x2) },
				constant: func(v float64) {
					f.vector(opConstV128)
					f.bits(math.Float64bits(v))
					f.bits(math.Float64bits(v))
				},
				load: func(offset int) {
					f.get(w)
					f.get(next)
					f.op(opI32Add)
					f.get(w)
					f.vector(opLoad32Zero)
					f.at(offset)
					f.vector(opLoad32Lane)
					f.at(offset)
					f.op(1)
					f.vector(opPromoteLowF64x2)
				},
				store: func(address local, put func()) {
					f.get(address)
					put()
					f.vector(opDemoteF32x4)
					f.vector(opStore64Lane)
					f.at(0)
					f.op(0)
				},
			})
			f.constant(0)
			f.set(outs)
		})
	}
	f.get(outs)
	f.when(func() {
		f.repeat(outs, 1, func() {
			all(scalar)
			f.move(y, y, lane) // w is at the next channel's already
		})
	})
	f.end()
	return f.bytes()
}

// transformWeights is GgGᵀ of the nine weights at w, along columns first; its elements go to
// an address and on, so many bytes apart.
func (f *function) transformWeights(n number, address, stride local) {
	g := f.locals(n.kind, 9)
	for i, l := range g {
		n.load(lane * i)
		f.set(l)
	}
	var columns [inputTile][3]local
	for x := range 3 {
		for i, put := range f.weightTransform(n, g[x], g[3+x], g[6+x]) {
			columns[i][x] = f.local(n.kind)
			put()
			f.set(columns[i][x])
		}
	}
	for _, row := range columns {
		for _, put := range f.weightTransform(n, row[0], row[1], row[2]) {
			n.store(address, put)
			f.sum(address, address, stride)
		}
	}
}

// weightTransform is G in one direction: it returns what puts each of its numbers on the stack.
// A product with a power of two has the bits of the sum or the division that it stands for.
func (f *function) weightTransform(n number, a, b, c local) [inputTile]func() {
	s, d, e := f.local(n.kind), f.local(n.kind), f.local(n.kind)
	f.get(a)
	f.get(c)
	n.add()
	f.set(s)
	f.get(a)
	f.get(c)
	n.constant(4)
	n.mul()
	n.add()
	f.set(d)
	f.get(b)
	f.get(b)
	n.add()
	f.set(e)
	of := func(x, y local, op func(), by float64) func() {
		return func() {
			f.get(x)
			f.get(y)
			op()
			n.constant(by)
			n.div()
		}
	}
	return [inputTile]func(){
		func() {
			f.get(a)
			n.constant(1. / 4)
			n.mul()
		},
		of(s, b, n.add, -6), of(b, s, n.sub, 6), of(d, e, n.add, 24), of(d, e, n.sub, 24),
		func() { f.get(c) },
	}
}
