package host

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/format/pack"
	"github.com/quarterturn/quarterturn/sla/slatest"
)

// These tests are named after cases that happened; each talks to a real server.

// raw sends text over a connection of its own and returns the reader of what comes back.
func raw(t *testing.T, c *client, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", c.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

func status(t *testing.T, r *bufio.Reader) (int, http.Header, reply) {
	t.Helper()
	answer, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var v reply
	if err := json.NewDecoder(answer.Body).Decode(&v); err != nil {
		t.Errorf("status %d: %v", answer.StatusCode, err)
	}
	if answer.Close { // which net/http takes out of the header
		answer.Header.Set("Connection", "close")
	}
	return answer.StatusCode, answer.Header, v
}

// A23: slow bodies keep nobody else out, and are told 408 at the deadline.
func TestFieldA23SlowBodies(t *testing.T) {
	t.Parallel()
	seen := &counts{}
	c := newClient(t, NewService(open(t, tinySlab(t, 1), WithPoolSize(1)), WithQueue(1), WithTimeout(4*time.Second), WithMetrics(seen)))
	good := pngOf(t, noise(1, 8, 8)[1])
	var slow []*bufio.Reader
	for range 10 { // many more than there are places
		conn, r := raw(t, c, "POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n\r\n"+string(good[:10]))
		slow = append(slow, r)
		go func() {
			for range 200 {
				if _, err := conn.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		}()
	}
	for range 5 {
		if status, got := c.classify("", good); status != http.StatusOK {
			t.Errorf("an honest request beside them: %d %+v", status, got)
		}
	}
	for _, r := range slow {
		if status, header, got := status(t, r); status != http.StatusRequestTimeout || got.Error.Code != "slow" || header.Get("Connection") != "close" {
			t.Errorf("a slow body: %d %v %+v", status, header, got)
		}
	}
	counted := map[int]int{}
	for _, s := range seen.statuses(t, 15) {
		counted[s]++
	}
	if counted[200] != 5 || counted[408] != 10 {
		t.Errorf("counted %v", counted)
	}
}

// A23: slow headers count, too.
func TestFieldA23SlowHeaders(t *testing.T) {
	t.Parallel()
	c := newClient(t, NewService(open(t, tinySlab(t, 1)), WithTimeout(time.Second)))
	good := pngOf(t, noise(1, 8, 8)[1])
	head := fmt.Sprintf("POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n", len(good))
	conn, r := raw(t, c, head[:20])
	start := time.Now()
	time.Sleep(700 * time.Millisecond)
	fmt.Fprint(conn, head[20:]+"\r\n"+string(good[:10]))
	if status, _, got := status(t, r); status != http.StatusRequestTimeout {
		t.Errorf("headers after 0.7 s, then no body: %d %+v", status, got)
	}
	if d := time.Since(start); d > 1600*time.Millisecond {
		t.Errorf("the answer took %v: the time of the headers was not counted", d)
	}
	// Headers that never end.
	_, r = raw(t, c, head[:20])
	if b, err := io.ReadAll(r); err != nil || len(b) > 0 && !bytes.Contains(b, []byte(" 400 ")) {
		t.Errorf("headers that never end: %q %v", b, err)
	}
}

// A23: bodies that fill the memory give way to those that arrive.
func TestFieldA23BodiesHaveABudget(t *testing.T) {
	service := NewService(open(t, tinySlab(t, 1)), WithMaxBody(64<<10), WithTimeout(20*time.Second))
	c := newClient(t, service)
	var first *bufio.Reader
	for range 8 { // four of them fit
		_, r := raw(t, c, "POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"+strings.Repeat("x", 50000))
		if first == nil {
			first = r
		}
		time.Sleep(20 * time.Millisecond)
	}
	if status, header, got := status(t, first); status != http.StatusTooManyRequests || header.Get("Retry-After") == "" || !strings.Contains(got.Error.Message, "memory") {
		t.Errorf("the oldest body: %d %v %+v", status, header, got)
	}
	img := noise(1, 200, 150)[0]
	if status, got := c.classify("", pngOf(t, img)[:0:0]); status != 400 {
		t.Errorf("an empty body: %d %+v", status, got)
	}
	if status, got := c.classify("", pngOf(t, noise(1, 90, 90)[0])); status != http.StatusOK {
		t.Errorf("an honest request: %d %+v", status, got)
	}
	service.bodies.mu.Lock()
	defer service.bodies.mu.Unlock()
	if service.bodies.left < 0 {
		t.Errorf("%d bytes over the budget", -service.bodies.left)
	}
}

// A22, A23: whoever waits is answered by the deadline, whatever the workers do.
func TestFieldA22AnswerByTheDeadline(t *testing.T) {
	t.Parallel()
	seen := &counts{}
	service := NewService(open(t, tinySlab(t, 1)), WithTimeout(3*time.Second), WithMetrics(seen))
	c := newClient(t, service)
	good := pngOf(t, noise(1, 8, 8)[1])
	release := occupy(service)
	defer release()
	start := time.Now()
	if status, got := c.classify("", good); status != http.StatusGatewayTimeout || got.Error.Code != "timeout" {
		t.Errorf("%d %+v", status, got)
	}
	if d := time.Since(start); d < 3*time.Second || d > 15*time.Second {
		t.Errorf("the answer took %v", d)
	}
	release()
	if status, _ := c.classify("", good); status != http.StatusOK {
		t.Errorf("after it: %d", status)
	}
	if got := fmt.Sprint(seen.statuses(t, 2)); got != "[200 504]" {
		t.Errorf("counted %s", got)
	}
}

// 499: clients that go while they wait, or in the middle of their bodies, are counted so
// and hold no place.
func TestFieldA23ClientsThatGo(t *testing.T) {
	seen := &counts{}
	var log strings.Builder
	service := NewService(open(t, tinySlab(t, 1)), WithTimeout(time.Minute), WithMetrics(seen),
		WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))))
	c := newClient(t, service)
	good := pngOf(t, noise(1, 8, 8)[1])
	release := occupy(service)
	defer release()
	conn, _ := raw(t, c, fmt.Sprintf("POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(good), good))
	seen.inFlightIs(t, 1)
	conn.Close()
	if s := seen.statuses(t, 1); s[0] != statusGone {
		t.Errorf("gone while waiting: counted %v", s)
	}
	release()
	conn, _ = raw(t, c, "POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"+string(good[:10]))
	conn.Close()
	if s := seen.statuses(t, 2); s[1] != statusGone {
		t.Errorf("gone in the middle of the body: counted %v", s)
	}
	if n := strings.Count(log.String(), "status=499"); n != 2 {
		t.Errorf("logged:\n%s", &log)
	}
}

// B28: a client that asks and asks, and never reads, is dropped.
func TestFieldB28ClientsThatNeverRead(t *testing.T) {
	if testing.Short() {
		t.Skip("takes the time for writing, ten seconds")
	}
	c := newClient(t, NewService(open(t, tinySlab(t, 1))))
	server := c.server.Config
	server.SetKeepAlivesEnabled(true)
	conn, _ := raw(t, c, "")
	conn.(*net.TCPConn).SetReadBuffer(1024)
	ask := strings.Repeat("GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n", 2000)
	conn.SetWriteDeadline(time.Now().Add(2 * writeTime))
	// Its answers fill every buffer; then the server stops reading, and after the time for
	// writing it closes.
	for {
		if _, err := io.WriteString(conn, ask); err != nil {
			if nerr, ok := err.(net.Error); ok && nerr.Timeout() {
				t.Error("the connection is held")
			}
			return
		}
	}
}

// B33: queries that cannot be read as they are meant are refused.
func TestFieldB33Queries(t *testing.T) {
	c := newClient(t, NewService(open(t, tinySlab(t, 1))))
	good := pngOf(t, noise(1, 8, 8)[1])
	for _, x := range []struct{ query, code, says string }{
		{"?top=1;mode=single", "parameter", "semicolon"},
		{"?mode=%zz", "parameter", "%zz"},
		{"?top=1&top=2", "parameter", "2 times"},
		{"?mode=single&mode=single", "parameter", "2 times"},
		{"?top=+1", "parameter", "top"},
		{"?top=99999999999999999999", "parameter", "top"},
		{"?top", "parameter", "top"},
		{"?Mode=single", "parameter", `"Mode"`},
		{"?mode=", "mode", `there is no mode ""; use auto`},
	} {
		for _, path := range []string{"/v1/classify", "/v1/batch"} {
			if status, got := c.do("POST", path+x.query, "", bytes.NewReader(good)); status != http.StatusBadRequest || got.Error.Code != x.code || !strings.Contains(got.Error.Message, x.says) {
				t.Errorf("%s%s: %d %+v", path, x.query, status, got)
			}
		}
	}
	for _, x := range []struct{ method, path, allow string }{
		{"GET", "/v1/classify", "POST"}, {"PUT", "/v1/classify", "POST"}, {"DELETE", "/v1/model", "GET, HEAD"},
		{"POST", "/healthz", "GET, HEAD"}, {"POST", "/readyz", "GET, HEAD"}, {"OPTIONS", "/v1/classify", "POST"},
	} {
		status, header, got := c.ask(x.method, x.path, "", nil)
		if status != http.StatusMethodNotAllowed || header.Get("Allow") != x.allow || got.Error.Code != "method" {
			t.Errorf("%s %s: %d %v %+v", x.method, x.path, status, header, got)
		}
	}
}

// B34: every answer has its headers, and balancers see the end before it comes.
func TestFieldB34HeadersAndDrain(t *testing.T) {
	service := NewService(open(t, tinySlab(t, 1)))
	c := newClient(t, service)
	good := pngOf(t, noise(1, 8, 8)[1])
	for _, path := range []string{"/v1/model", "/healthz", "/readyz", "/nothing", "/v2", "/v2/nothing", "/v1/classify"} {
		answer, err := http.Get(c.server.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		for _, directive := range []string{"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "object-src 'none'"} {
			if !strings.Contains(answer.Header.Get("Content-Security-Policy"), directive) {
				t.Errorf("%s: no %s in %v", path, directive, answer.Header)
			}
		}
		if answer.Header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %v", path, answer.Header)
		}
	}
	ready := func() int {
		status, _ := c.do("GET", "/readyz", "", nil)
		return status
	}
	if s := ready(); s != http.StatusOK {
		t.Errorf("ready: %d", s)
	}
	service.SetReady(false)
	status, header, _ := c.ask("POST", "/v1/classify", "", bytes.NewReader(good))
	if s := ready(); s != http.StatusServiceUnavailable || status != http.StatusOK || header.Get("Connection") != "close" {
		t.Errorf("before the end: ready %d, a request %d %v", s, status, header)
	}
	if status, _ := c.do("GET", "/healthz", "", nil); status != http.StatusOK {
		t.Errorf("before the end: health %d", status)
	}
	service.SetReady(true)
	if s := ready(); s != http.StatusOK {
		t.Errorf("ready again: %d", s)
	}
	service.Drain()
	if status, got := c.classify("", good); status != http.StatusServiceUnavailable || got.Error.Code != "closing" {
		t.Errorf("at the end: %d %+v", status, got)
	}
}

// C35: every mode is described, answers of slabs with exits are as described, and a
// service without a slab answers.
func TestFieldC35(t *testing.T) {
	c := newClient(t, NewService(open(t, slatest.Slab(t, formattest.Odd()))))
	good := pngOf(t, noise(1, 9, 9)[0])
	if status, got := c.classify("?mode=adaptive", good); status != http.StatusOK || got.Mode != "adaptive" {
		t.Errorf("adaptive: %d %+v", status, got)
	}
	service := NewService(nil)
	c = newClient(t, service)
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 503, "/v1/model": 503, "/v2/health/live": 200, "/v2/health/ready": 503, "/v2/models/x": 503} {
		if status, _ := c.do("GET", path, "", nil); status != want {
			t.Errorf("%s without a slab: %d", path, status)
		}
	}
	if status, got := c.classify("", good); status != http.StatusServiceUnavailable || got.Error.Code != "no-model" {
		t.Errorf("without a slab: %d %+v", status, got)
	}
	service.Swap(open(t, tinySlab(t, 3)))
	if status, _ := c.classify("", good); status != http.StatusOK {
		t.Errorf("with one: %d", status)
	}
}

// A23, over HTTP/2: there a deadline is one stream's, and the other streams of the
// connection live on.
func TestFieldA23OverHTTP2(t *testing.T) {
	t.Parallel()
	service := NewService(open(t, tinySlab(t, 1)), WithTimeout(3*time.Second))
	server := httptest.NewUnstartedServer(nil)
	server.Config = NewServer(service, 3*time.Second)
	server.Listener = Bound(server.Listener, 10)
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	post := func(body io.Reader) (int, string, string) {
		answer, err := server.Client().Post(server.URL+"/v1/classify", "image/png", body)
		if err != nil {
			t.Error(err)
			return 0, "", ""
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Error(err)
		}
		return answer.StatusCode, answer.Proto, string(b)
	}
	good := pngOf(t, noise(1, 8, 8)[1])
	slow, w := io.Pipe()
	var wait sync.WaitGroup
	wait.Go(func() {
		if status, _, body := post(slow); status != http.StatusRequestTimeout {
			t.Errorf("a slow body: %d %s", status, body)
		}
	})
	if _, err := w.Write(good[:10]); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if status, proto, body := post(bytes.NewReader(good)); status != http.StatusOK || proto != "HTTP/2.0" {
			t.Errorf("beside it: %d %s %s", status, proto, body)
		}
		time.Sleep(70 * time.Millisecond)
	}
	wait.Wait()
	w.Close()
}

// B31: an answer that is not finite is a failure in words, and is counted and logged as
// what was sent; in a batch it is its picture's alone.
func TestFieldB31NotFiniteOverHTTP(t *testing.T) {
	m := formattest.Tiny(3)
	for h := len(m.Weights) - 6; h < len(m.Weights); h += 2 {
		fill(m.Weights[h], 3e38)
	}
	slab, err := pack.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	seen := &counts{}
	var log strings.Builder
	c := newClient(t, NewService(open(t, slab), WithMetrics(seen), WithLogger(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug})))))
	good := pngOf(t, noise(1, 9, 9)[0])
	if status, got := c.classify("", good); status != http.StatusInternalServerError || got.Error.Code != "not-finite" {
		t.Errorf("%d %+v", status, got)
	}
	kind, body := form(t, good)
	if status, got := c.do("POST", "/v1/batch", kind, bytes.NewReader(body)); status != http.StatusOK || len(got.Predictions) != 1 || got.Predictions[0].Error.Code != "not-finite" {
		t.Errorf("a batch: %d %+v", status, got)
	}
	if s := fmt.Sprint(seen.statuses(t, 2)); s != "[200 500]" || !strings.Contains(log.String(), "status=500") || strings.Count(log.String(), "level=ERROR") != 2 {
		t.Errorf("counted %s, logged\n%s", s, &log)
	}
}
