package narrow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// The parts of WebAssembly's binary format that are used here, by their names in the
// specification.
const (
	header = "\x00asm\x01\x00\x00\x00"

	customSection, typeSection, importSection    = 0, 1, 2
	functionSection, globalSection, codeSection  = 3, 6, 10
	noResult, typeOfFunction                     = 0x40, 0x60
	typeV128, typeF64, typeF32, typeI64, typeI32 = 0x7b, 0x7c, 0x7d, 0x7e, 0x7f

	block, loop, ifElse, br, brIf, brTable = 0x02, 0x03, 0x04, 0x0c, 0x0d, 0x0e
	call, callIndirect                     = 0x10, 0x11
	localGet, localSet, localTee           = 0x20, 0x21, 0x22
	globalGet, globalSet, tableSet         = 0x23, 0x24, 0x26
	i32Load, i64Load, f32Load, f32Store    = 0x28, 0x29, 0x2a, 0x38
	i64Load32U, i64Store32                 = 0x35, 0x3e
	memorySize, memoryGrow                 = 0x3f, 0x40
	i32Const, i64Const, f32Const, f64Const = 0x41, 0x42, 0x43, 0x44
	i32Eqz, i32Eq, i32GeU                  = 0x45, 0x46, 0x4f
	i64Eqz, i64Eq, i64GeU                  = 0x50, 0x51, 0x5a
	i32Add, i64Add, i64Sub, i64Mul         = 0x6a, 0x7c, 0x7d, 0x7e
	i32WrapI64                             = 0xa7
	i64ExtendI32S, i64ExtendI32U           = 0xac, 0xad
	i64Extend32S                           = 0xc4
	more                                   = 0xfc // and another number
	memoryCopy, memoryFill                 = 10, 11
	i32Mul, i32Rotr, f64Add                = 0x6c, 0x78, 0xa0
	vectorPrefix                           = 0xfd // and another number
	f32x4Add, f64x2Add                     = 0xe4, 0xf0
	v128Const                              = 0x0c
)

// stackPointer is Go's, the only global that kernels use and one of 32 bits.
const stackPointer = 0

// unchanged are the operations without 64-bit operands or results that kernels use.
var unchanged = []byte{
	0x00, 0x01, 0x05, 0x0b, 0x0f, 0x1a, 0x1b, // unreachable, nop, else, end, return, drop, select
	br, brIf, localGet, localSet, localTee, i32Load, f32Load, 0x36, f32Store, i32Const, f32Const, // 0x36: i32.store
	i32Eq, 0x47, 0x48, 0x49, 0x4a, 0x4b, 0x4c, 0x4d, 0x4e, i32GeU,
	0x5b, 0x5c, 0x5d, 0x5e, 0x5f, 0x60, // f32.eq to f32.ge
	i32Add, 0x6b, 0x6c, 0x71, 0x72, 0x73, // i32.sub, mul, and, or, xor
	0x8c, 0x91, 0x92, 0x93, 0x94, 0x95, // f32.neg, sqrt, add, sub, mul, div
	0xbc, 0xbe, // i32.reinterpret_f32, f32.reinterpret_i32
}

type section struct {
	id   byte
	body []byte
}

// split takes a module apart.
func split(module []byte) (sections []section, err error) {
	if len(module) < len(header) || string(module[:len(header)]) != header {
		return nil, errors.New("this is no WebAssembly module")
	}
	r := &reader{b: module[len(header):]}
	for len(r.b) > 0 {
		sections = append(sections, section{r.byte(), r.bytes(int(r.unsigned()))})
	}
	if r.short {
		return nil, errors.New("the module ends early")
	}
	return sections, nil
}

// A reader takes bytes apart. What is asked of it behind their end is zero.
type reader struct {
	b     []byte
	short bool // something was asked behind the end, or is no number
}

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.b, r.short = nil, true
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// unsigned is a LEB128 number of at most 32 bits.
func (r *reader) unsigned() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > 1<<32-1 {
		r.bytes(-1)
		return 0
	}
	r.bytes(n)
	return v
}

// signed is a LEB128 number of at most 64 bits.
func (r *reader) signed() (v int64) {
	for shift := 0; shift < 70; shift += 7 {
		b := r.byte()
		v |= int64(b&0x7f) << shift
		if b < 0x80 {
			if b&0x40 != 0 && shift+7 < 64 {
				v |= -1 << (shift + 7)
			}
			return v
		}
	}
	r.bytes(-1)
	return 0
}

func appendSigned(out []byte, v int64) []byte {
	for v < -64 || v > 63 {
		out = append(out, byte(v)|0x80)
		v >>= 7
	}
	return append(out, byte(v)&0x7f)
}

// appendSized appends bytes behind their number.
func appendSized(out, b []byte) []byte {
	return append(binary.AppendUvarint(out, uint64(len(b))), b...)
}

// locals is the declaration of a function's locals, narrowed or not.
func (r *reader) locals(narrowed bool) []byte {
	groups := r.unsigned()
	out := binary.AppendUvarint(nil, groups)
	for i := uint64(0); i < groups && !r.short; i++ {
		out = binary.AppendUvarint(out, r.unsigned())
		t := r.byte()
		if narrowed {
			t = narrowType(t)
		}
		out = append(out, t)
	}
	return out
}

// An instruction is an operation with its immediates.
type instruction struct {
	op         byte
	immediates []byte
}

// instructions are all that is left.
func (r *reader) instructions() (code []instruction, err error) {
	for len(r.b) > 0 {
		op := r.byte()
		begin := r.b
		switch {
		case op == block || op == loop || op == ifElse:
			r.signed()
		case op == br || op == brIf || op == call || op >= localGet && op <= tableSet:
			r.unsigned()
		case op == brTable:
			for i, n := uint64(0), r.unsigned(); i <= n && !r.short; i++ {
				r.unsigned()
			}
		case op == callIndirect || op >= i32Load && op <= i64Store32:
			r.unsigned()
			r.unsigned()
		case op == memorySize || op == memoryGrow:
			r.byte()
		case op == i32Const || op == i64Const:
			r.signed()
		case op == f32Const:
			r.bytes(4)
		case op == f64Const:
			r.bytes(8)
		case op == more:
			switch n := r.unsigned(); {
			case n == memoryCopy:
				r.bytes(2)
			case n == memoryFill:
				r.bytes(1)
			case n > memoryFill || n == 8 || n == 9: // below 8 are conversions
				return nil, fmt.Errorf("operation %#x %d is not known here", op, n)
			}
		case op <= 0x01 || op == 0x05 || op == 0x0b || op == 0x0f || op == 0x1a || op == 0x1b || op >= i32Eqz && op <= i64Extend32S:
		default:
			return nil, fmt.Errorf("operation %#x is not known here", op)
		}
		code = append(code, instruction{op, begin[:len(begin)-len(r.b)]})
	}
	if r.short {
		return nil, errors.New("it ends within an instruction")
	}
	return code, nil
}

// countImports is the number of functions and of globals in an import section.
func countImports(r *reader) (functions, globals int) {
	limits := func() {
		if most := r.byte()&1 != 0; most {
			r.unsigned()
		}
		r.unsigned()
	}
	for i, n := uint64(0), r.unsigned(); i < n && !r.short; i++ {
		r.bytes(int(r.unsigned()))
		r.bytes(int(r.unsigned()))
		switch r.byte() {
		case 0: // a function, with its type
			r.unsigned()
			functions++
		case 1: // a table: element type, limits
			r.byte()
			limits()
		case 2: // a memory
			limits()
		case 3: // a global: type, whether it changes
			r.bytes(2)
			globals++
		}
	}
	return functions, globals
}

// signature returns the types that function i of a module's own takes and leaves, as
// letters; types and functions are the sections.
func signature(types, functions []byte, i int) (takes, leaves string, err error) {
	f := &reader{b: functions}
	n := int(f.unsigned())
	t := uint64(0)
	for range min(i, n) + 1 {
		t = f.unsigned()
	}
	r := &reader{b: types}
	if f.short || i >= n || t >= r.unsigned() {
		return "", "", errors.New("it has no type")
	}
	list := func() (letters string) {
		for _, t := range r.bytes(int(r.unsigned())) {
			letter, ok := typeLetters[t]
			if !ok {
				letter = '!'
			}
			letters += string(letter)
		}
		return letters
	}
	for range t + 1 {
		if r.byte() != typeOfFunction {
			return "", "", errors.New("it has a type that is not known here")
		}
		takes, leaves = list(), list()
	}
	if r.short || strings.ContainsRune(takes+leaves, '!') {
		return "", "", errors.New("it has a type that is not known here")
	}
	return takes, leaves, nil
}

// readNames adds the function names of a custom section, if it has them.
func readNames(r *reader, names map[string]int) {
	if string(r.bytes(int(r.unsigned()))) != "name" {
		return
	}
	for len(r.b) > 0 {
		id := r.byte()
		part := &reader{b: r.bytes(int(r.unsigned()))}
		if id != 1 { // of functions
			continue
		}
		for i, n := uint64(0), part.unsigned(); i < n && !part.short; i++ {
			function := int(part.unsigned())
			names[string(part.bytes(int(part.unsigned())))] = function
		}
	}
}
