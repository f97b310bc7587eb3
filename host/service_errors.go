package host

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/sla"
)

// An httpError is a failure that a client is told.
type httpError struct {
	status        int
	code, message string
}

func (e *httpError) Error() string { return e.message }

// detail is the error's JSON.
func (e *httpError) detail() map[string]string {
	return map[string]string{"code": e.code, "message": e.message}
}

// statusGone is what nginx calls a client that did not wait.
const statusGone = 499

var (
	errDraining = &httpError{http.StatusServiceUnavailable, "closing", "the service is shutting down"}
	errNoModel  = &httpError{http.StatusServiceUnavailable, "no-model", "no slab is loaded; come back later"}
	errSwapped  = &httpError{http.StatusServiceUnavailable, "swapped", "the slab was replaced meanwhile; ask again"}
	errBusy     = &httpError{http.StatusTooManyRequests, "busy", "too many requests wait; come back in a second"}
	errEvicted  = &httpError{http.StatusTooManyRequests, "busy", "other bodies need the memory that this slow one holds; come back in a second"}
	errGone     = &httpError{statusGone, "gone", "the connection ended before the answer"}
	errEngine   = &httpError{http.StatusInternalServerError, "engine", "the image could not be classified; the server's log says why"}
)

func badParameter(format string, args ...any) error {
	return &httpError{http.StatusBadRequest, "parameter", fmt.Sprintf(format, args...)}
}

func badImage(format string, args ...any) error {
	return &httpError{http.StatusBadRequest, "image", fmt.Sprintf(format, args...)}
}

func badBody(format string, args ...any) error {
	return &httpError{http.StatusBadRequest, "body", fmt.Sprintf(format, args...)}
}

func badType(format string, args ...any) error {
	return &httpError{http.StatusUnsupportedMediaType, "type", fmt.Sprintf(format, args...)}
}

func tooLarge(format string, args ...any) error {
	return &httpError{http.StatusRequestEntityTooLarge, "too-large", fmt.Sprintf(format, args...)}
}

// explain returns what a client is told of an error, and logs what only the operator
// should know.
func (s *Service) explain(err error) *httpError {
	var h *httpError
	switch {
	case errors.As(err, &h):
		return h
	case errors.Is(err, imagefile.ErrUnsupported):
		return &httpError{http.StatusUnsupportedMediaType, "type", err.Error()}
	case errors.Is(err, imagefile.ErrTooLarge):
		return &httpError{http.StatusRequestEntityTooLarge, "too-large", err.Error()}
	case errors.Is(err, ErrImage), errors.Is(err, imagefile.ErrBroken), errors.Is(err, imagefile.ErrNotImage):
		return &httpError{http.StatusBadRequest, "image", err.Error()}
	case errors.Is(err, sla.ErrMode):
		return &httpError{http.StatusBadRequest, "mode", err.Error()}
	case errors.Is(err, sla.ErrNotFinite): // which is the slab's fault, and so the operator's to mend
		s.config.log.Error("a request failed", "error", err)
		return &httpError{http.StatusInternalServerError, "not-finite", err.Error()}
	case errors.Is(err, ErrClosed):
		return errDraining
	case errors.Is(err, context.DeadlineExceeded):
		return &httpError{http.StatusGatewayTimeout, "timeout", fmt.Sprintf("no answer within %v", s.config.timeout)}
	case errors.Is(err, context.Canceled):
		return errGone
	}
	s.config.log.Error("a request failed", "error", err)
	return errEngine
}

func itoa(n int) string { return strconv.Itoa(n) }
