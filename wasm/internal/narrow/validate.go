package narrow

import (
	"errors"
	"fmt"
	"strings"
)

// Operations with a fixed alignment, operands and result, of those that replaced
// bodies may use. A letter is a type: i and f have 32 bits, v is a vector.
var (
	plainOperations = map[byte]operation{
		0x6a: {"ii", "i", -1}, 0x6b: {"ii", "i", -1}, 0x6c: {"ii", "i", -1}, // i32.add, sub, mul
		0x71: {"ii", "i", -1}, 0x72: {"ii", "i", -1}, 0x73: {"ii", "i", -1}, // and, or, xor
		0x74: {"ii", "i", -1}, 0x75: {"ii", "i", -1}, 0x76: {"ii", "i", -1}, // shl, shr_s, shr_u
		0x45: {"i", "i", -1},                                                                                              // i32.eqz
		0x46: {"ii", "i", -1}, 0x47: {"ii", "i", -1}, 0x48: {"ii", "i", -1}, 0x49: {"ii", "i", -1}, 0x4a: {"ii", "i", -1}, // eq, ne, lt, gt
		0x4b: {"ii", "i", -1}, 0x4c: {"ii", "i", -1}, 0x4d: {"ii", "i", -1}, 0x4e: {"ii", "i", -1}, 0x4f: {"ii", "i", -1}, // le, ge
		0x77: {"ii", "i", -1}, 0x78: {"ii", "i", -1}, // rotl, rotr
		0x28: {"i", "i", 2}, 0x2a: {"i", "f", 2}, 0x36: {"ii", "", 2}, 0x38: {"if", "", 2}, // loads and stores
		0x2d: {"i", "i", 0}, 0x2f: {"i", "i", 1}, 0x3a: {"ii", "", 0}, 0x3b: {"ii", "", 1}, // of 8 and 16 bits
	}
	vectorOperations = map[uint64]operation{
		0x00: {"i", "v", 4}, 0x09: {"i", "v", 2}, 0x0b: {"iv", "", 4}, // v128.load, load32_splat, store
		0x01: {"i", "v", 3}, 0x02: {"i", "v", 3}, 0x03: {"i", "v", 3}, 0x04: {"i", "v", 3}, // load8x8, load16x4
		0x11: {"i", "v", -1}, 0x13: {"f", "v", -1}, // i32x4.splat, f32x4.splat
		0x43: {"vv", "v", -1}, 0x4e: {"vv", "v", -1}, 0x4f: {"vv", "v", -1}, 0x50: {"vv", "v", -1}, 0x51: {"vv", "v", -1}, // f32x4.lt, v128.and, andnot, or, xor
		0xab: {"vi", "v", -1}, 0xad: {"vi", "v", -1}, 0xae: {"vv", "v", -1}, 0xb1: {"vv", "v", -1}, 0xb5: {"vv", "v", -1}, // i32x4.shl, shr_u, add, sub, mul
		0xe4: {"vv", "v", -1}, 0xe5: {"vv", "v", -1}, 0xe6: {"vv", "v", -1}, 0xe7: {"vv", "v", -1}, // f32x4.add, sub, mul, div
		0xeb: {"vv", "v", -1}, // f32x4.pmax
	}
)

// An operation takes values and leaves at most one. With an alignment of 0 or more it
// accesses the memory, and that is the largest that it may claim.
type operation struct {
	takes, leaves string
	align         int
}

// maxLocals is more than any body needs.
const maxLocals = 1000

// typeLetters are the letters of the types that replaced bodies may have.
var typeLetters = map[byte]byte{typeI32: 'i', 0x7d: 'f', typeV128: 'v'}

// A frame is a block that is open.
type frame struct {
	op          byte
	result      string // what it leaves
	height      int    // of the stack where it began
	unreachable bool
}

// A checker checks a function's body as the specification's appendix has it.
type checker struct {
	*reader
	locals string
	stack  []byte
	frames []frame
}

// validate says what is wrong with the body of a function that takes and leaves
// values of these types: operations that are not known here, operands of other types,
// branches that lead nowhere. Of a module it may use the memory and the stack pointer.
func validate(body []byte, takes, leaves string) (err error) {
	c := &checker{reader: &reader{b: body}, locals: takes}
	for i, n := uint64(0), c.unsigned(); i < n && !c.short; i++ {
		count, letter := c.unsigned(), typeLetters[c.byte()]
		if letter == 0 || count > maxLocals-uint64(len(c.locals)) {
			return errors.New("its locals have unknown types, or are too many")
		}
		c.locals += strings.Repeat(string(letter), int(count))
	}
	c.frames = []frame{{op: block, result: leaves}}
	for len(c.frames) > 0 {
		at := len(body) - len(c.b)
		if err := c.next(); err != nil {
			return fmt.Errorf("byte %d: %w", at, err)
		}
	}
	if len(c.b) > 0 || c.short {
		return errors.New("it does not end where its last block does")
	}
	return nil
}

func (c *checker) next() error {
	op := c.byte()
	if c.short {
		return errors.New("it ends early")
	}
	f := &c.frames[len(c.frames)-1]
	switch op {
	case block, loop, ifElse:
		if op == ifElse {
			if err := c.pop("i"); err != nil {
				return err
			}
		}
		t := c.byte()
		result := ""
		if t != noResult {
			if typeLetters[t] == 0 {
				return fmt.Errorf("a block of type %#x", t)
			}
			result = string(typeLetters[t])
		}
		c.frames = append(c.frames, frame{op: op, result: result, height: len(c.stack)})
		return nil
	case 0x05, 0x0b: // else, end
		if err := c.pop(f.result); err != nil {
			return err
		}
		if len(c.stack) != f.height {
			return errors.New("a block leaves values that nobody takes")
		}
		if op == 0x05 && f.op != ifElse || op == 0x0b && f.op == ifElse && f.result != "" {
			return errors.New("an else and an if that do not belong together")
		}
		if op == 0x05 {
			f.op, f.unreachable = 0x05, false
			return nil
		}
		c.stack = append(c.stack, f.result...)
		c.frames = c.frames[:len(c.frames)-1]
		return nil
	case br, brIf:
		depth := int(c.unsigned())
		if depth >= len(c.frames) {
			return fmt.Errorf("a branch out of %d blocks, of %d", depth+1, len(c.frames))
		}
		if op == brIf {
			if err := c.pop("i"); err != nil {
				return err
			}
		}
		label := ""
		if to := c.frames[len(c.frames)-1-depth]; to.op != loop {
			label = to.result
		}
		if err := c.pop(label); err != nil {
			return err
		}
		if op == brIf {
			c.stack = append(c.stack, label...)
		} else {
			c.stack, f.unreachable = c.stack[:f.height], true
		}
		return nil
	case 0x1a: // drop
		return c.pop("?")
	case 0x1b: // select
		if err := c.pop("ffi"); err != nil {
			return errors.New("a select of anything but floats")
		}
		c.stack = append(c.stack, 'f')
		return nil
	case localGet, localSet, localTee:
		i := c.unsigned()
		if i >= uint64(len(c.locals)) {
			return fmt.Errorf("there is no local %d", i)
		}
		t := c.locals[i : i+1]
		if op != localGet {
			if err := c.pop(t); err != nil {
				return err
			}
		}
		if op != localSet {
			c.stack = append(c.stack, t...)
		}
		return nil
	case globalGet, globalSet:
		if i := c.unsigned(); i != stackPointer {
			return fmt.Errorf("global %d is not the stack pointer", i)
		}
		if op == globalSet {
			return c.pop("i")
		}
		c.stack = append(c.stack, 'i')
		return nil
	case i32Const:
		if v := c.signed(); v != int64(int32(v)) {
			return fmt.Errorf("the constant %d has more than 32 bits", v)
		}
		c.stack = append(c.stack, 'i')
		return nil
	case f32Const:
		c.bytes(4)
		c.stack = append(c.stack, 'f')
		return nil
	case vectorPrefix:
		n := c.unsigned()
		if n == v128Const {
			c.bytes(16)
			c.stack = append(c.stack, 'v')
			return nil
		}
		o, ok := vectorOperations[n]
		if !ok {
			return fmt.Errorf("operation %#x %#x is not known here", op, n)
		}
		return c.apply(o)
	}
	o, ok := plainOperations[op]
	if !ok {
		return fmt.Errorf("operation %#x is not known here", op)
	}
	return c.apply(o)
}

func (c *checker) apply(o operation) error {
	if o.align >= 0 {
		if align := c.unsigned(); align > uint64(o.align) {
			return fmt.Errorf("an alignment of 2^%d bytes, at most 2^%d are possible", align, o.align)
		}
		c.unsigned()
	}
	if err := c.pop(o.takes); err != nil {
		return err
	}
	c.stack = append(c.stack, o.leaves...)
	return nil
}

// pop takes values of these types off the stack, the last one first; ? is any.
func (c *checker) pop(types string) error {
	f := &c.frames[len(c.frames)-1]
	for i := len(types) - 1; i >= 0; i-- {
		if len(c.stack) == f.height {
			if f.unreachable {
				continue
			}
			return fmt.Errorf("an operand is missing: %q are wanted", types)
		}
		t := c.stack[len(c.stack)-1]
		c.stack = c.stack[:len(c.stack)-1]
		if types[i] != '?' && t != types[i] {
			return fmt.Errorf("an operand of type %c where %c is wanted", t, types[i])
		}
	}
	return nil
}
