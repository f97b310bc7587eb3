package host

import (
	_ "embed"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/quarterturn/quarterturn/sla"
)

// A Service classifies over HTTP. It answers
//
//	POST /v1/classify?mode=..&top=..   an image; JSON with the answer
//	POST /v1/batch?mode=..&top=..      several images; JSON with an answer for each
//	GET  /v1/model                     the slab's description
//	GET  /v1/openapi.json              the description of this interface
//	GET  /healthz                      200 while the service runs, 503 once Drain was called
//	GET  /readyz                       200 while requests are welcome
//	/v2/...                            the KServe (Triton) inference protocol, version 2
//
// Images come as the body itself, as one file of multipart/form-data, or in base64 in
// JSON. Failures are {"error":{"code":..,"message":..}}; those under /v2 have the form
// of that protocol. docs/service.md has it all.
//
// Every request to classify has a deadline (WithTimeout) for everything together, from
// its headers to the last byte of its answer. To keep it, the service sets the deadlines
// of the connection through http.ResponseController: middleware that wraps the
// ResponseWriter needs an Unwrap method. NewServer sets up the http.Server to match.
type Service struct {
	classifier atomic.Pointer[Classifier]
	unready    atomic.Bool
	draining   atomic.Bool
	bodies     *bodyBudget

	places      room // for each request that waits or is at work
	largePlaces room // for each of them that has large images
	work        room // for each image that is decoded or classified
	large       room // for the large image that is decoded or classified
	mux         http.ServeMux
	config      serviceConfig
}

type serviceConfig struct {
	maxBody   int64
	maxPixels int
	maxBatch  int
	queue     int
	timeout   time.Duration
	alias     string
	metrics   []Metrics
	log       *slog.Logger
	refusal
}

// A ServiceOption changes how NewService sets a Service up.
type ServiceOption func(*serviceConfig)

// WithMaxBody bounds the bytes of a request's body, 1 or more; the default is 64 MiB. All
// bodies together take at most four times as much: when that is used up, the request that
// has been sending its body for the longest time is told to come back.
func WithMaxBody(bytes int64) ServiceOption {
	return func(s *serviceConfig) {
		s.refuse(bytes > 0, "bodies of at most %d bytes; want 1 or more", bytes)
		s.maxBody = bytes
	}
}

// WithMaxPixels bounds width times height, 1 or more, which are checked before an image is
// decoded; the default is 64 million. Of images with more than 4 million pixels, or as much
// work for another reason (imagefile.Config.Work), one is decoded at a time, and at most half
// of the requests that wait have such ones.
func WithMaxPixels(n int) ServiceOption {
	return func(s *serviceConfig) {
		s.refuse(n > 0, "images of at most %d pixels; want 1 or more", n)
		s.maxPixels = n
	}
}

// WithMaxBatch bounds the images of one request; the default is 64.
func WithMaxBatch(n int) ServiceOption { return func(s *serviceConfig) { s.maxBatch = max(1, n) } }

// WithQueue bounds how many requests wait, with their bodies read, while others are at
// work; more are answered with 429. The default is 64.
func WithQueue(n int) ServiceOption { return func(s *serviceConfig) { s.queue = max(0, n) } }

// WithTimeout bounds the time from a request's first byte to its answer: 408 if its
// body is not there by then, 504 if the answer is not. The default is 10 s.
func WithTimeout(d time.Duration) ServiceOption {
	return func(s *serviceConfig) {
		s.refuse(d > 0, "a timeout of %v; want more than nothing", d)
		s.timeout = d
	}
}

// WithAlias gives the slab a second name in the addresses /v2/models/NAME: its own is a title
// with blanks and commas as like as not, and KServe wants an ordinary name, such as cifar10.
// It stays when Swap brings another slab.
func WithAlias(name string) ServiceOption {
	return func(s *serviceConfig) {
		s.refuse(name != "", "the alias is empty")
		s.alias = name
	}
}

// WithMetrics counts every request to classify; several options count in several places.
func WithMetrics(m Metrics) ServiceOption {
	return func(s *serviceConfig) {
		s.refuse(m != nil, "the metrics are nil")
		s.metrics = append(s.metrics, m)
	}
}

// WithLogger logs failures of the service at level error, and what was asked and
// answered at level debug. The default is silence.
func WithLogger(l *slog.Logger) ServiceOption {
	return func(s *serviceConfig) {
		s.refuse(l != nil, "the logger is nil")
		s.log = l
	}
}

// Metrics counts what a Service does; packages host/prometheus and host/otel each have
// one. Its methods are called from many goroutines.
type Metrics interface {
	// InFlight reports how many requests wait or are at work.
	InFlight(n int)
	// Answered reports a request to classify that has ended.
	Answered(a Answer)
}

// An Answer is what Metrics learns of a request.
type Answer struct {
	Status   int    // that was sent; 499 if the client had gone
	Mode     string // that ran; empty if none did
	Images   int    // that were classified
	Passes   int    // of the network, over all images
	Duration time.Duration
}

// modest is the work of decoding, in pixels, up to which images are decoded side by side.
const modest = 4_000_000

//go:embed openapi.json
var openAPI []byte

// NewService returns a Service that answers with a classifier, which stays the caller's
// to close. A nil one makes a service that is not ready until Swap brings one. It panics,
// with an error that is ErrOption, for an option that makes no sense: no request is to meet
// what the program got wrong.
func NewService(c *Classifier, opts ...ServiceOption) *Service {
	s := &Service{config: serviceConfig{
		maxBody: 64 << 20, maxPixels: 64_000_000, maxBatch: 64, queue: 64, timeout: 10 * time.Second,
		log: slog.New(slog.DiscardHandler),
	}}
	if apply(&s.config, &s.config.refusal, opts); s.config.err != nil {
		panic(s.config.err)
	}
	workers := runtime.GOMAXPROCS(0)
	if c != nil {
		s.classifier.Store(c)
		workers = cap(c.pool.slots)
	}
	s.work = make(room, workers)
	s.large = make(room, 1)
	s.places = make(room, workers+min(s.config.queue, math.MaxInt-workers))
	s.largePlaces = make(room, max(1, cap(s.places)/2))
	s.bodies = &bodyBudget{left: 4 * min(s.config.maxBody, math.MaxInt64/4)}

	s.mux.HandleFunc("POST /v1/classify", s.inference(classifyEndpoint))
	s.mux.HandleFunc("POST /v1/batch", s.inference(batchEndpoint))
	s.mux.HandleFunc("GET /v1/model", s.describe)
	s.mux.HandleFunc("GET /v1/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		s.sendJSON(w, http.StatusOK, json.RawMessage(openAPI))
	})
	s.mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		if s.draining.Load() {
			s.fail(w, errDraining)
			return
		}
		s.sendJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	s.mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.ready(); err != nil {
			s.fail(w, err)
			return
		}
		s.sendJSON(w, http.StatusOK, map[string]string{"status": "ok"})
	})
	s.routeKServe()
	return s
}

// AsksHealth reports whether a request asks if the service lives and is ready. Balancers ask that
// every few seconds, under any name or none and without a token, and the answer tells nothing else.
func AsksHealth(r *http.Request) bool {
	switch r.URL.Path {
	case "/healthz", "/readyz", "/v2/health/live", "/v2/health/ready":
		return true
	}
	return false
}

// Handler is NewService, for where a handler is wanted.
func Handler(c *Classifier, opts ...ServiceOption) *Service { return NewService(c, opts...) }

// Swap has later requests answered by another classifier and returns the previous one,
// or nil if there was none. Closing that waits for the requests it still answers; none
// is dropped. With nil, the service is not ready and refuses requests until the next
// Swap.
func (s *Service) Swap(c *Classifier) *Classifier { return s.classifier.Swap(c) }

// SetReady changes what /readyz and /v2/health/ready say, and nothing else: before a
// service stops, SetReady(false) has balancers send requests elsewhere while those that
// still come are answered.
func (s *Service) SetReady(ready bool) { s.unready.Store(!ready) }

// Drain has new requests to classify, /healthz and /readyz answered with 503; those
// under way are finished.
func (s *Service) Drain() { s.draining.Store(true) }

// ready returns nil or why requests had better go elsewhere.
func (s *Service) ready() error {
	if s.draining.Load() || s.unready.Load() {
		return errDraining
	}
	switch c := s.classifier.Load(); {
	case c == nil:
		return errNoModel
	case c.pool.isClosed():
		return errDraining // as whoever asks it will be told
	}
	return nil
}

// current returns the classifier to ask.
func (s *Service) current() (*Classifier, error) {
	if s.draining.Load() {
		return nil, errDraining
	}
	c := s.classifier.Load()
	if c == nil {
		return nil, errNoModel
	}
	return c, nil
}

// ServeHTTP answers a request.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s.unready.Load() || s.draining.Load() {
		w.Header().Set("Connection", "close") // the next request is to find another server
	}
	if _, pattern := s.mux.Handler(r); pattern == "" {
		s.unknown(w, r)
		return
	}
	s.mux.ServeHTTP(w, r)
}

// unknown answers what no pattern matches.
func (s *Service) unknown(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		w.Header().Set("Connection", "close") // net/http would wait for the body before it answers
	}
	err := &httpError{http.StatusNotFound, "not-found", "there is no " + cut(r.URL.Path)}
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		if _, pattern := s.mux.Handler(&http.Request{Method: method, URL: r.URL, Host: r.Host}); pattern != "" {
			w.Header().Set("Allow", strings.Replace(method, "GET", "GET, HEAD", 1))
			err = &httpError{http.StatusMethodNotAllowed, "method", cut(r.URL.Path) + " takes " + method + ", not " + cut(r.Method)}
		}
	}
	if strings.HasPrefix(r.URL.Path, "/v2") {
		s.failKServe(w, err)
		return
	}
	s.fail(w, err)
}

// describe answers GET /v1/model.
func (s *Service) describe(w http.ResponseWriter, _ *http.Request) {
	c := s.classifier.Load()
	if c == nil {
		s.fail(w, errNoModel)
		return
	}
	s.sendJSON(w, http.StatusOK, json.RawMessage(sla.AppendJSON(nil, c.Model())))
}

// fail sends an error in this interface's own form and returns the status that was sent.
func (s *Service) fail(w http.ResponseWriter, err error) int {
	e := s.explain(err)
	return s.sendJSON(w, e.status, map[string]any{"error": e.detail()})
}

// sendJSON sends a value and returns the status that was sent.
func (s *Service) sendJSON(w http.ResponseWriter, status int, v any) int {
	b, err := json.Marshal(v)
	if err != nil {
		s.config.log.Error("an answer cannot be written as JSON", "error", err)
		e := &httpError{http.StatusInternalServerError, "engine", "the answer cannot be written as JSON"}
		status, b = e.status, []byte(`{"error":{"code":"`+e.code+`","message":"`+e.message+`"}}`)
	}
	return s.send(w, status, "application/json", append(b, '\n'))
}

// writeTime is how long a client may take to read an answer.
const writeTime = 10 * time.Second

// send sends an answer and returns the status that was sent: statusGone if the client
// had gone or does not read.
func (s *Service) send(w http.ResponseWriter, status int, contentType string, body []byte) int {
	control := http.NewResponseController(w)
	// A writer that cannot do this is one of a test or of middleware; see Service.
	_ = control.SetWriteDeadline(time.Now().Add(writeTime))
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", itoa(len(body)))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'")
	h.Set("Cache-Control", "no-store")
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		h.Set("Retry-After", "1")
	}
	w.WriteHeader(status)
	_, err := w.Write(body)
	if err == nil {
		if err = control.Flush(); errors.Is(err, http.ErrNotSupported) {
			err = nil
		}
	}
	if err != nil && !errors.Is(err, http.ErrBodyNotAllowed) { // HEAD
		s.config.log.Debug("the client was gone before its answer", "error", err)
		return statusGone
	}
	return status
}
