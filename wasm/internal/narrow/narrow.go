package narrow

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
)

// Module returns a module with short addresses of the stack, the kernels that are named
// narrowed altogether or replaced by another body, and no custom sections. A body is as
// the code section has it. A function that is missing, has an operation that cannot be
// narrowed, or another body that is not valid, is an error.
func Module(module []byte, kernels map[string][]byte) ([]byte, error) {
	sections, err := split(module)
	if err != nil {
		return nil, err
	}
	chosen := map[int]kernel{}
	for name, body := range kernels {
		i, err := find(sections, name)
		if err != nil {
			return nil, err
		}
		if body != nil {
			if err := fits(sections, i, body); err != nil {
				return nil, fmt.Errorf("the body for %s: %w", name, err)
			}
		}
		chosen[i] = kernel{name, body}
	}
	out := []byte(header)
	for _, s := range sections {
		switch s.id {
		case customSection:
			continue
		case codeSection:
			if s.body, err = rewrite(s.body, chosen); err != nil {
				return nil, err
			}
		}
		out = appendSized(append(out, s.id), s.body)
	}
	return out, nil
}

// A kernel is a function that is narrowed, or replaced if it has another body.
type kernel struct {
	name string
	body []byte
}

// find is the number of a function among a module's own.
func find(sections []section, name string) (int, error) {
	names, imported := map[string]int{}, 0
	for _, s := range sections {
		switch s.id {
		case importSection:
			imported, _ = countImports(&reader{b: s.body})
		case customSection:
			readNames(&reader{b: s.body}, names)
		}
	}
	i, ok := names[name]
	if !ok || i < imported {
		return 0, fmt.Errorf("the module has no function %q", name)
	}
	return i - imported, nil
}

// Body returns the narrowed body of a function: what one that replaces it is compared
// with.
func Body(module []byte, name string) ([]byte, error) {
	sections, err := split(module)
	if err != nil {
		return nil, err
	}
	n, err := find(sections, name)
	if err != nil {
		return nil, err
	}
	for _, s := range sections {
		if s.id != codeSection {
			continue
		}
		r := &reader{b: s.body}
		if n >= int(r.unsigned()) {
			break
		}
		for range n {
			r.bytes(int(r.unsigned()))
		}
		body := &reader{b: r.bytes(int(r.unsigned()))}
		f := body.locals(true)
		code, err := body.instructions()
		if err != nil || r.short {
			return nil, errors.Join(fmt.Errorf("%s ends early or has an unknown operation", name), err)
		}
		if f, err = narrow(f, code); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return f, nil
	}
	return nil, fmt.Errorf("%s has no body", name)
}

// fits says why function i of a module cannot have that body.
func fits(sections []section, i int, body []byte) error {
	bodies := map[byte][]byte{}
	for _, s := range sections {
		bodies[s.id] = s.body
	}
	_, imported := countImports(&reader{b: bodies[importSection]})
	g := &reader{b: bodies[globalSection]}
	if imported > 0 || g.unsigned() == 0 || g.byte() != typeI32 || g.byte() != 1 {
		return errors.New("the module's first global is not a stack pointer")
	}
	takes, leaves, err := signature(bodies[typeSection], bodies[functionSection], i)
	if err != nil {
		return err
	}
	return validate(body, takes, leaves)
}

// rewrite rewrites a code section.
func rewrite(section []byte, kernels map[int]kernel) ([]byte, error) {
	r := &reader{b: section}
	n := int(r.unsigned())
	out := binary.AppendUvarint(nil, uint64(n))
	for i := range n {
		body := &reader{b: r.bytes(int(r.unsigned()))}
		k, narrowed := kernels[i]
		f := body.locals(narrowed)
		code, err := body.instructions()
		switch {
		case r.short || err != nil:
			return nil, errors.Join(fmt.Errorf("function %d ends early or has an unknown operation", i), err)
		case k.body != nil:
			f = k.body
		case narrowed:
			if f, err = narrow(f, code); err != nil {
				return nil, fmt.Errorf("%s: %w", k.name, err)
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
