package format

import (
	"math"
	"unicode/utf8"
)

// A cursor pulls canonical MessagePack values out of the manifest one by one.
// The caller says what must come next, so unknown, duplicate, missing and
// misplaced fields are all "not the expected key". The first error sticks and
// every later pull returns a zero value.
type cursor struct {
	b    []byte // the whole manifest
	off  int    // next byte
	base int64  // offset of b in the slab
	path []byte // the field being read, such as "layers[3].kernel"
	open []int  // for each map being read, the length of the path to it
	err  error
}

func (c *cursor) fail(kind error, at int, detail string) {
	if c.err == nil {
		field := string(c.path)
		if field == "" {
			field = "manifest"
		}
		c.err = &Error{kind, field, c.base + int64(at), detail}
	}
}

func (c *cursor) corrupt(at int, detail string) { c.fail(ErrCorrupt, at, detail) }

// take returns the next n bytes, or nil if they are not there.
func (c *cursor) take(n int) []byte {
	if c.err != nil {
		return nil
	}
	if n > len(c.b)-c.off {
		c.corrupt(c.off, "the manifest ends inside it")
		return nil
	}
	s := c.b[c.off : c.off+n]
	c.off += n
	return s
}

// uintN reads an n-byte big-endian integer.
func (c *cursor) uintN(n int) uint64 {
	var v uint64
	for _, x := range c.take(n) {
		v = v<<8 | uint64(x)
	}
	return v
}

func (c *cursor) tag() byte {
	if b := c.take(1); b != nil {
		return b[0]
	}
	return 0
}

// header reads the length of a string, array or map. fix is the tag of the
// short form, which holds lengths below fixMax; tags of the long forms follow
// as (tag, bytes) with the number of length bytes 1, 2 or 4.
func (c *cursor) header(what string, fix byte, fixMax int, tag8, tag16, tag32 byte) int {
	at := c.off
	t := c.tag()
	var n uint64
	floor := uint64(0) // lengths below it have a shorter form
	switch {
	case c.err != nil:
		return 0
	case fixMax > 0 && t&^byte(fixMax-1) == fix:
		return int(t) & (fixMax - 1)
	case tag8 != 0 && t == tag8:
		n, floor = c.uintN(1), uint64(fixMax)
	case t == tag16:
		n, floor = c.uintN(2), uint64(fixMax)
		if tag8 != 0 {
			floor = 1 << 8
		}
	case t == tag32:
		n, floor = c.uintN(4), 1<<16
	default:
		c.corrupt(at, "want "+what)
		return 0
	}
	if c.err == nil && n < floor {
		c.corrupt(at, "its length is not in the shortest form")
	}
	// Every element takes at least one byte, so this bounds what a caller allocates.
	if c.err == nil && n > uint64(len(c.b)-c.off) {
		c.corrupt(at, "its length is beyond the end of the manifest")
	}
	if c.err != nil {
		return 0
	}
	return int(n)
}

func (c *cursor) rawString() string {
	at := c.off
	s := c.take(c.header("a string", 0xa0, 32, 0xd9, 0xda, 0xdb))
	if !utf8.Valid(s) {
		c.corrupt(at, "is not UTF-8")
		return ""
	}
	return string(s)
}

// digest reads the 32 bytes of a SHA-256.
func (c *cursor) digest() []byte {
	at := c.off
	// Binary data has no short form: a fixMax of 0 switches that case off.
	b := c.take(c.header("bytes", 0, 0, 0xc4, 0xc5, 0xc6))
	if len(b) != 32 {
		c.corrupt(at, "want 32 bytes")
		return nil
	}
	return append([]byte(nil), b...)
}

// integer reads a non-negative integer of at most max.
func (c *cursor) integer(max int) int {
	at := c.off
	t := c.tag()
	var v, floor uint64
	switch {
	case c.err != nil:
		return 0
	case t < 0x80:
		v = uint64(t)
	case t == 0xcc:
		v, floor = c.uintN(1), 1<<7
	case t == 0xcd:
		v, floor = c.uintN(2), 1<<8
	case t == 0xce:
		v, floor = c.uintN(4), 1<<16
	case t == 0xcf:
		v, floor = c.uintN(8), 1<<32
	default:
		c.corrupt(at, "want a non-negative integer")
		return 0
	}
	switch {
	case c.err != nil:
		return 0
	case v < floor:
		c.corrupt(at, "is not in the shortest form")
		return 0
	case v > uint64(max):
		c.fail(ErrUnsupported, at, "is more than "+itoa(max))
		return 0
	}
	return int(v)
}

func (c *cursor) boolean() bool {
	at := c.off
	switch t := c.tag(); {
	case t == 0xc3:
		return true
	case t != 0xc2:
		c.corrupt(at, "want true or false")
	}
	return false
}

func (c *cursor) float32() float32 {
	at := c.off
	if c.tag() != 0xca {
		c.corrupt(at, "want a 32-bit float")
	}
	v := math.Float32frombits(uint32(c.uintN(4)))
	if !isFinite(v) {
		c.corrupt(at, "is not finite")
	}
	return v
}

func (c *cursor) float64() float64 {
	at := c.off
	if c.tag() != 0xcb {
		c.corrupt(at, "want a 64-bit float")
	}
	v := math.Float64frombits(c.uintN(8))
	if !isFinite(v) {
		c.corrupt(at, "is not finite")
	}
	return v
}

// object begins a map of at least and at most so many fields, and returns their
// number; key then comes before each value and end after the last.
func (c *cursor) object(least, most int) int {
	at := c.off
	n := c.header("a map", 0x80, 16, 0, 0xde, 0xdf)
	if n < least || n > most {
		c.corrupt(at, "has "+itoa(n)+" fields, want "+itoa(least))
	}
	c.open = append(c.open, len(c.path))
	return n
}

// key reads the key of the next field, which must be this one.
func (c *cursor) key(k string) {
	at := c.off
	c.path = c.path[:c.open[len(c.open)-1]]
	if c.rawString() != k {
		c.corrupt(at, "want the field "+k+" here")
	}
	if len(c.path) > 0 {
		c.path = append(c.path, '.')
	}
	c.path = append(c.path, k...)
}

// end closes the innermost map.
func (c *cursor) end() {
	last := len(c.open) - 1
	c.path = c.path[:c.open[last]]
	c.open = c.open[:last]
}

// list reads the next field, an array of at most so many elements, which is looked at
// before the first of them is read: element is called for each.
func (c *cursor) list(key string, most int, element func()) {
	c.key(key)
	at := c.off
	n := c.header("an array", 0x90, 16, 0, 0xdc, 0xdd)
	if n > most {
		c.fail(ErrUnsupported, at, "has "+itoa(n)+" elements, more than "+itoa(most))
	}
	path := len(c.path)
	for i := 0; i < n && c.err == nil; i++ {
		c.path = append(append(append(c.path[:path], '['), itoa(i)...), ']')
		element()
	}
	c.path = c.path[:path]
}
