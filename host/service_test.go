package host

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/sla/slatest"
)

// A client asks a server and checks every answer against its OpenAPI description.
type client struct {
	t      *testing.T
	server *httptest.Server
	check  func(r *http.Request, status int, header http.Header, body []byte) error
}

func newClient(t *testing.T, h http.Handler) *client {
	server := httptest.NewUnstartedServer(nil)
	server.Listener = Bound(server.Listener, 100)
	if s, ok := h.(*Service); ok {
		server.Config = NewServer(h, s.config.timeout)
	} else {
		server.Config.Handler = h
	}
	server.Start()
	t.Cleanup(server.Close)
	doc, err := openapi3.NewLoader().LoadFromData(openAPI)
	if err == nil {
		err = doc.Validate(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	doc.Servers = openapi3.Servers{{URL: server.URL}}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return &client{t, server, func(r *http.Request, status int, header http.Header, body []byte) error {
		route, params, err := router.FindRoute(r)
		if err != nil {
			return err
		}
		input := &openapi3filter.ResponseValidationInput{
			RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
			Status:                 status, Header: header, Body: io.NopCloser(bytes.NewReader(body)),
			Options: &openapi3filter.Options{IncludeResponseStatus: true},
		}
		return openapi3filter.ValidateResponse(context.Background(), input)
	}}
}

// reply is every answer's JSON.
type reply struct {
	Mode   string
	Passes int
	Top    []ClassScore
	Digest string
	Status string
	Error  failure

	Predictions []struct {
		Digest string
		Error  failure
	}
}

type failure struct{ Code, Message string }

// UnmarshalJSON also reads the errors of KServe's protocol, which are text.
func (f *failure) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, &f.Message) == nil {
		return nil
	}
	type plain failure
	return json.Unmarshal(b, (*plain)(f))
}

func (c *client) do(method, path, kind string, body io.Reader) (int, reply) {
	c.t.Helper()
	status, _, v := c.ask(method, path, kind, body)
	return status, v
}

func (c *client) ask(method, path, kind string, body io.Reader) (int, http.Header, reply) {
	c.t.Helper()
	r, err := http.NewRequest(method, c.server.URL+path, body)
	if err != nil {
		c.t.Fatal(err)
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	answer, err := c.server.Client().Do(r)
	if err != nil {
		c.t.Error(err)
		return 0, nil, reply{}
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Error(err)
	}
	if answer.StatusCode != http.StatusNotFound && answer.StatusCode != http.StatusMethodNotAllowed {
		if err := c.check(r, answer.StatusCode, answer.Header, b); err != nil {
			c.t.Errorf("%s %s: the answer is not as described: %v", method, path, err)
		}
	}
	var v reply
	if err := json.Unmarshal(b, &v); err != nil {
		c.t.Errorf("%s %s: %v in %q", method, path, err, b)
	}
	if answer.Close { // which net/http takes out of the header
		answer.Header.Set("Connection", "close")
	}
	return answer.StatusCode, answer.Header, v
}

func (c *client) classify(query string, body []byte) (int, reply) {
	c.t.Helper()
	return c.do(http.MethodPost, "/v1/classify"+query, "", bytes.NewReader(body))
}

func encoded(t testing.TB, encode func(w io.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func pngOf(t testing.TB, img image.Image) []byte {
	return encoded(t, func(w io.Writer) error { return png.Encode(w, img) })
}

func TestServiceClassifies(t *testing.T) {
	slab := tinySlab(t, 3)
	service := NewService(open(t, slab))
	c := newClient(t, service)
	native := open(t, slab, WithEngine(Native))
	img := noise(1, 37, 21)[1]
	files := map[string][]byte{
		"png":  pngOf(t, img),
		"jpeg": encoded(t, func(w io.Writer) error { return jpeg.Encode(w, img, nil) }),
		"gif":  encoded(t, func(w io.Writer) error { return gif.Encode(w, img, nil) }),
	}
	for name, file := range files {
		decoded, err := imagefile.Decode(t.Context(), file, imagefile.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for _, mode := range []sla.Mode{sla.Auto, sla.Baseline, sla.Single, sla.Aggregated, sla.Distilled} {
			want, err := native.Classify(t.Context(), decoded, WithMode(mode), WithTopK(2))
			if err != nil {
				t.Fatal(err)
			}
			status, got := c.classify("?top=2&mode="+mode.String(), file)
			if status != http.StatusOK || got.Digest != want.Digest() || got.Mode != want.Mode.String() || got.Passes != want.Passes || len(got.Top) != 2 || got.Top[0] != want.Top[0] {
				t.Errorf("%s, %s: %d %+v", name, mode, status, got)
			}
		}
	}
	if status, got := c.do(http.MethodGet, "/healthz", "", nil); status != http.StatusOK || got.Status != "ok" {
		t.Errorf("health: %d %+v", status, got)
	}
	for _, path := range []string{"/v1/model", "/v1/openapi.json"} {
		if status, _ := c.do(http.MethodGet, path, "", nil); status != http.StatusOK {
			t.Errorf("%s: %d", path, status)
		}
	}
	service.Drain()
	if status, got := c.classify("", files["png"]); status != http.StatusServiceUnavailable || got.Error.Code != "closing" {
		t.Errorf("draining: %d %+v", status, got)
	}
	if status, _ := c.do(http.MethodGet, "/healthz", "", nil); status != http.StatusServiceUnavailable {
		t.Errorf("health while draining: %d", status)
	}
}

// bomb is a PNG whose header claims so many pixels.
func bomb(t *testing.T, width, height uint32) []byte {
	b := pngOf(t, image.NewGray(image.Rect(0, 0, 1, 1)))
	header := b[12:29] // type and data of the first chunk
	for i := range 4 {
		header[4+i], header[8+i] = byte(width>>(24-8*i)), byte(height>>(24-8*i))
	}
	sum := crc32.ChecksumIEEE(header)
	for i := range 4 {
		b[29+i] = byte(sum >> (24 - 8*i))
	}
	return b
}

func TestServiceErrors(t *testing.T) {
	c := newClient(t, NewService(open(t, tinySlab(t, 1)), WithMaxBody(5000), WithMaxPixels(2000)))
	good := pngOf(t, noise(1, 8, 8)[1])
	for _, x := range []struct {
		method, path, kind string
		body               []byte
		status             int
		code, says         string
	}{
		{"POST", "/v1/classify", "image/png", good, 200, "", ""},
		{"POST", "/v1/classify", "application/x-www-form-urlencoded", good, 200, "", ""},
		{"POST", "/v1/classify", "", nil, 400, "image", "empty"},
		{"POST", "/v1/classify", "", []byte("Dear reader"), 400, "image", "not an image"},
		{"POST", "/v1/classify", "", []byte(`{"image": "AAAA"}`), 415, "type", "looks like JSON; send it with the header Content-Type: application/json"},
		{"POST", "/v1/classify", "application/x-www-form-urlencoded", []byte("\xef\xbb\xbf\r\n {\"image\": "), 415, "type", "looks like JSON"},
		{"POST", "/v1/batch", "", []byte(`{"images": ["AAAA"]}`), 415, "type", "Content-Type: multipart/form-data or application/json"},
		{"POST", "/v1/classify", "", good[:60], 400, "image", "broken"},
		{"POST", "/v1/classify", "image/webp", []byte("RIFF\x10\x00\x00\x00WEBPVP8 rest"), 400, "image", "WebP image is broken"},
		{"POST", "/v1/classify", "image/heic", []byte("\x00\x00\x00\x10ftypheic\x00\x00\x00\x00"), 415, "type", "HEIC"},
		{"POST", "/v1/classify", "text/plain", good, 415, "type", "text/plain"},
		{"POST", "/v1/classify", "", make([]byte, 5001), 413, "too-large", "more than 5000"},
		{"POST", "/v1/classify", "", bomb(t, 60000, 60000), 413, "too-large", "60000x60000"},
		{"POST", "/v1/classify", "", bomb(t, 41, 50), 413, "too-large", "41x50"},
		{"POST", "/v1/classify?mode=fastest", "", good, 400, "mode", `there is no mode "fastest"`},
		{"POST", "/v1/classify?top=many", "", good, 400, "parameter", `"many"`},
		{"POST", "/v1/classify?top=-1", "", good, 400, "parameter", "number of classes"},
		{"POST", "/v1/classify?model=x", "", good, 400, "parameter", `"model"`},
		{"GET", "/v1/classify", "", nil, 405, "method", "takes POST"},
		{"POST", "/healthz", "", nil, 405, "method", "takes GET"},
		{"GET", "/v2/classify", "", nil, 404, "", "/v2/classify"},
	} {
		status, got := c.do(x.method, x.path, x.kind, bytes.NewReader(x.body))
		if status != x.status || got.Error.Code != x.code || !strings.Contains(got.Error.Message, x.says) {
			t.Errorf("%s %s with %.20q: %d %+v, want %d %s", x.method, x.path, x.body, status, got.Error, x.status, x.code)
		}
	}
	// A body of unknown length is bounded, too.
	if status, got := c.do("POST", "/v1/classify", "", io.MultiReader(bytes.NewReader(good), bytes.NewReader(make([]byte, 9000)))); status != 413 || got.Error.Code != "too-large" {
		t.Errorf("a long body of unknown length: %d %+v", status, got.Error)
	}
}

// counts is a Metrics that remembers.
type counts struct {
	mu       sync.Mutex
	answers  []Answer
	inFlight int
}

func (c *counts) InFlight(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inFlight = n
}

func (c *counts) Answered(a Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answers = append(c.answers, a)
}

// statuses waits until so many requests have ended and returns how they did, in ascending
// order: a request is counted after its answer is on the way, so that the next may be first.
func (c *counts) statuses(t *testing.T, n int) (s []int) {
	t.Helper()
	for range 500 {
		c.mu.Lock()
		if s = nil; len(c.answers) >= n && c.inFlight == 0 {
			for _, a := range c.answers {
				s = append(s, a.Status)
			}
		}
		c.mu.Unlock()
		if s != nil {
			slices.Sort(s)
			return s
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%d requests did not end", n)
	return nil
}

// occupy takes all workers of a service, until the test gives them back.
func occupy(s *Service) (release func()) {
	for range cap(s.work) {
		s.work <- struct{}{}
	}
	return sync.OnceFunc(func() {
		for range cap(s.work) {
			<-s.work
		}
	})
}

// takenAre waits until so many places are taken, which is later than a request is in flight.
func takenAre(t *testing.T, places room, n int) {
	t.Helper()
	for range 1000 {
		if len(places) == n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%d places are taken, want %d", len(places), n)
}

// inFlightIs waits until so many requests wait or are at work.
func (c *counts) inFlightIs(t *testing.T, n int) {
	t.Helper()
	for range 1000 {
		c.mu.Lock()
		now := c.inFlight
		c.mu.Unlock()
		if now == n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("there are never %d requests in flight", n)
}

func TestServiceBoundsItsQueue(t *testing.T) {
	seen := &counts{}
	service := NewService(open(t, tinySlab(t, 1), WithPoolSize(1)), WithQueue(1), WithMetrics(seen), WithTimeout(time.Minute))
	c := newClient(t, service)
	good := pngOf(t, noise(1, 8, 8)[1])
	release := occupy(service)
	defer release()
	// Two requests fill the place at work and the queue.
	var wait sync.WaitGroup
	for range 2 {
		wait.Go(func() {
			if status, _ := c.classify("", good); status != http.StatusOK {
				t.Errorf("a request that waits: %d", status)
			}
		})
	}
	takenAre(t, service.places, 2)
	status, header, got := c.ask(http.MethodPost, "/v1/classify", "", bytes.NewReader(good))
	if status != http.StatusTooManyRequests || got.Error.Code != "busy" || header.Get("Retry-After") == "" {
		t.Errorf("a third request: %d %v %+v", status, header, got)
	}
	release()
	wait.Wait()
	if status, _ := c.classify("", good); status != http.StatusOK {
		t.Errorf("after the queue emptied: %d", status)
	}
	if got := fmt.Sprint(seen.statuses(t, 4)); got != "[200 200 200 429]" {
		t.Errorf("counted %s", got)
	}
}

func TestServiceSwapsWithoutDroppingRequests(t *testing.T) {
	slabs := [][]byte{tinySlab(t, 1), slatest.Slab(t, formattest.Odd())}
	img := pngOf(t, noise(4, 9, 9)[0])
	digests := map[string]bool{}
	openOne := func(i int) *Classifier {
		c, err := Open(t.Context(), slabs[i], WithPoolSize(2))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for i := range slabs {
		c := openOne(i)
		decoded, _ := imagefile.Decode(t.Context(), img, imagefile.Limits{})
		p, err := c.Classify(t.Context(), decoded)
		if err != nil {
			t.Fatal(err)
		}
		digests[p.Digest()] = true
		c.Close(t.Context())
	}
	service := NewService(openOne(0))
	c := newClient(t, service)
	stop := make(chan struct{})
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if status, got := c.classify("", img); status != http.StatusOK || !digests[got.Digest] {
					t.Errorf("while slabs are swapped: %d %+v", status, got)
				}
			}
		})
	}
	for i := range 10 {
		if err := service.Swap(openOne((i + 1) % 2)).Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wait.Wait()
	service.Swap(nil).Close(t.Context())
	if status, got := c.classify("", img); status != http.StatusServiceUnavailable || got.Error.Code != "no-model" {
		t.Errorf("without a slab: %d %+v", status, got)
	}
}
