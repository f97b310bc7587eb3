package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A served is the command serve, at work.
type served struct {
	t    *testing.T
	cmd  *exec.Cmd
	base string // the page's address
	more string // the other one, if there is one

	mu  sync.Mutex
	log strings.Builder
}

// startServe starts serve; env adds to its environment.
func startServe(t *testing.T, env []string, args ...string) *served {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	s := &served{t: t, cmd: command(ctx, append([]string{"serve", "--addr", "127.0.0.1:0"}, args...)...)}
	s.cmd.Env = append(s.cmd.Env, env...)
	stderr, err := s.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := make(chan string, 100)
	go func() {
		defer close(lines)
		for scanner := bufio.NewScanner(stderr); scanner.Scan(); {
			s.mu.Lock()
			s.log.WriteString(scanner.Text() + "\n")
			s.mu.Unlock()
			lines <- scanner.Text()
		}
	}()
	address := regexp.MustCompile(`https?://\S+/`)
	for line := range lines {
		if s.base == "" {
			s.base = address.FindString(line)
		} else {
			s.more = address.FindString(line)
		}
		if s.base != "" && (s.more != "" || !strings.Contains(strings.Join(args, " "), "--admin-addr")) {
			break
		}
	}
	go func() {
		for range lines {
		}
	}()
	if s.base == "" {
		t.Fatalf("serve did not start:\n%s", s.logged())
	}
	return s
}

func (s *served) logged() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}

// ask sends a request as it is changed by edit.
func (s *served) ask(method, path string, body string, edit func(*http.Request)) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequest(method, s.base+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if edit != nil {
		edit(r)
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Error(err)
	}
	return answer, string(b)
}

func (s *served) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// B34: names that are not this server's are refused, on every path but those about health.
func TestFieldB34Hosts(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := startServe(t, nil)
	port := s.base[strings.LastIndex(s.base, ":") : len(s.base)-1]
	for host, want := range map[string]int{"127.0.0.1" + port: 200, "localhost": 200, "LocalHost." + port: 200, "[::1]" + port: 200,
		"evil.example": 421, "evil.example" + port: 421, "127.0.0.1.evil.example": 421, "192.0.2.1": 421} {
		for _, path := range []string{"", "models.json", "healthz", "v2/health/ready", "v1/model", "v2", "metrics"} {
			want := want
			if strings.Contains(path, "health") { // balancers ask that under any name
				want = 200
			}
			if r, body := s.ask("GET", path, "", func(r *http.Request) { r.Host = host }); r.StatusCode != want {
				t.Errorf("/%s as %q: %d %.80s", path, host, r.StatusCode, body)
			}
		}
	}
	for text, want := range map[string]int{
		// Whoever is refused is told so at once, not when his body is there.
		"POST /v1/classify HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 1000\r\n\r\nx": 421,
		// HTTP/1.0 needs no name.
		"GET /healthz HTTP/1.0\r\n\r\n": 200, "GET /readyz HTTP/1.0\r\n\r\n": 200, "GET /v1/model HTTP/1.0\r\n\r\n": 421,
	} {
		conn, err := net.Dial("tcp", "127.0.0.1"+port)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, text)
		if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if answer, err := http.ReadResponse(bufio.NewReader(conn), nil); err != nil || answer.StatusCode != want {
			t.Errorf("%q: %v %v, want %d", text, answer, err, want)
		}
	}
	s = startServe(t, nil, "--allowed-hosts", "pictures.example,other.example")
	for host, want := range map[string]int{"pictures.example": 200, "Other.Example:80": 200, "localhost": 200, "third.example": 421} {
		if r, _ := s.ask("GET", "v1/model", "", func(r *http.Request) { r.Host = host }); r.StatusCode != want {
			t.Errorf("with a list, as %q: %d", host, r.StatusCode)
		}
	}
}

// B33, B34: methods are checked and headers are complete everywhere.
func TestFieldB34HeadersEverywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	s := startServe(t, nil, "--pprof")
	for _, path := range []string{"", "quarterturn/quarterturn.wasm", "nothing", "healthz", "readyz", "metrics", "v1/model", "v1/nothing", "v2", "debug/pprof/"} {
		r, _ := s.ask("GET", path, "", nil)
		for _, d := range []string{"frame-ancestors '", "base-uri 'none'", "form-action 'none'", "object-src 'none'"} {
			if !strings.Contains(r.Header.Get("Content-Security-Policy"), d) {
				t.Errorf("/%s: no %s in %q", path, d, r.Header.Get("Content-Security-Policy"))
			}
		}
		if r.Header.Get("X-Content-Type-Options") != "nosniff" || r.Header.Get("Referrer-Policy") == "" {
			t.Errorf("/%s: %v", path, r.Header)
		}
		if r, _ := s.ask("DELETE", path, "", nil); r.StatusCode != 405 && r.StatusCode != 404 {
			t.Errorf("DELETE /%s: %d", path, r.StatusCode)
		}
	}
	for _, path := range []string{"", "metrics", "healthz", "readyz", "v1/model"} {
		if r, _ := s.ask("POST", path, "", nil); r.StatusCode != 405 || !strings.Contains(r.Header.Get("Allow"), "GET") {
			t.Errorf("POST /%s: %d, Allow %q", path, r.StatusCode, r.Header.Get("Allow"))
		}
	}
}

// B34: after SIGTERM /readyz says no while requests are answered; then it ends. SIGHUP
// without --model does not end it.
func TestFieldB34Drain(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	picture := pictureBytes(t)
	s := startServe(t, nil, "--drain-delay", "4s")
	s.signal(syscall.SIGHUP)
	time.Sleep(100 * time.Millisecond)
	if r, _ := s.ask("GET", "readyz", "", nil); r.StatusCode != 200 {
		t.Errorf("after SIGHUP: %d", r.StatusCode)
	}
	s.signal(syscall.SIGTERM)
	start := time.Now()
	unready := false
	for time.Since(start) < 3*time.Second && !unready {
		r, _ := s.ask("GET", "readyz", "", nil)
		unready = r.StatusCode == 503
	}
	r, body := s.ask("POST", "v1/classify", picture, nil)
	if !unready || r.StatusCode != 200 {
		t.Errorf("while it drains: unready %v, classify %d %s", unready, r.StatusCode, body)
	}
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v\n%s", err, s.logged())
	}
	if d := time.Since(start); d < 4*time.Second {
		t.Errorf("it ended after %v", d)
	}
}

// B34: a second Ctrl-C ends it at once.
func TestFieldB34SecondCtrlC(t *testing.T) {
	s := startServe(t, nil, "--drain-delay", "1m")
	s.signal(os.Interrupt)
	for range 500 {
		if r, _ := s.ask("GET", "readyz", "", nil); r.StatusCode == 503 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.signal(os.Interrupt)
	done := make(chan error, 1)
	go func() { done <- s.cmd.Wait() }()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Error("it goes on")
	}
}

// B28: idle connections give way, and the limits are flags and variables.
func TestFieldB28Connections(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	picture := pictureBytes(t)
	s := startServe(t, []string{"QUARTERTURN_MAX_BODY=1"}, "--connections", "5", "--timeout", "2s", "--max-pixels", "1")
	addr := strings.TrimSuffix(strings.TrimPrefix(s.base, "http://"), "/")
	for i := range 20 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if i%2 == 0 { // half of them begin a request
			fmt.Fprint(conn, "POST /v1/classify HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n")
		}
	}
	for range 3 {
		r, body := s.ask("POST", "v1/classify", picture, func(r *http.Request) { r.Close = true })
		if r.StatusCode != 200 {
			t.Errorf("beside them: %d %s", r.StatusCode, body)
		}
	}
	if r, body := s.ask("POST", "v1/classify", strings.Repeat("x", 1<<20+1), nil); r.StatusCode != 413 || !strings.Contains(body, "1048576") {
		t.Errorf("QUARTERTURN_MAX_BODY: %d %s", r.StatusCode, body)
	}
}

// C47: CORS, the admin address, tokens and logs are options.
func TestFieldC47ServeOptions(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	at := folder(t)
	if err := os.WriteFile(at("tokens"), []byte("first\n\nsecond\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startServe(t, []string{"QUARTERTURN_LOG_FORMAT=json", "QUARTERTURN_MODEL=" + at("tiny.slab")}, "--admin-addr", "127.0.0.1:0",
		"--cors-origins", "https://shop.example", "--token-file", at("tokens"), "-v")
	picture := pictureBytes(t)
	with := func(key, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(key, value) }
	}
	for token, want := range map[string]int{"Bearer first": 200, "bearer second": 200, "Bearer third": 401, "Bearer": 401, "Basic first": 401, "": 401} {
		r, body := s.ask("POST", "v1/classify", picture, with("Authorization", token))
		if r.StatusCode != want || want == 401 && r.Header.Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("token %q: %d %s", token, r.StatusCode, body)
		}
	}
	twice := func(r *http.Request) { r.Header["Authorization"] = []string{"Bearer third", "Bearer first"} }
	if r, body := s.ask("POST", "v1/classify", picture, twice); r.StatusCode != 400 || !strings.Contains(body, "twice") {
		t.Errorf("two tokens: %d %s", r.StatusCode, body)
	}
	for what, edit := range map[string]func(*http.Request){"no token": nil, "two": twice, "another name": func(r *http.Request) { r.Host = "evil.example" }} {
		for _, path := range []string{"v2", "v2/", "v2/models/x"} {
			var told struct{ Error string } // of KServe's protocol, whoever refuses
			if r, body := s.ask("GET", path, "", edit); r.StatusCode < 400 || json.Unmarshal([]byte(body), &told) != nil || told.Error == "" {
				t.Errorf("/%s, %s: %d %s", path, what, r.StatusCode, body)
			}
		}
	}
	for path, want := range map[string]int{"": 401, "v1/model": 401, "metrics": 401, "healthz": 200, "readyz": 200, "v2/health/ready": 200} {
		if r, _ := s.ask("GET", path, "", nil); r.StatusCode != want {
			t.Errorf("/%s without a token: %d", path, r.StatusCode)
		}
	}
	r, _ := s.ask("OPTIONS", "v1/classify", "", func(r *http.Request) {
		r.Header.Set("Origin", "https://shop.example")
		r.Header.Set("Access-Control-Request-Method", "POST")
		r.Header.Set("Access-Control-Request-Headers", "content-type")
	})
	if r.StatusCode/100 != 2 || r.Header.Get("Access-Control-Allow-Origin") != "https://shop.example" {
		t.Errorf("preflight: %d %v", r.StatusCode, r.Header)
	}
	if r, _ := s.ask("GET", "healthz", "", with("Origin", "https://evil.example")); r.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("another origin: %v", r.Header)
	}
	for path, want := range map[string]int{"metrics": 200, "debug/pprof/": 200, "readyz": 200, "v1/model": 404} {
		r, err := http.Get(s.more + path)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != want {
			t.Errorf("admin /%s: %d", path, r.StatusCode)
		}
	}
	if r, _ := s.ask("GET", "metrics", "", with("Authorization", "Bearer first")); r.StatusCode != 404 {
		t.Errorf("/metrics beside an admin address: %d", r.StatusCode)
	}
	log := s.logged()
	if !strings.Contains(log, `"msg":"classified"`) || !strings.Contains(log, `"status":200`) || !strings.Contains(log, "hash") {
		t.Errorf("the log:\n%s", log)
	}
	for line := range strings.Lines(log) {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
	for _, x := range []struct{ env, says string }{
		{"QUARTERTURN_QUEUE=many", "QUARTERTURN_QUEUE"}, {"QUARTERTURN_LOG_FORMAT=xml", "xml"}, {"QUARTERTURN_MAX_BODY=0", "max-body"},
		{"QUARTERTURN_CORS_ORIGINS=shop.example", "--cors-origins"}, {"QUARTERTURN_ALLOWED_HOSTS=shop.example:8443", "--allowed-hosts"},
		{"QUARTERTURN_ADDR=::1", "--addr is to be HOST:PORT"}, {"QUARTERTURN_ADMIN_ADDR=:99999", "--admin-addr is to be HOST:PORT"}, {"QUARTERTURN_ADDR=", "HOST:PORT"},
		{"QUARTERTURN_TIMEUOT=5s QUARTERTURN_MAX_BODY=0", "no setting QUARTERTURN_TIMEUOT, did you mean QUARTERTURN_TIMEOUT?"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=::bad", "OTEL_EXPORTER_OTLP_ENDPOINT"}, {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=collector:4318", "TRACES_ENDPOINT"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c:4317 OTEL_EXPORTER_OTLP_PROTOCOL=grpc", `OTEL_EXPORTER_OTLP_PROTOCOL is "grpc"; serve sends by http/protobuf alone`},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://c OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=http/json", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c OTEL_TRACES_EXPORTER=none OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=grpc", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL"},
		{"OTEL_EXPORTER_OTLP_ENDPOINT=http://c OTEL_METRICS_EXPORTER=prometheus", `OTEL_METRICS_EXPORTER is "prometheus"; it is to be otlp or none`},
	} {
		cmd := command(t.Context(), "serve")
		cmd.Env = append(cmd.Env, strings.Fields(x.env)...)
		if out, err := cmd.CombinedOutput(); err == nil || cmd.ProcessState.ExitCode() != 2 || !strings.Contains(string(out), x.says) {
			t.Errorf("%s: %v %s", x.env, err, out)
		}
	}
}

// A slab answers KServe under the name of its file, too; the one that comes along is cifar10.
func TestServeAlias(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	for alias, s := range map[string]*served{"tiny": startServe(t, nil, folder(t)("tiny.slab")), "cifar10": startServe(t, nil)} {
		if r, body := s.ask("GET", "v2/models/"+alias, "", nil); r.StatusCode != 200 || !strings.Contains(body, `"name":"`+alias+`"`) {
			t.Errorf("%s: %d %s", alias, r.StatusCode, body)
		}
		request := `{"inputs":[{"name":"image","datatype":"BYTES","shape":[1],"data":["` + base64.StdEncoding.EncodeToString([]byte(pictureBytes(t))) + `"]}]}`
		if r, body := s.ask("POST", "v2/models/"+alias+"/infer", request, nil); r.StatusCode != 200 || !strings.Contains(body, `"model_name":"`+alias+`"`) {
			t.Errorf("%s: %d %s", alias, r.StatusCode, body)
		}
	}
}

func pictureBytes(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile(folder(t)("picture.png"))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
