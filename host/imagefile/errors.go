package imagefile

import "errors"

// The kinds of error that Decode and ReadFile return, for errors.Is. Besides, they return
// a context's error and those of the file system.
var (
	ErrNotImage    = errors.New("not an image")
	ErrUnsupported = errors.New("not a kind of image that is read here")
	ErrTooLarge    = errors.New("image too large")
	ErrBroken      = errors.New("broken image")
)

// An Error says why a file cannot be read as an image.
type Error struct {
	Kind   error  // one of the errors above
	Format string // "JPEG", "HEIC", ...; empty if it is not known
	Detail string // what is wrong, and what to do about it
	Err    error  // the cause, if there is one
}

func (e *Error) Error() string {
	s := e.Detail
	if e.Kind == ErrBroken {
		s = "the " + e.Format + " image is broken"
		if e.Detail != "" {
			s += ": " + e.Detail
		}
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Is reports whether target is the error's kind.
func (e *Error) Is(target error) bool { return target == e.Kind }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func broken(format, detail string) error {
	return &Error{Kind: ErrBroken, Format: format, Detail: detail}
}
