package host

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"log/slog"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quarterturn/quarterturn/format/formattest"
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
	seen := &counts{}
	c := newClient(t, NewService(open(t, tinySlab(t, 1), WithPoolSize(1)), WithQueue(1), WithTimeout(2*time.Second), WithMetrics(seen)))
	good := pngOf(t, noise(1, 8, 8)[1])
	var slow []*bufio.Reader
	for range 10 { // many more than there are places
		conn, r := raw(t, c, "POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n\r\n"+string(good[:10]))
		slow = append(slow, r)
		go func() {
			for range 100 {
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
	seen := &counts{}
	service := NewService(open(t, tinySlab(t, 1)), WithTimeout(time.Second), WithMetrics(seen))
	c := newClient(t, service)
	good := pngOf(t, noise(1, 8, 8)[1])
	release := occupy(service)
	defer release()
	start := time.Now()
	if status, got := c.classify("", good); status != http.StatusGatewayTimeout || got.Error.Code != "timeout" {
		t.Errorf("%d %+v", status, got)
	}
	if d := time.Since(start); d < time.Second || d > 10*time.Second {
		t.Errorf("the answer took %v", d)
	}
	release()
	if status, _ := c.classify("", good); status != http.StatusOK {
		t.Errorf("after it: %d", status)
	}
	if got := fmt.Sprint(seen.statuses(t, 2)); got != "[504 200]" {
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
		{"?mode=", "mode", "there is no mode"},
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

// form is multipart/form-data of some files.
func form(t *testing.T, files ...[]byte) (kind string, body []byte) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i, f := range files {
		part, err := w.CreateFormFile(fmt.Sprint("file", i), fmt.Sprint(i, ".png"))
		if err != nil {
			t.Fatal(err)
		}
		part.Write(f)
	}
	w.Close()
	return w.FormDataContentType(), b.Bytes()
}

// C47: the ways in which people send pictures, and words for the rest.
func TestFieldC47(t *testing.T) {
	c := newClient(t, NewService(open(t, tinySlab(t, 3)), WithMaxBatch(4)))
	files := [][]byte{pngOf(t, noise(1, 9, 9)[0]), pngOf(t, noise(2, 30, 20)[1])}
	var want []reply
	for _, f := range files {
		status, v := c.classify("?mode=aggregated", f)
		if status != http.StatusOK {
			t.Fatal(status, v)
		}
		want = append(want, v)
	}
	inBase64 := func(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
	kind, body := form(t, files[0])
	if status, got := c.do("POST", "/v1/classify?mode=aggregated", kind, bytes.NewReader(body)); status != http.StatusOK || got.Digest != want[0].Digest {
		t.Errorf("a form: %d %+v", status, got)
	}
	if status, got := c.do("POST", "/v1/classify?mode=aggregated", "application/json", strings.NewReader(`{"image":"`+inBase64(files[1])+`"}`)); status != http.StatusOK || got.Digest != want[1].Digest {
		t.Errorf("JSON: %d %+v", status, got)
	}
	kind, body = form(t, files[0], []byte("no image"), files[1])
	batch := fmt.Sprintf(`{"images":["%s","%s","%s"]}`, inBase64(files[0]), inBase64([]byte("no image")), inBase64(files[1]))
	for kind, body := range map[string]string{kind: string(body), "application/json": batch} {
		status, got := c.do("POST", "/v1/batch?mode=aggregated", kind, strings.NewReader(body))
		if status != http.StatusOK || len(got.Predictions) != 3 || got.Predictions[0].Digest != want[0].Digest ||
			got.Predictions[1].Error.Code != "image" || got.Predictions[2].Digest != want[1].Digest {
			t.Errorf("a batch as %s: %d %+v", kind, status, got)
		}
	}
	two, twoBody := form(t, files...)
	five, fiveBody := form(t, files[0], files[0], files[0], files[0], files[0])
	for _, x := range []struct {
		path, kind, body string
		status           int
		code, says       string
	}{
		{"classify", two, string(twoBody), 400, "body", "more than 1 file"},
		{"batch", five, string(fiveBody), 400, "body", "more than 4 files"},
		{"classify", two, string(twoBody[:len(twoBody)-30]), 400, "body", "form"},
		{"classify", "multipart/form-data", string(twoBody), 415, "type", "boundary"},
		{"classify", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"mode\"\r\n\r\nsingle\r\n--x--\r\n", 400, "body", `"mode"`},
		{"classify", "multipart/form-data; boundary=x", "--x--\r\n", 400, "body", "no file"},
		{"classify", "application/json", `{"image":"data:image/png;base64,AAAA"}`, 400, "body", "data URL"},
		{"classify", "application/json", `{"image":"!"}`, 400, "body", "base64"},
		{"classify", "application/json", `{"images":["AAAA"]}`, 400, "body", "/v1/batch"},
		{"classify", "application/json", `{"image":"AAAA","mode":"single"}`, 400, "body", `"mode"`},
		{"classify", "application/json", `{"image":"AAAA"} {}`, 400, "body", "follows"},
		{"classify", "application/json", `{`, 400, "body", "JSON"},
		{"batch", "application/json", `{"images":[]}`, 400, "body", "images"},
		{"batch", "application/json", `{"images":["","","","",""]}`, 400, "body", "more than 4"},
		{"batch", "image/png", string(files[0]), 415, "type", "several images"},
		{"classify", "text/html", "x", 415, "type", "text/html"},
		{"classify", ";", "x", 415, "type", "Content-Type"},
	} {
		if status, got := c.do("POST", "/v1/"+x.path, x.kind, strings.NewReader(x.body)); status != x.status || got.Error.Code != x.code || !strings.Contains(got.Error.Message, x.says) {
			t.Errorf("%s, %s, %.60q: %d %+v", x.path, x.kind, x.body, status, got)
		}
	}
	r, err := http.NewRequest("POST", c.server.URL+"/v1/classify", bytes.NewReader(files[0]))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Encoding", "gzip")
	answer, err := http.DefaultClient.Do(r)
	if err != nil || answer.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("a gzip body: %v %v", answer, err)
	}
}

// A batch may be answered by the deadline only as a whole, and its images run side by
// side with those of others.
func TestServiceBatchesSideBySide(t *testing.T) {
	c := newClient(t, NewService(open(t, tinySlab(t, 3), WithPoolSize(2)), WithTimeout(time.Minute)))
	var files [][]byte
	for i := range 20 {
		files = append(files, pngOf(t, noise(uint64(i), 20, 20)[0]))
	}
	kind, body := form(t, files...)
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			status, got := c.do("POST", "/v1/batch", kind, bytes.NewReader(body))
			if status != http.StatusOK || len(got.Predictions) != len(files) {
				t.Errorf("%d %+v", status, got)
				return
			}
			for i, p := range got.Predictions {
				if _, alone := c.classify("", files[i]); alone.Digest != p.Digest || alone.Digest == "" {
					t.Errorf("image %d: %s, alone %s", i, p.Digest, alone.Digest)
				}
			}
		})
	}
	wait.Wait()
}

// scanBomb is a progressive JPEG of one colour with many scans that each cost a walk over
// all of its blocks.
func scanBomb(width, height, scans int) []byte {
	var b bytes.Buffer
	segment := func(marker byte, data ...byte) {
		b.Write([]byte{0xff, marker, byte((len(data) + 2) >> 8), byte(len(data) + 2)})
		b.Write(data)
	}
	b.Write([]byte{0xff, 0xd8})
	segment(0xdb, append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)...)
	segment(0xc2, 8, byte(height>>8), byte(height), byte(width>>8), byte(width), 1, 1, 0x11, 0)
	lengths := func(n ...byte) []byte { return append(n, make([]byte, 16-len(n))...) }
	segment(0xc4, append(append([]byte{0x00}, lengths(1)...), 0)...)             // DC: 0 is "the same as before"
	segment(0xc4, append(append([]byte{0x10}, lengths(1, 1)...), 0xe0, 0x00)...) // AC: 0 is a run of 16384 and more empty blocks
	blocks := ((width + 7) / 8) * ((height + 7) / 8)
	segment(0xda, 1, 1, 0, 0, 0, 0)
	b.Write(make([]byte, (blocks+7)/8))
	var bits []bool
	for left := blocks; left > 0; {
		run := min(left, 32767)
		if run < 16384 {
			bits = append(bits, true, false)
			left--
			continue
		}
		bits = append(bits, false)
		for i := 13; i >= 0; i-- {
			bits = append(bits, (run-16384)>>i&1 == 1)
		}
		left -= run
	}
	for len(bits)%8 != 0 {
		bits = append(bits, true)
	}
	for range scans {
		segment(0xda, 1, 1, 0x10, 1, 63, 0)
		for i := 0; i < len(bits); i += 8 {
			var v byte
			for _, bit := range bits[i : i+8] {
				v <<= 1
				if bit {
					v |= 1
				}
			}
			b.WriteByte(v)
			if v == 0xff {
				b.WriteByte(0)
			}
		}
	}
	b.Write([]byte{0xff, 0xd9})
	return b.Bytes()
}

// A22: JPEG files of thousands of scans are refused before they are decoded, and
// whoever asks beside them is answered.
func TestFieldA22ScanBombs(t *testing.T) {
	c := newClient(t, NewService(open(t, tinySlab(t, 1), WithPoolSize(2)), WithTimeout(20*time.Second)))
	bomb := scanBomb(4336, 3872, 7000)
	good := pngOf(t, noise(1, 8, 8)[1])
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			if status, got := c.classify("", bomb); status != http.StatusRequestEntityTooLarge || !strings.Contains(got.Error.Message, "7001 times") {
				t.Errorf("a bomb: %d %+v", status, got)
			}
		})
		if status, got := c.classify("", good); status != http.StatusOK {
			t.Errorf("beside it: %d %+v", status, got)
		}
	}
	wait.Wait()
	if status, got := c.classify("", scanBomb(160, 120, 9)); status != http.StatusOK {
		t.Errorf("ten scans are not a bomb: %d %+v", status, got)
	}
}

// B6: a photo of 50 megapixels is classified with the defaults.
func TestFieldB6Photos(t *testing.T) {
	if testing.Short() {
		t.Skip("decodes 50 megapixels")
	}
	img := image.NewYCbCr(image.Rect(0, 0, 8192, 6144), image.YCbCrSubsampleRatio420)
	for i := range img.Y {
		img.Y[i] = byte(i % 8192 / 64 * (i / 8192 / 64))
	}
	photo := encoded(t, func(w io.Writer) error { return jpeg.Encode(w, img, nil) })
	c := newClient(t, NewService(open(t, tinySlab(t, 3)), WithTimeout(2*time.Minute)))
	var wait sync.WaitGroup
	for range 2 { // one after the other
		wait.Go(func() {
			if status, got := c.classify("", photo); status != http.StatusOK || got.Digest == "" {
				t.Errorf("%d %+v", status, got)
			}
		})
	}
	wait.Wait()
	if status, got := c.classify("", bomb(t, 8192, 8192)); status != http.StatusRequestEntityTooLarge || !strings.Contains(got.Error.Message, "8192x8192") {
		t.Errorf("67 megapixels: %d %+v", status, got)
	}
}

// A23, over HTTP/2: there a deadline is one stream's, and the other streams of the
// connection live on.
func TestFieldA23OverHTTP2(t *testing.T) {
	service := NewService(open(t, tinySlab(t, 1)), WithTimeout(time.Second))
	server := httptest.NewUnstartedServer(nil)
	server.Config = NewServer(service, time.Second)
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
