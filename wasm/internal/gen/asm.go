package gen

import "encoding/binary"

// Operations by their names in WebAssembly's specification. Vector operations have a
// prefix, which emit writes.
const (
	opBlock, opLoop, opIf        = 0x02, 0x03, 0x04
	opElse, opEnd                = 0x05, 0x0b
	opBr, opBrIf                 = 0x0c, 0x0d
	opDrop                       = 0x1a
	opSelect                     = 0x1b
	opLocalGet, opLocalSet       = 0x20, 0x21
	opLocalTee                   = 0x22
	opGlobalGet, opGlobalSet     = 0x23, 0x24
	opI32Load, opF32Load         = 0x28, 0x2a
	opI32Store, opF32Store       = 0x36, 0x38
	opI32Const                   = 0x41
	opF32Const, opF64Const       = 0x43, 0x44
	opI32Eqz, opI32Eq, opI32Ne   = 0x45, 0x46, 0x47
	opI32LtU, opI32GtS, opI32GeS = 0x49, 0x4a, 0x4e
	opI32Add, opI32Sub, opI32Mul = 0x6a, 0x6b, 0x6c
	opI32And, opI32Or, opI32Xor  = 0x71, 0x72, 0x73
	opI32ShrU                    = 0x76
	opI32Rotl, opI32Rotr         = 0x77, 0x78
	opF32Lt, opAddF32            = 0x5d, 0x92
	opAddF64, opSubF64           = 0xa0, 0xa1
	opMulF64, opDivF64           = 0xa2, 0xa3
	opDemoteF32, opPromoteF64    = 0xb6, 0xbb

	prefix                     = 0xfd
	opLoadV128, opStoreV128    = 0x00, 0x0b
	opLoad32Splat              = 0x09
	opConstV128                = 0x0c
	opSplatF32x4               = 0x13
	opLoad32Lane, opLoad32Zero = 0x56, 0x5c
	opStore64Lane              = 0x5b
	opDemoteF32x4              = 0x5e
	opPromoteLowF64x2          = 0x5f
	opAddF32x4, opSubF32x4     = 0xe4, 0xe5
	opMulF32x4, opPMaxF32x4    = 0xe6, 0xeb
	opAddF64x2, opSubF64x2     = 0xf0, 0xf1
	opMulF64x2, opDivF64x2     = 0xf2, 0xf3

	noResult          = 0x40
	typeI32, typeF32  = 0x7f, 0x7d
	typeF64, typeV128 = 0x7c, 0x7b
)

// A local is a variable of a function.
type local int

// A function is the body of one that is being written. The module's functions take
// one i32, where Go resumes them, and return one, whether to leave the goroutine: 0.
type function struct {
	types []byte // of the locals behind the parameter
	code  []byte
}

func (f *function) local(t byte) local {
	f.types = append(f.types, t)
	return local(len(f.types)) // local 0 is the parameter
}

func (f *function) i32() local { return f.local(typeI32) }

func (f *function) locals(t byte, n int) []local {
	l := make([]local, n)
	for i := range l {
		l[i] = f.local(t)
	}
	return l
}

// bytes is the body as a code section has it.
func (f *function) bytes() []byte {
	out := binary.AppendUvarint(nil, uint64(len(f.types)))
	for _, t := range f.types {
		out = append(out, 1, t)
	}
	return append(append(out, f.code...), opEnd)
}

func (f *function) op(ops ...byte) { f.code = append(f.code, ops...) }

func (f *function) vector(op uint64) { f.code = binary.AppendUvarint(append(f.code, prefix), op) }

func (f *function) get(l local) { f.code = binary.AppendUvarint(append(f.code, opLocalGet), uint64(l)) }
func (f *function) set(l local) { f.code = binary.AppendUvarint(append(f.code, opLocalSet), uint64(l)) }
func (f *function) tee(l local) { f.code = binary.AppendUvarint(append(f.code, opLocalTee), uint64(l)) }

func (f *function) constant(v int32) {
	f.code = append(f.code, opI32Const)
	for v < -64 || v > 63 {
		f.code = append(f.code, byte(v)|0x80)
		v >>= 7
	}
	f.code = append(f.code, byte(v)&0x7f)
}

// bits writes a constant's eight bytes.
func (f *function) bits(v uint64) { f.code = binary.LittleEndian.AppendUint64(f.code, v) }

// at writes what a memory operation has behind it: an alignment of four bytes, the
// offset.
func (f *function) at(offset int) { f.code = binary.AppendUvarint(append(f.code, 2), uint64(offset)) }

// move sets a local to another plus a constant.
func (f *function) move(to, from local, by int32) {
	f.get(from)
	if by != 0 {
		f.constant(by)
		f.op(opI32Add)
	}
	f.set(to)
}

// equidistant sets pointers, the first to p and each at a distance from the last.
func (f *function) equidistant(pointers []local, p, distance local) {
	f.move(pointers[0], p, 0)
	for i := 1; i < len(pointers); i++ {
		f.sum(pointers[i], pointers[i-1], distance)
	}
}

// sum sets a local to the sum of two others.
func (f *function) sum(to, a, b local) {
	f.get(a)
	f.get(b)
	f.op(opI32Add)
	f.set(to)
}

// scale sets a local to another times a constant.
func (f *function) scale(to, from local, by int32) {
	f.get(from)
	f.constant(by)
	f.op(opI32Mul)
	f.set(to)
}

func (f *function) load(to, p local, offset int) {
	f.get(p)
	f.vector(opLoadV128)
	f.at(offset)
	f.set(to)
}

func (f *function) store(p local, offset int, v local) {
	f.get(p)
	f.get(v)
	f.vector(opStoreV128)
	f.at(offset)
}

func (f *function) splat(to, p local, offset int) {
	f.get(p)
	f.vector(opLoad32Splat)
	f.at(offset)
	f.set(to)
}

// ahead looks at the farthest float that will be read or written at a pointer. Whoever
// checks bounds before each access, as wazero does, need not check the others.
func (f *function) ahead(p local, offset int) {
	f.get(p)
	f.op(opF32Load)
	f.at(offset)
	f.op(opDrop)
}

// loop repeats what body writes while the condition that it leaves holds. The branch
// back has a block of its own: only then does wazero fuse the condition with it.
func (f *function) loop(body func()) {
	f.op(opLoop, noResult)
	body()
	f.op(opIf, noResult, opBr, 1, opEnd, opEnd)
}

// cutLoop is loop for a body with cuts.
func (f *function) cutLoop(body func()) {
	f.op(opBlock, noResult)
	f.loop(body)
	f.op(opEnd)
}

// cut ends a basic block: no pointer is zero. TurboFan before V8 12 moves arithmetic
// past the loads of a basic block, so that with too many of them it spills what it
// loaded; and it drops a test that it has seen before, so every cut of a turn of a loop
// has a value of its own.
func (f *function) cut(pointer local) {
	f.get(pointer)
	f.op(opIf, noResult, opElse, opBr, 2, opEnd)
}

// repeat repeats what body writes while n, from which it takes so many, is positive.
func (f *function) repeat(n local, by int32, body func()) {
	f.loop(func() {
		body()
		f.move(n, n, -by)
		f.get(n)
		f.constant(0)
		f.op(opI32GtS)
	})
}

// when writes what is done if the condition that is on the stack holds.
func (f *function) when(body func()) {
	f.op(opIf, noResult)
	body()
	f.op(opEnd)
}

// Go's calling convention: global 0 is the stack pointer, which points to the return
// address; the arguments are behind it.
const (
	stackPointer = 0
	word         = 8
)

// parameter reads word i of a function's parameters, an address or a length.
func (f *function) parameter(i int) local {
	l := f.i32()
	f.op(opGlobalGet, stackPointer, opI32Load)
	f.at(word * (1 + i))
	f.set(l)
	return l
}

// begin reads a kernel's only parameter, a pointer to its arguments.
func (f *function) begin() (args local) { return f.parameter(0) }

// end returns: it takes the return address off the stack.
func (f *function) end() {
	f.op(opGlobalGet, stackPointer)
	f.constant(word)
	f.op(opI32Add, opGlobalSet, stackPointer)
	f.constant(0)
}

// field reads word i of the kernel's arguments, whose upper half is zero.
func (f *function) field(args local, i int) local {
	l := f.i32()
	f.get(args)
	f.op(opI32Load)
	f.at(word * i)
	f.set(l)
	return l
}

// stride reads a field that counts floats, in bytes.
func (f *function) stride(args local, i int) local {
	l := f.field(args, i)
	f.scale(l, l, 4)
	return l
}
