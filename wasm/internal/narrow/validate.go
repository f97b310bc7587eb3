package narrow

import (
	"errors"
	"fmt"
	"strings"
)

// Operations that replaced bodies may use, beside those that next knows. A letter is a
// type: i and f have 32 bits, d has 64, v is a vector.
var (
	plainOperations = map[byte]operation{
		0x28: {"i", "i", 2}, 0x2a: {"i", "f", 2}, 0x36: {"ii", "", 2}, 0x38: {"if", "", 2}, // i32.load, f32.load, stores
		0x45: {"i", "i", none},                           // i32.eqz
		0x5d: {"ff", "i", none}, 0x92: {"ff", "f", none}, // f32.lt, add
		0xb6: {"d", "f", none}, 0xbb: {"f", "d", none}, // f32.demote_f64, f64.promote_f32
	}
	vectorOperations = map[uint64]operation{
		0x00: {"i", "v", 4}, 0x0b: {"iv", "", 4}, // v128.load, store
		0x09: {"i", "v", 2}, 0x5c: {"i", "v", 2}, // v128.load32_splat, load32_zero
		0x13: {"f", "v", none},                         // f32x4.splat
		0x5e: {"v", "v", none}, 0x5f: {"v", "v", none}, // f32x4.demote_f64x2_zero, f64x2.promote_low_f32x4
		0xeb: {"vv", "v", none}, // f32x4.pmax
	}
	// laneOperations have the number of a lane behind them, below this one.
	laneOperations = map[uint64]struct {
		operation
		lanes byte
	}{
		0x56: {operation{"iv", "v", 2}, 4}, 0x5b: {operation{"iv", "", 3}, 2}, // v128.load32_lane, store64_lane
	}
)

func init() {
	for op := byte(i32Eq); op <= i32GeU; op++ {
		plainOperations[op] = operation{"ii", "i", none}
	}
	for op := byte(i32Add); op <= i32Rotr; op++ {
		plainOperations[op] = operation{"ii", "i", none}
	}
	for op := byte(i32Mul + 1); op < i32Mul+5; op++ { // divisions trap
		delete(plainOperations, op)
	}
	for op := byte(f64Add); op < f64Add+4; op++ { // add, sub, mul, div
		plainOperations[op] = operation{"dd", "d", none}
	}
	for op := uint64(0); op < 4; op++ {
		vectorOperations[f32x4Add+op] = operation{"vv", "v", none}
		vectorOperations[f64x2Add+op] = operation{"vv", "v", none}
	}
}

// none is the alignment of an operation that accesses no memory.
const none = -1

// An operation takes values and leaves at most one. If it accesses the memory, it has an
// alignment, the largest that it may claim.
type operation struct {
	takes, leaves string
	align         int
}

// maxLocals is more than any body needs.
const maxLocals = 1000

// typeLetters are the letters of the types that replaced bodies may have.
var typeLetters = map[byte]byte{typeI32: 'i', typeF32: 'f', typeF64: 'd', typeV128: 'v'}

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
	case f64Const:
		c.bytes(8)
		c.stack = append(c.stack, 'd')
		return nil
	case vectorPrefix:
		n := c.unsigned()
		if n == v128Const {
			c.bytes(16)
			c.stack = append(c.stack, 'v')
			return nil
		}
		if o, ok := laneOperations[n]; ok {
			if err := c.apply(o.operation); err != nil {
				return err
			}
			if l := c.byte(); l >= o.lanes {
				return fmt.Errorf("lane %d of %d", l, o.lanes)
			}
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
