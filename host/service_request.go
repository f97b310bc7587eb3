package host

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
)

// An endpoint is one of the addresses that classify: how its requests are read and its
// answers written. What lies between is the same for all.
type endpoint struct {
	read func(*request) (*job, error)
	send func(*request, *job, []result) int
	fail func(*request, error) int
}

// A job is what a request asks for.
type job struct {
	images [][]byte // files
	mode   sla.Mode
	top    int
	infer  *inferRequest // of KServe
}

// A result is one image's: a prediction or the reason why there is none.
type result struct {
	prediction *Prediction
	model      *format.Model // that it is of
	err        error
}

// A request is a request to classify on its way through the service.
type request struct {
	s       *Service
	w       http.ResponseWriter
	r       *http.Request
	ctx     context.Context // ends with the deadline, or when the client goes
	control *http.ResponseController
	body    *body
	answer  Answer // what is known of it
}

// inference answers requests to classify.
func (s *Service) inference(e endpoint) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		start := startOf(r)
		ctx, cancel := context.WithDeadline(r.Context(), start.Add(s.config.timeout))
		defer cancel()
		q := &request{s: s, w: w, r: r, ctx: ctx, control: http.NewResponseController(w)}
		results, j, err := q.classify(e)
		if err != nil {
			q.answer.Status = e.fail(q, err)
		} else {
			q.answer.Status = e.send(q, j, results)
		}
		q.answer.Duration = time.Since(start)
		s.config.log.Debug("classified", "path", r.URL.Path, "status", q.answer.Status, "mode", q.answer.Mode, "images", q.answer.Images,
			"passes", q.answer.Passes, "duration", q.answer.Duration, "client", r.RemoteAddr, "error", err)
		for _, m := range s.config.metrics {
			m.Answered(q.answer)
		}
	}
}

// classify reads a request, waits for its turn, and does what it asks for.
func (q *request) classify(e endpoint) ([]result, *job, error) {
	if _, err := q.s.current(); err != nil {
		q.w.Header().Set("Connection", "close") // net/http would wait for the body before it answers
		return nil, nil, err
	}
	deadline, _ := q.ctx.Deadline()
	// A writer that cannot do this is one of a test or of middleware; see Service.
	_ = q.control.SetReadDeadline(deadline)
	q.body = q.s.bodies.open(func() { _ = q.control.SetReadDeadline(time.Unix(1, 0)) })
	j, err := e.read(q)
	if err == nil {
		err = q.body.arrived()
	}
	if err != nil {
		q.body.close()
		q.w.Header().Set("Connection", "close") // what is left of the body is not waited for, either
		return nil, nil, q.whyNoBody(err)
	}
	// From here on net/http watches for the client to go, and would take the deadline's
	// end for that.
	_ = q.control.SetReadDeadline(time.Time{})
	if !q.s.enter() {
		q.body.close()
		return nil, nil, errBusy
	}
	results, err := q.run(j)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range results {
		if p := r.prediction; p != nil {
			q.answer.Mode = p.Mode.String()
			q.answer.Images++
			q.answer.Passes += p.Passes
		}
	}
	return results, j, nil
}

// whyNoBody decides whether a body is missing by the client's fault or by its absence.
func (q *request) whyNoBody(err error) error {
	var broken *bodyError
	if !errors.As(err, &broken) {
		return err
	}
	if errors.Is(q.r.Context().Err(), context.Canceled) {
		return errGone
	}
	return badBody("%v", err)
}

// enter takes a place in the queue, if there is one.
func (s *Service) enter() bool {
	select {
	case s.places <- struct{}{}:
		s.inFlight()
		return true
	default:
		return false
	}
}

func (s *Service) leave() {
	<-s.places
	s.inFlight()
}

func (s *Service) inFlight() {
	for _, m := range s.config.metrics {
		m.InFlight(len(s.places))
	}
}

// run does a job, and returns at the deadline even if a decoder or a layer takes longer:
// that one keeps its place until it notices.
func (q *request) run(j *job) ([]result, error) {
	done := make(chan []result, 1)
	go func() {
		defer q.s.leave()
		defer q.body.close()
		done <- q.s.classifyAll(q.ctx, j)
	}()
	select {
	case results := <-done:
		if err := q.ctx.Err(); err != nil {
			return nil, err
		}
		return results, nil
	case <-q.ctx.Done():
		return nil, q.ctx.Err()
	}
}

// classifyAll classifies a job's images, as many side by side as there are workers.
func (s *Service) classifyAll(ctx context.Context, j *job) []result {
	results := make([]result, len(j.images))
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(len(j.images), cap(s.work)) {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(results); i = int(next.Add(1)) - 1 {
				results[i] = s.classifyFile(ctx, j.images[i], j.mode, j.top)
			}
		})
	}
	wait.Wait()
	return results
}

// classifyFile waits for a worker, decodes an image file and classifies it.
func (s *Service) classifyFile(ctx context.Context, file []byte, mode sla.Mode, top int) (r result) {
	defer func() {
		if p := recover(); p != nil { // net/http does this for its own goroutines only
			s.config.log.Error("a panic while an image was classified", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			r = result{err: errEngine}
		}
	}()
	pixels, err := s.measure(file)
	if err != nil {
		return result{err: err}
	}
	if pixels > modest {
		if err := take(ctx, s.large); err != nil {
			return result{err: err}
		}
		defer func() { <-s.large }()
	}
	if err := take(ctx, s.work); err != nil {
		return result{err: err}
	}
	defer func() { <-s.work }()
	img, err := s.decode(ctx, file)
	if err != nil {
		return result{err: err}
	}
	return s.classifyImage(ctx, img, mode, top)
}

// classifyImage classifies with the slab of the moment.
func (s *Service) classifyImage(ctx context.Context, img image.Image, mode sla.Mode, top int) result {
	for {
		c, err := s.current()
		if err != nil {
			return result{err: err}
		}
		p, err := c.Classify(ctx, img, WithMode(mode), WithTopK(top))
		switch {
		case errors.Is(err, ErrClosed) && s.classifier.Load() != c:
			continue // it was swapped and closed in between
		case err != nil:
			return result{err: err}
		case !finite(p.Logits):
			return result{err: errInfinite}
		}
		return result{prediction: p, model: c.Model()}
	}
}

// take waits for room in a channel.
func take(ctx context.Context, room chan struct{}) error {
	select {
	case room <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func finite(logits []float32) bool {
	for _, v := range logits {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return false
		}
	}
	return true
}
