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
	lane    = 4               // bytes
	lanes   = 4               // of a vector
	vector  = lanes * lane    // bytes
	group   = 8               // output channels whose weights stand side by side
	halves  = group / lanes   // vectors of a group
	outputs = 4               // kernel.MR: outputs that are computed together
	step    = halves * vector // bytes of weights for a float of K
	unroll  = 8               // floats of K in a turn of the loop
	whole   = -unroll         // a mask: K without what is left over
	rest    = unroll - 1      // a mask: what is left over
)

// A gemm is kernel.GEMM while it is written.
type gemm struct {
	*function
	a, b, bias, c, m, aStride, cStride, kRows, rowStride, k, groups local

	from, to, left, row, weights, end local
	sums, spread                      []local // vectors
	weight                            local   // a vector
	inputs                            []local // pointers
}

// nrBody is the body of kernel.NR.
func nrBody() []byte {
	f := &function{}
	for i, half := range []int32{group, 0} {
		f.op(opGlobalGet, stackPointer)
		f.constant(half)
		f.op(opI32Store)
		f.at(word + lane*i)
	}
	f.end()
	return f.bytes()
}

// gemmBody is the body of kernel.GEMM: four outputs by eight channels at a time, which are
// eight sums; the sixteen registers of a processor hold them, four inputs and what is
// loaded and multiplied. Weights are read in the order in which they lie in memory, so that
// those which come from a far cache are fetched ahead.
func gemmBody() []byte {
	f := &function{}
	args := f.begin()
	g := &gemm{function: f,
		a: f.field(args, gemmA), b: f.field(args, gemmB), bias: f.field(args, gemmBias), c: f.field(args, gemmC),
		m: f.field(args, gemmM), aStride: f.stride(args, gemmAStride), cStride: f.stride(args, gemmCStride),
		kRows: f.field(args, gemmKRows), rowStride: f.stride(args, gemmARowStride),
		k: f.field(args, gemmK), groups: f.field(args, gemmNGroups),
		from: f.i32(), to: f.i32(), left: f.i32(), row: f.i32(), weights: f.i32(), end: f.i32(),
		sums: f.locals(typeV128, outputs*halves), spread: f.locals(typeV128, outputs), weight: f.local(typeV128),
		inputs: f.locals(typeI32, outputs),
	}
	f.get(g.rowStride)
	f.get(g.k)
	f.constant(lane)
	f.op(opI32Mul, opI32Sub)
	f.set(g.rowStride) // from the end of a row of the window to the next row
	f.repeat(g.groups, 1, func() {
		g.move(g.from, g.a, 0)
		g.move(g.to, g.c, 0)
		g.move(g.left, g.m, 0)
		g.repeat(g.left, outputs, g.some)
		g.move(g.b, g.weights, 0)
		g.move(g.bias, g.bias, group*lane)
		g.move(g.c, g.c, group*lane)
	})
	f.end()
	return f.bytes()
}

// some computes a group of some outputs.
func (g *gemm) some() {
	g.equidistant(g.inputs, g.from, g.aStride)
	g.move(g.weights, g.b, 0)
	g.ahead(g.bias, group*lane-lane)
	for v := range halves {
		g.load(g.sums[v], g.bias, vector*v)
		for p := 1; p < outputs; p++ {
			g.move(g.sums[p*halves+v], g.sums[v], 0)
		}
	}
	g.move(g.row, g.kRows, 0)
	g.repeat(g.row, 1, func() {
		g.run(whole, unroll)
		g.run(rest, 1)
		for _, x := range g.inputs {
			g.sum(x, x, g.rowStride)
		}
	})
	for p := range outputs {
		g.ahead(g.to, group*lane-lane)
		for v := range halves {
			g.store(g.to, vector*v, g.sums[p*halves+v])
		}
		g.sum(g.to, g.to, g.cStride)
		g.sum(g.from, g.from, g.aStride)
	}
}

// run takes as many floats of a row as a mask leaves of K, so many a turn.
func (g *gemm) run(mask int32, unroll int) {
	g.get(g.k)
	g.constant(mask)
	g.op(opI32And)
	g.constant(step)
	g.op(opI32Mul)
	g.get(g.weights)
	g.op(opI32Add)
	g.set(g.end)
	more := func() {
		g.get(g.weights)
		g.get(g.end)
		g.op(opI32Ne)
	}
	more()
	g.when(func() {
		g.cutLoop(func() {
			if unroll > 1 {
				g.ahead(g.weights, unroll*step-lane)
				for _, x := range g.inputs {
					g.ahead(x, unroll*lane-lane)
				}
			}
			cuts := []local{g.end, g.to, g.from, g.m, g.bias, g.c, g.a}
			for k := range unroll {
				g.multiply(k)
				if k+1 < unroll {
					g.cut(cuts[k])
				}
			}
			for _, x := range g.inputs {
				g.move(x, x, int32(unroll*lane))
			}
			g.move(g.weights, g.weights, int32(unroll*step))
			more()
		})
	})
}

// multiply adds the products of float k of each output.
//
// Where an operation writes over its first operand, as in wazero on amd64, a sum that comes
// first stays in its register, and so does an input that comes second. wazero spreads into
// a register that it takes for free, and waits for the last result in it: that is then not
// a product.
func (g *gemm) multiply(k int) {
	for p, x := range g.inputs {
		g.splat(g.spread[p], x, lane*k)
	}
	for v := range halves {
		g.load(g.weight, g.weights, step*k+vector*v)
		for p := range outputs {
			sum := g.sums[p*halves+v]
			g.get(sum)
			g.get(g.weight)
			g.get(g.spread[p])
			g.vector(opMulF32x4)
			g.vector(opAddF32x4)
			g.set(sum)
		}
	}
}
