package host

import (
	"context"
	"errors"
	"fmt"
	"image"
	"net/http"
	"runtime/debug"
	"slices"
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
	images [][]byte     // files
	failed []error      // of each image that came in base64, why it has no file; nil if none did
	parse  func() error // what finds them in the body, by a worker; nil if they are there
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
			if len(results) == 1 {
				err = results[0].err
			}
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
	ok := s.places.enter()
	if ok {
		s.inFlight()
	}
	return ok
}

func (s *Service) leave() {
	s.places.leave()
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
	type outcome struct {
		results []result
		err     error
	}
	done := make(chan outcome, 1)
	go func() {
		defer q.s.leave()
		defer q.body.close()
		results, err := q.s.do(q.ctx, j)
		done <- outcome{results, err}
	}()
	select {
	case o := <-done:
		if err := q.ctx.Err(); err != nil {
			return nil, err
		}
		return o.results, o.err
	case <-q.ctx.Done():
		return nil, q.ctx.Err()
	}
}

// do finds the images of a job, and classifies them unless it has large ones and so have
// enough other requests.
func (s *Service) do(ctx context.Context, j *job) (results []result, err error) {
	if j.parse != nil {
		if err := s.work.take(ctx); err != nil {
			return nil, err
		}
		err := s.guard(j.parse)
		s.work.leave()
		if err != nil {
			return nil, err
		}
	}
	results = make([]result, len(j.images))
	work := make([]int, len(j.images)) // of decoding
	for i, file := range j.images {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if j.failed != nil && j.failed[i] != nil {
			results[i].err = j.failed[i]
			continue
		}
		results[i].err = s.guard(func() (err error) {
			work[i], err = s.measure(file)
			return err
		})
	}
	if len(work) > 0 && slices.Max(work) > modest {
		if !s.largePlaces.enter() {
			return nil, errBusy
		}
		defer s.largePlaces.leave()
	}
	s.classifyAll(ctx, j, work, results)
	return results, nil
}

// guard makes an error of a panic: net/http does so for its own goroutines only.
func (s *Service) guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.config.log.Error("a panic while a request was answered", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = errEngine
		}
	}()
	return f()
}

// classifyAll classifies a job's images, as many side by side as there are workers, but for
// those that have an error already.
func (s *Service) classifyAll(ctx context.Context, j *job, work []int, results []result) {
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(len(j.images), cap(s.work)) {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(results); i = int(next.Add(1)) - 1 {
				if r := &results[i]; r.err == nil {
					r.err = s.guard(func() error { return s.classifyFile(ctx, j, i, work[i] > modest, r) })
				}
			}
		})
	}
	wait.Wait()
}

// classifyFile waits for a worker, decodes image i of a job and classifies it.
func (s *Service) classifyFile(ctx context.Context, j *job, i int, large bool, r *result) error {
	if large {
		if err := s.large.take(ctx); err != nil {
			return err
		}
		defer s.large.leave()
	}
	if err := s.work.take(ctx); err != nil {
		return err
	}
	defer s.work.leave()
	img, err := s.decode(ctx, j.images[i])
	if err != nil {
		return err
	}
	r.prediction, r.model, err = s.classifyImage(ctx, img, j.mode, j.top)
	return err
}

// classifyImage classifies with the slab of the moment.
func (s *Service) classifyImage(ctx context.Context, img image.Image, mode sla.Mode, top int) (*Prediction, *format.Model, error) {
	for {
		c, err := s.current()
		if err != nil {
			return nil, nil, err
		}
		p, err := c.Classify(ctx, img, WithMode(mode), WithTopK(top))
		switch {
		case errors.Is(err, ErrClosed) && s.classifier.Load() != c:
			continue // it was swapped and closed in between
		case err == nil:
			err = sla.CheckFinite(p.Logits)
		}
		if err != nil {
			return nil, nil, err
		}
		return p, c.Model(), nil
	}
}

// room bounds how many are at something at a time.
type room chan struct{}

// take waits to come in.
func (r room) take(ctx context.Context) error {
	select {
	case r <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// enter comes in if that needs no waiting.
func (r room) enter() bool {
	select {
	case r <- struct{}{}:
		return true
	default:
		return false
	}
}

func (r room) leave() { <-r }
