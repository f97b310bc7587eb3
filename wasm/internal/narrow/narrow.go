package narrow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Module gives a module with short addresses of the stack, the named functions
// narrowed altogether, and no custom sections. A function that is missing, or has an
// operation that cannot be narrowed, is an error.
func Module(module []byte, functions ...string) ([]byte, error) {
	sections, err := split(module)
	if err != nil {
		return nil, err
	}
	names, imported := map[string]int{}, 0
	for _, s := range sections {
		switch s.id {
		case importSection:
			imported = countFunctions(&reader{b: s.body})
		case customSection:
			readNames(&reader{b: s.body}, names)
		}
	}
	whole := map[int]string{}
	for _, f := range functions {
		i, ok := names[f]
		if !ok || i < imported {
			return nil, fmt.Errorf("the module has no function %q", f)
		}
		whole[i-imported] = f
	}
	out := []byte(header)
	for _, s := range sections {
		switch s.id {
		case customSection:
			continue
		case codeSection:
			if s.body, err = rewrite(s.body, whole); err != nil {
				return nil, err
			}
		}
		out = appendSized(append(out, s.id), s.body)
	}
	return out, nil
}

// rewrite rewrites a code section; the functions in whole are narrowed altogether.
func rewrite(section []byte, whole map[int]string) ([]byte, error) {
	r := &reader{b: section}
	n := int(r.unsigned())
	out := binary.AppendUvarint(nil, uint64(n))
	for i := range n {
		body := &reader{b: r.bytes(int(r.unsigned()))}
		name, narrowed := whole[i]
		f := body.locals(narrowed)
		code, err := body.instructions()
		switch {
		case r.short || err != nil:
			return nil, errors.Join(fmt.Errorf("function %d ends early or has an unknown operation", i), err)
		case narrowed:
			if f, err = narrow(f, code); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		default:
			f = shorten(f, code)
		}
		out = appendSized(out, f)
	}
	return out, nil
}

// shorten appends code to a function, with short addresses of the stack: its pointer,
// the one address of 32 bits that Go has, and a constant, which becomes the offset of a
// load that follows.
func shorten(f []byte, code []instruction) []byte {
	sum := []byte{i64ExtendI32U, i64Const, i64Add, i32WrapI64}
	for i := 0; i < len(code); i++ {
		if i+len(sum) > len(code) || !slices.EqualFunc(code[i:i+len(sum)], sum, func(x instruction, op byte) bool { return x.op == op }) {
			f = append(append(f, code[i].op), code[i].immediates...)
			continue
		}
		v := (&reader{b: code[i+1].immediates}).signed()
		i += len(sum) - 1
		if v >= 0 && i+1 < len(code) && code[i+1].op >= i32Load && code[i+1].op <= i64Load32U {
			i++
			r := &reader{b: code[i].immediates}
			align, offset := r.unsigned(), r.unsigned()
			if offset += uint64(v); offset < 1<<31 {
				f = binary.AppendUvarint(append(f, code[i].op), align)
				f = binary.AppendUvarint(f, offset)
				continue
			}
			i--
		}
		f = append(appendSigned(append(f, i32Const), int64(int32(v))), i32Add)
	}
	return f
}

// narrow appends code to a function, every 64-bit operation taken for its 32-bit one.
func narrow(f []byte, code []instruction) ([]byte, error) {
	zeroTests := 0 // in a row
	for _, x := range code {
		op, r := x.op, &reader{b: x.immediates}
		if op == i32Eqz || op == i64Eqz {
			zeroTests++
			f = append(f, i32Eqz)
			continue
		}
		if op == brIf || op == ifElse { // which need two tests only for 64 bits
			f = f[:len(f)-zeroTests/2*2]
		}
		zeroTests = 0
		switch {
		case slices.Contains(unchanged, op):
			f = append(append(f, op), x.immediates...)
		case op == i32WrapI64 || op == i64ExtendI32S || op == i64ExtendI32U: // nothing
		case (op == block || op == loop || op == ifElse) && len(x.immediates) == 1 && x.immediates[0] >= noResult: // not a function's type
			f = append(f, op, narrowType(x.immediates[0]))
		case op == i64Load: // its lower half comes first
			f = binary.AppendUvarint(append(f, i32Load), min(r.unsigned(), 2))
			f = append(f, r.b...)
		case op == i64Const:
			v := r.signed()
			if v != int64(int32(v)) {
				return nil, fmt.Errorf("the constant %d has more than 32 bits", v)
			}
			f = appendSigned(append(f, i32Const), v)
		case op >= i64Eq && op <= i64GeU:
			f = append(f, op-i64Eq+i32Eq)
		case op == i64Add || op == i64Sub || op == i64Mul:
			f = append(f, op-i64Add+i32Add)
		case (op == globalGet || op == globalSet) && r.unsigned() == stackPointer:
			f = append(append(f, op), x.immediates...)
		default:
			return nil, fmt.Errorf("operation %#x % x cannot be narrowed", op, x.immediates)
		}
	}
	return f, nil
}

func narrowType(t byte) byte {
	if t == typeI64 {
		return typeI32
	}
	return t
}
