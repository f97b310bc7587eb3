package gen

// Words of kernel.GEMMArgs.
const (
	gemmA = iota
	gemmB
	gemmBias
	gemmC
	gemmM
	gemmAStride
	gemmCStride
	gemmKRows
	gemmARowStride
	gemmK
	gemmNGroups
)

const (
	nr     = 4          // kernel.NR, as many as a vector holds
	lane   = 4          // bytes
	vector = nr * lane  // bytes
	splats = 4          // inputs that are spread over vectors together
	unroll = 4          // floats of K in a turn of the loop
	whole  = -unroll    // a mask: K without what is left over
	rest   = unroll - 1 // a mask: what is left over
)

// A gemm is kernel.GEMM while it is written.
type gemm struct {
	*function
	a, b, bias, c, m, aStride, cStride, kRows, rowStride, k, groups local

	group                         local // from the weights of a group to those of the next
	from, to, left, row, end      local
	sums, inputs, weights         []local // vectors
	inputPointers, weightPointers []local
}

// gemmBody is the body of kernel.GEMM: two outputs by sixteen channels at a time, and
// four by eight of the last groups. Both are eight sums; the sixteen registers of a
// processor hold them, four inputs and what is loaded and multiplied.
//
// The inputs of two outputs are spread one float ahead. wazero spreads into a register
// that it takes for free, and so waits for the last result in it.
func gemmBody() []byte {
	f := &function{}
	args := f.begin()
	g := &gemm{function: f,
		a: f.field(args, gemmA), b: f.field(args, gemmB), bias: f.field(args, gemmBias), c: f.field(args, gemmC),
		m: f.field(args, gemmM), aStride: f.stride(args, gemmAStride), cStride: f.stride(args, gemmCStride),
		kRows: f.field(args, gemmKRows), rowStride: f.stride(args, gemmARowStride),
		k: f.field(args, gemmK), groups: f.field(args, gemmNGroups),
		group: f.i32(), from: f.i32(), to: f.i32(), left: f.i32(), row: f.i32(), end: f.i32(),
		sums: f.locals(typeV128, 8), inputs: f.locals(typeV128, splats), weights: f.locals(typeV128, 1),
		inputPointers: f.locals(typeI32, 4), weightPointers: f.locals(typeI32, 4),
	}
	f.get(g.k)
	f.get(g.kRows)
	f.op(opI32Mul)
	f.constant(vector)
	f.op(opI32Mul)
	f.set(g.group)
	f.get(g.rowStride)
	f.get(g.k)
	f.constant(lane)
	f.op(opI32Mul, opI32Sub)
	f.set(g.rowStride) // from the end of a row of the window to the next row

	f.get(g.groups)
	f.constant(4)
	f.op(opI32GeS)
	f.when(func() {
		f.loop(func() {
			g.channels(2, 4)
			f.get(g.groups)
			f.constant(4)
			f.op(opI32GeS)
		})
	})
	f.get(g.groups)
	f.when(func() { g.channels(4, 2) })
	f.end()
	return f.bytes()
}

// channels computes some groups of all outputs, so many outputs at a time.
func (g *gemm) channels(outputs, groups int) {
	g.move(g.from, g.a, 0)
	g.move(g.to, g.c, 0)
	g.move(g.left, g.m, 0)
	xs, ws := g.inputPointers[:outputs], g.weightPointers[:groups]
	g.repeat(g.left, int32(outputs), func() {
		g.equidistant(xs, g.from, g.aStride)
		g.equidistant(ws, g.b, g.group)
		g.ahead(g.bias, vector*groups-lane)
		for v := range groups {
			g.load(g.sums[v], g.bias, vector*v)
			for p := 1; p < outputs; p++ {
				g.move(g.sums[p*groups+v], g.sums[v], 0)
			}
		}
		g.move(g.row, g.kRows, 0)
		g.repeat(g.row, 1, func() {
			g.run(xs, ws, whole, unroll)
			g.run(xs, ws, rest, 1)
			for _, x := range xs {
				g.sum(x, x, g.rowStride)
			}
		})
		for p := range outputs {
			g.ahead(g.to, vector*groups-lane)
			for v := range groups {
				g.store(g.to, vector*v, g.sums[p*groups+v])
			}
			g.sum(g.to, g.to, g.cStride)
			g.sum(g.from, g.from, g.aStride)
		}
	})
	for range groups {
		g.sum(g.b, g.b, g.group)
	}
	g.move(g.bias, g.bias, int32(vector*groups))
	g.move(g.c, g.c, int32(vector*groups))
	g.move(g.groups, g.groups, int32(-groups))
}

// run takes as many floats of a row as a mask leaves of K, so many a turn.
func (g *gemm) run(xs, ws []local, mask int32, unroll int) {
	g.get(g.k)
	g.constant(mask)
	g.op(opI32And)
	g.constant(vector)
	g.op(opI32Mul)
	g.get(ws[0])
	g.op(opI32Add)
	g.set(g.end) // of the weights
	more := func() {
		g.get(ws[0])
		g.get(g.end)
		g.op(opI32Ne)
	}
	more()
	g.when(func() {
		g.cutLoop(func() {
			if unroll > 1 {
				for _, w := range ws {
					g.ahead(w, unroll*vector-lane)
				}
				for _, x := range xs {
					g.ahead(x, unroll*lane-lane)
				}
			}
			cuts := []local{g.end, g.to, g.from}
			ahead := splats/len(xs) - 1
			for k := range min(ahead, unroll) {
				g.spread(xs, k)
			}
			for k := range unroll {
				if k+ahead < unroll {
					g.spread(xs, k+ahead)
				}
				g.multiply(xs, ws, k)
				if k+1 < unroll {
					g.cut(cuts[k])
				}
			}
			for _, x := range xs {
				g.move(x, x, int32(unroll*lane))
			}
			for _, w := range ws {
				g.move(w, w, int32(unroll*vector))
			}
			more()
		})
	})
}

// spread spreads float k of each input over a vector.
func (g *gemm) spread(xs []local, k int) {
	for p, x := range xs {
		g.splat(g.inputs[(k*len(xs)+p)%splats], x, lane*k)
	}
}

// multiply adds the products of float k of each output.
func (g *gemm) multiply(xs, ws []local, k int) {
	for v, w := range ws {
		g.load(g.weights[0], w, vector*k)
		for p := range xs {
			sum := g.sums[p*len(ws)+v]
			// The sum comes first: where an operation writes over its first
			// operand, as in wazero on amd64, it so stays in its register.
			g.get(sum)
			g.get(g.inputs[(k*len(xs)+p)%splats])
			g.get(g.weights[0])
			g.vector(opMulF32x4)
			g.vector(opAddF32x4)
			g.set(sum)
		}
	}
}
