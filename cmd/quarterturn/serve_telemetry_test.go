package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// collected is what a collector gets of a serve with such variables that answers some requests
// and ends: the paths that it is sent to, and all that is sent there.
func collected(t *testing.T, env ...string) map[string]string {
	t.Helper()
	var mu sync.Mutex
	got := map[string]string{}
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		got[r.URL.Path] += string(b)
	}))
	defer collector.Close()
	s := startServe(t, append(env, "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.URL, "OTEL_BSP_SCHEDULE_DELAY=50"), "--drain-delay", "0s")
	if r, body := s.ask("POST", "v1/classify", pictureBytes(t), nil); r.StatusCode != 200 {
		t.Errorf("classify: %d %s", r.StatusCode, body)
	}
	for _, path := range []string{"healthz", "readyz", "v2/health/live", "v2/health/ready", "wp-login.php", "v2/models/stranger", "v1/stranger"} {
		s.ask("GET", path, "", nil)
	}
	s.signal(syscall.SIGTERM)
	if err := s.cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, s.logged())
	}
	collector.Close() // which waits for what is still on its way
	return got
}

// Traces and metrics go where OpenTelemetry's variables say. Spans have the names of routes,
// and there are none of what asks about health.
func TestServeTelemetry(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const ours = "service.name\x12\r\n\vquarterturn" // as OTLP writes an attribute
	got := collected(t)
	for path, wants := range map[string][]string{
		"/v1/traces":  {"POST /v1/classify", "GET /v2/models/{name}", "GET /v1/", "GET /", ours},
		"/v1/metrics": {"quarterturn.images", ours},
	} {
		for _, want := range wants {
			if !strings.Contains(got[path], want) {
				t.Errorf("%s got no %q", path, want)
			}
		}
	}
	for _, not := range []string{"GET /wp-login.php", "GET /v2/models/stranger", "GET /v1/stranger", "health", "readyz"} {
		if strings.Contains(got["/v1/traces"], not) {
			t.Errorf("a trace says %q", not)
		}
	}
}

// What is not wanted is not sent, and how it would be sent does not matter.
func TestServeTelemetryNone(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	got := collected(t, "OTEL_TRACES_EXPORTER=none", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc", "OTEL_SERVICE_NAME=pictures")
	if got["/v1/traces"] != "" || !strings.Contains(got["/v1/metrics"], "service.name\x12\n\n\bpictures") {
		t.Errorf("without traces: %q", got)
	}
	got = collected(t, "OTEL_METRICS_EXPORTER=none", "OTEL_TRACES_EXPORTER=otlp", "OTEL_RESOURCE_ATTRIBUTES=service.name=pictures")
	if got["/v1/metrics"] != "" || !strings.Contains(got["/v1/traces"], "service.name\x12\n\n\bpictures") {
		t.Errorf("without metrics: %q", got)
	}
	for _, env := range [][]string{{"OTEL_SDK_DISABLED=True"}, {"OTEL_TRACES_EXPORTER=none", "OTEL_METRICS_EXPORTER=none"}} {
		if got := collected(t, env...); len(got) != 0 {
			t.Errorf("%q: %q", env, got)
		}
	}
}
