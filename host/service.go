package host

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/sla"
)

// A Service classifies over HTTP. It answers
//
//	POST /v1/classify?mode=..&top=..   an image; JSON with the answer
//	GET  /v1/model                     the slab's description
//	GET  /v1/openapi.json              the description of this interface
//	GET  /healthz                      200, or 503 once Drain was called
//
// PNG, JPEG, GIF and WebP are read; see package imagefile. Failures are {"error":{"code":..,"message":..}}.
type Service struct {
	classifier atomic.Pointer[Classifier]
	draining   atomic.Bool
	places     chan struct{} // one for each request that is read, waits or is at work
	work       chan struct{} // one for each image that is decoded or classified
	mux        http.ServeMux
	o          service
}

type service struct {
	maxBody   int64
	maxPixels int
	queue     int
	timeout   time.Duration
	metrics   Metrics
	log       *slog.Logger
}

// A ServiceOption changes how Handler sets a Service up.
type ServiceOption func(*service)

// WithMaxBody bounds the bytes of an image file; the default is 16 MiB.
func WithMaxBody(bytes int64) ServiceOption { return func(s *service) { s.maxBody = bytes } }

// WithMaxPixels bounds width times height, which are looked at before an image is
// decoded; the default is 16 Mi.
func WithMaxPixels(n int) ServiceOption { return func(s *service) { s.maxPixels = n } }

// WithQueue bounds how many requests wait while others are at work; more are told
// to come back. The default is 64.
func WithQueue(n int) ServiceOption { return func(s *service) { s.queue = max(0, n) } }

// WithTimeout bounds the time from a request to its answer; the default is 10 s.
func WithTimeout(d time.Duration) ServiceOption { return func(s *service) { s.timeout = d } }

// WithMetrics has every request counted.
func WithMetrics(m Metrics) ServiceOption { return func(s *service) { s.metrics = m } }

// WithLogger has failures of the service logged, and what was asked and answered at
// level debug. The default is silence.
func WithLogger(l *slog.Logger) ServiceOption { return func(s *service) { s.log = l } }

// Metrics counts what a Service does; package host/prometheus has one. Its methods
// are called from many goroutines.
type Metrics interface {
	// InFlight tells how many requests are read, wait or are at work.
	InFlight(n int)
	// Answered tells of a request to classify that has ended.
	Answered(a Answer)
}

// An Answer is what Metrics learns of a request.
type Answer struct {
	Status   int    // as in HTTP; 499 if the client had gone
	Mode     string // that ran; empty if none did
	Passes   int
	Duration time.Duration
}

// statusGone is what nginx calls a client that did not wait.
const statusGone = 499

//go:embed openapi.json
var openAPI []byte

// Handler makes a Service of a classifier, which stays the caller's to close.
func Handler(c *Classifier, opts ...ServiceOption) *Service {
	s := &Service{o: service{maxBody: 16 << 20, maxPixels: 16 << 20, queue: 64, timeout: 10 * time.Second, log: slog.New(slog.DiscardHandler)}}
	for _, o := range opts {
		o(&s.o)
	}
	s.classifier.Store(c)
	workers := cap(c.pool.slots)
	s.work = make(chan struct{}, workers)
	s.places = make(chan struct{}, workers+s.o.queue)
	s.mux.HandleFunc("POST /v1/classify", s.classify)
	s.mux.HandleFunc("GET /v1/model", func(w http.ResponseWriter, _ *http.Request) {
		s.reply(w, http.StatusOK, json.RawMessage(sla.AppendJSON(nil, s.classifier.Load().model)))
	})
	s.mux.HandleFunc("GET /v1/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		s.reply(w, http.StatusOK, json.RawMessage(openAPI))
	})
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if s.draining.Load() {
			s.fail(w, errDraining)
			return
		}
		s.reply(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	return s
}

// Swap has later requests answered by another classifier and gives the one before.
// Closing that waits for the requests it still answers; none is dropped.
func (s *Service) Swap(c *Classifier) *Classifier { return s.classifier.Swap(c) }

// Drain has new requests to classify, and /healthz, answered with 503, so that a
// balancer sends them elsewhere; those under way go on.
func (s *Service) Drain() { s.draining.Store(true) }

// ServeHTTP answers a request.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if _, pattern := s.mux.Handler(r); pattern == "" {
		s.unknown(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// unknown answers what no pattern matches.
func (s *Service) unknown(w http.ResponseWriter, r *http.Request) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if _, pattern := s.mux.Handler(&http.Request{Method: method, URL: r.URL, Host: r.Host}); pattern != "" {
			w.Header().Set("Allow", method)
			s.fail(w, &httpError{http.StatusMethodNotAllowed, "method", r.URL.Path + " takes " + method})
			return
		}
	}
	s.fail(w, &httpError{http.StatusNotFound, "not-found", "there is no " + r.URL.Path})
}

// An httpError is a failure that a client is told.
type httpError struct {
	status        int
	code, message string
}

func (e *httpError) Error() string { return e.message }

var (
	errDraining = &httpError{http.StatusServiceUnavailable, "closing", "the service is shutting down"}
	errQueue    = &httpError{http.StatusTooManyRequests, "busy", "too many requests wait; come back in a second"}
	errGone     = &httpError{statusGone, "gone", "the client did not wait"}
)

// answer is the JSON of a prediction.
type answer struct {
	Mode   string       `json:"mode"`
	Passes int          `json:"passes"`
	Top    []ClassScore `json:"top"`
	Digest string       `json:"digest"`
}

func (s *Service) classify(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	a := Answer{Status: http.StatusOK}
	p, err := s.predict(w, r)
	if err != nil {
		a.Status = s.fail(w, err)
	} else {
		a.Mode, a.Passes = p.Mode.String(), p.Passes
		s.reply(w, http.StatusOK, answer{a.Mode, a.Passes, p.Top, p.Digest()})
	}
	a.Duration = time.Since(start)
	s.o.log.Debug("classified", "status", a.Status, "mode", a.Mode, "passes", a.Passes, "duration", a.Duration, "error", err)
	if s.o.metrics != nil {
		s.o.metrics.Answered(a)
	}
}

// predict is classify without its frame.
func (s *Service) predict(w http.ResponseWriter, r *http.Request) (*Prediction, error) {
	if s.draining.Load() {
		return nil, errDraining
	}
	select {
	case s.places <- struct{}{}:
	default:
		w.Header().Set("Retry-After", "1")
		return nil, errQueue
	}
	s.inFlight()
	defer func() {
		<-s.places
		s.inFlight()
	}()
	mode, top, err := s.parameters(r)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.o.timeout)
	defer cancel()
	body, err := s.body(w, r)
	if err == nil {
		var p *Prediction
		if p, err = s.run(ctx, body, mode, top); err == nil {
			return p, nil
		}
	}
	switch {
	case r.Context().Err() != nil:
		return nil, errGone
	case ctx.Err() != nil:
		return nil, &httpError{http.StatusGatewayTimeout, "timeout", fmt.Sprintf("no answer within %v", s.o.timeout)}
	}
	return nil, err
}

func (s *Service) inFlight() {
	if s.o.metrics != nil {
		s.o.metrics.InFlight(len(s.places))
	}
}

// parameters reads what the address asks for.
func (s *Service) parameters(r *http.Request) (mode sla.Mode, top int, err error) {
	top = 5
	for name, values := range r.URL.Query() {
		value := values[len(values)-1]
		switch name {
		case "mode":
			if mode, err = sla.ParseMode(value); err == nil {
				_, err = sla.ResolveMode(&s.classifier.Load().model.Manifest, mode)
			}
			if err != nil {
				return 0, 0, &httpError{http.StatusBadRequest, "mode", err.Error()}
			}
		case "top":
			if top, err = strconv.Atoi(value); err != nil || top < 0 {
				return 0, 0, &httpError{http.StatusBadRequest, "parameter", "top is to be a number of classes, not " + strconv.Quote(value)}
			}
		default:
			return 0, 0, &httpError{http.StatusBadRequest, "parameter", "there is no parameter " + strconv.Quote(name) + "; use mode and top"}
		}
	}
	return mode, top, nil
}

// body reads the request's body.
func (s *Service) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if t := r.Header.Get("Content-Type"); t != "" {
		kind, _, err := mime.ParseMediaType(t)
		// A form is what curl calls any body it was not told about.
		known := strings.HasPrefix(kind, "image/") || kind == "application/octet-stream" || kind == "application/x-www-form-urlencoded"
		if err != nil || !known {
			return nil, &httpError{http.StatusUnsupportedMediaType, "type", "the body is to be an image, not " + t}
		}
	}
	tooLarge := &httpError{http.StatusRequestEntityTooLarge, "too-large", fmt.Sprintf("the image file has more than %d bytes", s.o.maxBody)}
	if r.ContentLength > s.o.maxBody {
		return nil, tooLarge
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, s.o.maxBody))
	var limit *http.MaxBytesError
	switch {
	case errors.As(err, &limit):
		return nil, tooLarge
	case err != nil:
		return nil, &httpError{http.StatusBadRequest, "body", "the body ended too early: " + err.Error()}
	case len(b) == 0:
		return nil, &httpError{http.StatusBadRequest, "image", "the body is empty"}
	}
	return b, nil
}

// run waits for its turn, decodes the image and classifies it.
func (s *Service) run(ctx context.Context, body []byte, mode sla.Mode, top int) (*Prediction, error) {
	select {
	case s.work <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { <-s.work }()
	img, err := s.decode(ctx, body)
	if err != nil {
		return nil, err
	}
	for {
		c := s.classifier.Load()
		p, err := c.Classify(ctx, img, Mode(mode), TopK(top))
		if errors.Is(err, ErrClosed) && s.classifier.Load() != c {
			continue // it was swapped and closed in between
		}
		return p, err
	}
}

// decode reads an image.
func (s *Service) decode(ctx context.Context, body []byte) (image.Image, error) {
	img, err := imagefile.Decode(ctx, body, imagefile.Limits{MaxPixels: s.o.maxPixels})
	switch {
	case err == nil:
		return img, nil
	case errors.Is(err, imagefile.ErrUnsupported):
		return nil, &httpError{http.StatusUnsupportedMediaType, "type", err.Error()}
	case errors.Is(err, imagefile.ErrTooLarge):
		return nil, &httpError{http.StatusRequestEntityTooLarge, "too-large", err.Error()}
	case errors.Is(err, imagefile.ErrBroken), errors.Is(err, imagefile.ErrNotImage):
		return nil, &httpError{http.StatusBadRequest, "image", err.Error()}
	}
	return nil, err
}

// fail tells a client what went wrong, and gives the status.
func (s *Service) fail(w http.ResponseWriter, err error) int {
	var h *httpError
	switch {
	case errors.As(err, &h):
	case errors.Is(err, ErrImage):
		h = &httpError{http.StatusBadRequest, "image", err.Error()}
	case errors.Is(err, sla.ErrMode): // the slab was swapped
		h = &httpError{http.StatusBadRequest, "mode", err.Error()}
	case errors.Is(err, ErrClosed):
		h = errDraining
	default:
		s.o.log.Error("a request failed", "error", err)
		h = &httpError{http.StatusInternalServerError, "engine", "the image could not be classified; the log says why"}
	}
	if h == errGone {
		return h.status // nobody listens
	}
	s.reply(w, h.status, map[string]any{"error": map[string]string{"code": h.code, "message": h.message}})
	return h.status
}

func (s *Service) reply(w http.ResponseWriter, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		s.o.log.Error("an answer cannot be written as JSON", "error", err)
		status, b = http.StatusInternalServerError, []byte(`{"error":{"code":"engine","message":"the answer holds numbers that JSON has not"}}`)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if _, err := w.Write(append(b, '\n')); err != nil {
		s.o.log.Debug("a client was gone before its answer", "error", err)
	}
}
