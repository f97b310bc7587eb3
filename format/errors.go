package format

import (
	"errors"
	"strconv"
)

var (
	// ErrNotSlab says that the bytes do not begin as a slab does.
	ErrNotSlab = errors.New("not a slab")
	// ErrVersion says that the slab needs a newer reader than this one.
	ErrVersion = errors.New("unsupported slab version")
	// ErrCorrupt says that the slab is damaged or not in canonical form.
	ErrCorrupt = errors.New("corrupt slab")
	// ErrUnsupported says that the slab is whole but describes something that
	// this version cannot run, such as a four-channel input.
	ErrUnsupported = errors.New("unsupported model")
)

// An Error tells what is wrong with a slab and where. errors.Is finds its Kind.
type Error struct {
	Kind   error  // ErrNotSlab, ErrVersion, ErrCorrupt or ErrUnsupported
	Field  string // the manifest field or part of the file, such as "layers[3].kernel"
	Offset int64  // bytes from the start of the slab; -1 where a field has no one place
	Detail string // what was wrong with it
}

func (e *Error) Error() string {
	s := e.Kind.Error() + ": " + e.Field
	if e.Offset >= 0 {
		s += " at byte " + strconv.FormatInt(e.Offset, 10)
	}
	return s + ": " + e.Detail
}

// Unwrap returns the Kind.
func (e *Error) Unwrap() error { return e.Kind }

func itoa[T ~int | ~int64 | ~uint32 | ~uint64](v T) string {
	return strconv.FormatInt(int64(v), 10)
}
