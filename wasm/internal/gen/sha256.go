package gen

import "math/bits"

// sha256Body is the body of format.sha256Blocks, of a state and a slice of bytes. Its 64
// rounds are written out, the last sixteen words of the schedule and the state in locals.
func sha256Body() []byte {
	f := &function{}
	state, p, n := f.parameter(0), f.parameter(1), f.parameter(2)
	w, v := f.locals(typeI32, 16), f.locals(typeI32, 8)
	t := f.i32()
	rotate := func(l local, by int32) {
		f.get(l)
		f.constant(by)
		f.op(opI32Rotr)
	}
	// sigma puts the exclusive or of three rotations on the stack, or of two and a shift.
	sigma := func(l local, a, b, c int32, last byte) {
		rotate(l, a)
		rotate(l, b)
		f.op(opI32Xor)
		f.get(l)
		f.constant(c)
		f.op(last, opI32Xor)
	}
	f.op(opBlock, noResult)
	f.loop(func() {
		f.get(n)
		f.constant(64)
		f.op(opI32LtU, opBrIf, 1)
		for i, l := range v {
			f.get(state)
			f.op(opI32Load)
			f.at(4 * i)
			f.set(l)
		}
		for i, l := range w { // big-endian
			f.get(p)
			f.op(opI32Load)
			f.at(4 * i)
			f.tee(l)
			f.constant(8)
			f.op(opI32Rotl)
			f.constant(0x00ff00ff)
			f.op(opI32And)
			rotate(l, 8)
			f.constant(-0xff0100)
			f.op(opI32And, opI32Or)
			f.set(l)
		}
		for i := range 64 {
			now := w[i%16]
			if i >= 16 {
				f.get(now)
				f.get(w[(i-7)%16])
				f.op(opI32Add)
				sigma(w[(i-15)%16], 7, 18, 3, opI32ShrU)
				f.op(opI32Add)
				sigma(w[(i-2)%16], 17, 19, 10, opI32ShrU)
				f.op(opI32Add)
				f.set(now)
			}
			a, b, c, d := v[0], v[1], v[2], v[3]
			e, g, h, last := v[4], v[5], v[6], v[7]
			f.get(last)
			f.get(now)
			f.op(opI32Add)
			f.constant(int32(sha256K(i)))
			f.op(opI32Add)
			sigma(e, 6, 11, 25, opI32Rotr)
			f.op(opI32Add)
			f.get(e) // h ^ e&(g^h) is e&g ^ ^e&h
			f.get(g)
			f.get(h)
			f.op(opI32Xor, opI32And)
			f.get(h)
			f.op(opI32Xor, opI32Add)
			f.set(t)
			f.sum(d, d, t)
			sigma(a, 2, 13, 22, opI32Rotr)
			f.get(a) // a&b | c&(a|b) is a&b ^ a&c ^ b&c
			f.get(b)
			f.op(opI32And)
			f.get(c)
			f.get(a)
			f.get(b)
			f.op(opI32Or, opI32And, opI32Or, opI32Add)
			f.get(t)
			f.op(opI32Add)
			f.set(last)
			v = []local{last, a, b, c, d, e, g, h}
		}
		for i, l := range v {
			f.get(state)
			f.get(state)
			f.op(opI32Load)
			f.at(4 * i)
			f.get(l)
			f.op(opI32Add, opI32Store)
			f.at(4 * i)
		}
		f.move(p, p, 64)
		f.move(n, n, -64)
		f.constant(1)
	})
	f.op(opEnd)
	f.end()
	return f.bytes()
}

// sha256K is constant i of SHA-256: the first 32 bits of the fraction of the cube root
// of prime i (FIPS 180-4, 4.2.2).
func sha256K(i int) uint32 {
	prime := uint64(2)
	for n := 0; ; prime++ {
		divisor := uint64(2)
		for prime%divisor != 0 {
			divisor++
		}
		if divisor != prime {
			continue
		}
		if n == i {
			break
		}
		n++
	}
	// The largest root with root³ <= prime · 2⁹⁶, bit by bit.
	var root uint64
	for bit := uint64(1) << 36; bit > 0; bit >>= 1 {
		if next := root | bit; !cubeAbove(next, prime) {
			root = next
		}
	}
	return uint32(root)
}

// cubeAbove tells whether x³ > p · 2⁹⁶, for x below 2³⁷.
func cubeAbove(x, p uint64) bool {
	hi, lo := bits.Mul64(x, x)
	top, middle := bits.Mul64(lo, x)
	top += hi * x // of x³ = top·2⁶⁴ + middle
	return top > p<<32 || top == p<<32 && middle > 0
}
