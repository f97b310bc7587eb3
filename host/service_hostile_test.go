package host

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// Requests that are small, or right in their form, and ask for much.

// A body in JSON costs memory in proportion to its size, whatever it consists of, and lists
// are read as far as they may go.
func TestJSONMemory(t *testing.T) {
	classifier := open(t, tinySlab(t, 1))
	c := newClient(t, NewService(classifier, WithMaxBatch(4), WithTimeout(time.Minute)))
	infer := "/v2/models/" + classifier.Model().Name + "/infer"
	good := `{"name":"image","datatype":"BYTES","shape":[1],"data":["` + base64.StdEncoding.EncodeToString(pngOf(t, noise(1, 9, 9)[0])) + `"]}`
	many := func(element string) string {
		return "[" + strings.Repeat(element+",", 4<<20/(len(element)+1)) + element + "]"
	}
	// Reading a body of 4 MiB, and growing on the way, takes 8; the client has its part, too.
	for _, x := range []struct{ name, path, body, says string }{
		{"inputs", infer, `{"inputs":` + many("{}") + `}`, "one input"},
		{"outputs", infer, `{"inputs":[` + good + `],"outputs":` + many("{}") + `}`, `no output ""`},
		{"one output", infer, `{"inputs":[` + good + `],"outputs":` + many(`{"name":"logits"}`) + `}`, `"logits" is asked for twice`},
		{"parameters", infer, `{"parameters":{"mode":` + many("[]") + `},"inputs":[` + good + `]}`, `"mode"`},
		{"parameters of an output", infer, `{"inputs":[` + good + `],"outputs":[{"name":"label","parameters":{"classification":` + many("[]") + `}}]}`, "classification"},
		{"shape", infer, `{"inputs":[{"name":"image","datatype":"BYTES","shape":` + many("1") + `}]}`, "more than 4 numbers"},
		{"data", infer, `{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":` + many(`""`) + `}]}`, "more than 1 images"},
		{"unknown", infer, `{"nothing":` + many("{}") + `}`, "one input"},
		{"id", infer, `{"id":"` + strings.Repeat("<", 4<<20) + `"}`, "at most 1024 bytes"},
		{"images", "/v1/batch", `{"images":` + many(`""`) + `}`, "more than 4 images"},
		{"image", "/v1/classify", `{"image":` + many("{}") + `}`, "base64"},
		{"names", "/v1/classify", `{"` + strings.Repeat("x", 4<<20) + `":1}`, "not known"},
		{"a list", "/v1/classify", many("{}"), "object"},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		status, got := c.do("POST", x.path, "application/json", strings.NewReader(x.body))
		runtime.ReadMemStats(&after)
		if status != 400 || !strings.Contains(got.Error.Message, x.says) || len(got.Error.Message) > 400 {
			t.Errorf("%s: %d %.500q", x.name, status, got.Error.Message)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 4*uint64(len(x.body)) {
			t.Errorf("%s: %d bytes were allocated for %d", x.name, took, len(x.body))
		}
	}
	// The same of a binary tensor: elements without bytes.
	status, got, _ := c.infer(infer, map[string]any{"inputs": []any{map[string]any{"name": "image", "datatype": "BYTES", "shape": []int{2},
		"parameters": map[string]any{"binary_data_size": 1 << 20}}}}, make([]byte, 1<<20))
	if status != 400 || !strings.Contains(got.Error, "more than 2 elements") {
		t.Errorf("a binary tensor: %d %s", status, got.Error)
	}
}

// JSON is read by a worker, so that the deadline holds for it, too.
func TestJSONIsReadByWorkers(t *testing.T) {
	seen := &counts{}
	service := NewService(open(t, tinySlab(t, 1)), WithTimeout(time.Second), WithMetrics(seen))
	c := newClient(t, service)
	release := occupy(service)
	if status, got := c.do("POST", "/v1/classify", "application/json", strings.NewReader(`{"image":1}`)); status != http.StatusGatewayTimeout {
		t.Errorf("%d %+v", status, got)
	}
	release()
	if status, got := c.do("POST", "/v1/classify", "application/json", strings.NewReader(`{"image":1}`)); status != http.StatusBadRequest {
		t.Errorf("%d %+v", status, got)
	}
	seen.statuses(t, 2)
}

// jsonValue finds in any JSON what encoding/json finds.
func FuzzJSONValue(f *testing.F) {
	for _, s := range []string{`{}`, `{"a":1,"b":[1,[2,"\\"],{"c":"\"]"}],"\u0061":null}`, " {\n\"x\" : [ ] , \"y\" : true }\r\n", `{"a":"\\\\\"","":-1e5}`, `[1]`, `{"a":{}}{`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parseJSON([]byte(s))
		var want map[string]json.RawMessage
		if wantErr := json.Unmarshal([]byte(s), &want); err != nil || want == nil {
			if err == nil || wantErr == nil && want != nil {
				t.Fatalf("%v, encoding/json: %v", err, wantErr)
			}
			return
		}
		got := map[string]json.RawMessage{}
		for name, member := range v.members() {
			if strings.HasSuffix(name, "...") {
				return // cut
			}
			got[name] = json.RawMessage(member)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("members %q, want %q", got, want)
		}
		for name, member := range got {
			var list []json.RawMessage
			if json.Unmarshal(member, &list) != nil {
				continue
			}
			var elements []json.RawMessage
			for e := range jsonValue(member).elements() {
				elements = append(elements, json.RawMessage(e))
			}
			if fmt.Sprint(elements) != fmt.Sprint(list) {
				t.Fatalf("%s: elements %q, want %q", name, elements, list)
			}
		}
	})
}

// Requests with large pictures leave places for the others.
func TestLargePicturesLeavePlaces(t *testing.T) {
	seen := &counts{}
	service := NewService(open(t, tinySlab(t, 1), WithPoolSize(1)), WithQueue(3), WithMetrics(seen), WithTimeout(time.Minute))
	c := newClient(t, service)
	large, small := bomb(t, 2001, 2000), pngOf(t, noise(1, 8, 8)[1])
	release := occupy(service)
	defer release()
	var wait sync.WaitGroup
	ask := func(file []byte, want int) {
		wait.Go(func() {
			if status, got := c.classify("", file); status != want {
				t.Errorf("%d, want %d %+v", status, want, got)
			}
		})
	}
	for n := range 2 { // half of four places
		ask(large, 400) // it is broken, as will turn out
		seen.inFlightIs(t, n+1)
	}
	takenAre(t, service.largePlaces, 2)
	for _, file := range [][]byte{large, scanBomb(1448, 1448, 800), large} { // few pixels, refined as often as many are
		status, header, got := c.ask("POST", "/v1/classify", "", bytes.NewReader(file))
		if status != http.StatusTooManyRequests || got.Error.Code != "busy" || header.Get("Retry-After") == "" {
			t.Errorf("one more: %d %v %+v", status, header, got)
		}
	}
	ask(small, 200)
	seen.inFlightIs(t, 3)
	ask(small, 200)
	seen.inFlightIs(t, 4)
	release()
	wait.Wait()
	if s := seen.statuses(t, 7); len(service.largePlaces) != 0 {
		t.Errorf("%d large ones are left of %v", len(service.largePlaces), s)
	}
}

// The headers of a form's parts are few, and cost what they take.
func TestFormHeaders(t *testing.T) {
	service := NewService(open(t, tinySlab(t, 3)))
	c := newClient(t, service)
	file := string(pngOf(t, noise(1, 30, 40)[0]))
	form := func(headers ...string) (int, reply) {
		return c.do("POST", "/v1/classify", "multipart/form-data; boundary=B", strings.NewReader("--B\r\n"+strings.Join(headers, "\r\n")+"\r\n\r\n"+file+"\r\n--B--\r\n"))
	}
	name := `Content-Disposition: form-data; name="f"; filename="x"`
	if status, got := form(name, "X: "+strings.Repeat("a", 2000)); status != 200 {
		t.Errorf("a long header: %d %+v", status, got)
	}
	if status, got := form(name, "X: "+strings.Repeat("a", 2*maxPartHeaders)); status != 400 || !strings.Contains(got.Error.Message, "headers") {
		t.Errorf("too long a header: %d %+v", status, got)
	}
	var many []string
	for i := range 1000 {
		many = append(many, fmt.Sprintf("X%d: a", i))
	}
	if status, got := form(append(many, name)...); status != 400 || !strings.Contains(got.Error.Message, "headers") {
		t.Errorf("too many headers: %d %+v", status, got)
	}
	// A part whose headers do not end holds no more than that.
	_, r := raw(t, c, "POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=B\r\nContent-Length: 9000000\r\n\r\n--B\r\nX: "+strings.Repeat("a", 2*maxPartHeaders))
	if status, _, got := status(t, r); status != 400 || !strings.Contains(got.Error.Message, "headers") {
		t.Errorf("headers without end: %d %+v", status, got)
	}
	// What has the type of a file is one without a name, too; a field is not.
	for headers, want := range map[string]int{
		"Content-Disposition: form-data; name=f\r\nContent-Type: image/png":                200,
		"Content-Disposition: form-data; name=f\r\nContent-Type: application/octet-stream": 200,
		"Content-Disposition: form-data; name=f; filename=\"\"\r\nContent-Type: Image/PNG": 200,
		"Content-Disposition: form-data; name=f\r\nContent-Type: text/plain":               400,
		"Content-Disposition: form-data; name=f":                                           400,
	} {
		if status, got := form(headers); status != want {
			t.Errorf("%q: %d %+v", headers, status, got)
		}
	}
	service.bodies.mu.Lock()
	defer service.bodies.mu.Unlock()
	if service.bodies.left != 4*service.config.maxBody {
		t.Errorf("%d bytes are left of the budget", service.bodies.left)
	}
}

// RFC 9110, section 8.4.1: codings are compared without regard to case.
func TestContentCodings(t *testing.T) {
	c := newClient(t, NewService(open(t, tinySlab(t, 1))))
	for coding, want := range map[string]int{"": 200, "identity": 200, "IDENTITY": 200, "gzip": 415, "GZip": 415, "identity, gzip": 415} {
		r, err := http.NewRequest("POST", c.server.URL+"/v1/classify", bytes.NewReader(pngOf(t, noise(1, 9, 9)[0])))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Encoding", coding)
		answer, err := c.server.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%q: %d", coding, answer.StatusCode)
		}
	}
}

// No classes are an empty list, as the description says.
func TestTopOfNothing(t *testing.T) {
	classifier := open(t, tinySlab(t, 1))
	img := noise(1, 9, 9)[0]
	if p, err := classifier.Classify(t.Context(), img, WithTopK(0)); err != nil || p.Top == nil || len(p.Top) != 0 {
		t.Errorf("%+v %v", p, err)
	}
	c := newClient(t, NewService(classifier)) // which compares with the description
	if status, got := c.classify("?top=0", pngOf(t, img)); status != 200 || got.Top == nil {
		t.Errorf("%d %+v", status, got)
	}
	kind, body := form(t, pngOf(t, img))
	if status, got := c.do("POST", "/v1/batch?top=0", kind, bytes.NewReader(body)); status != 200 || len(got.Predictions) != 1 {
		t.Errorf("a batch: %d %+v", status, got)
	}
}

// A classifier that its owner has closed is not ready, as whoever asks it is told.
func TestClosedClassifierIsNotReady(t *testing.T) {
	classifier, err := Open(t.Context(), tinySlab(t, 1), WithEngine(Native))
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, NewService(classifier))
	for _, want := range []int{200, 503} {
		for _, path := range []string{"/readyz", "/v2/health/ready", "/v2/models/" + classifier.Model().Name + "/ready"} {
			if status, got := c.do("GET", path, "", nil); status != want {
				t.Errorf("%s: %d %+v", path, status, got)
			}
		}
		if status, got := c.classify("", pngOf(t, noise(1, 9, 9)[0])); status != want {
			t.Errorf("classify: %d %+v", status, got)
		}
		if err := classifier.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// Options that can never work are refused where they are given, and limits without end are
// none.
func TestServiceOptions(t *testing.T) {
	classifier := open(t, tinySlab(t, 1))
	refused := func(o ServiceOption) (err error) {
		defer func() { err, _ = recover().(error) }()
		NewService(classifier, o)
		return nil
	}
	for name, o := range map[string]ServiceOption{"nil": nil, "no body": WithMaxBody(0), "less body": WithMaxBody(-1), "no pixels": WithMaxPixels(0),
		"no time": WithTimeout(0), "less time": WithTimeout(-1), "no logger": WithLogger(nil), "no metrics": WithMetrics(nil)} {
		if err := refused(o); !isOption(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	const most = 1<<63 - 1
	file := pngOf(t, noise(1, 9, 9)[0])
	for name, o := range map[string]ServiceOption{"body": WithMaxBody(most), "pixels": WithMaxPixels(most), "queue": WithQueue(most), "batch": WithMaxBatch(most), "time": WithTimeout(most)} {
		w := httptest.NewRecorder()
		NewService(classifier, o).ServeHTTP(w, httptest.NewRequest("POST", "/v1/classify", bytes.NewReader(file)))
		if w.Code != 200 {
			t.Errorf("a %s without end: %d %s", name, w.Code, w.Body)
		}
	}
}
