package otel

import (
	"bytes"
	"image"
	"image/png"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/host"
	"github.com/quarterturn/quarterturn/sla/slatest"
)

// However many addresses and methods strangers think of, spans have few names, and what
// asks about health has none.
func TestSpanNames(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	telemetry, err := New(trace.NewTracerProvider(trace.WithSyncer(spans)), nil)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(telemetry.Handler(host.NewService(nil)))
	defer server.Close()
	for _, ask := range []string{"GET /healthz", "GET /readyz", "GET /v2/health/live", "GET /v2/health/ready", "GET /v1/model", "HEAD /v1/model",
		"GET /v2/models/a", "GET /v2/models/b", "POST /v2/models/c/versions/1/infer", "GET /a", "GET /v1/b", "BREW /v1/model"} {
		method, path, _ := strings.Cut(ask, " ")
		r, err := http.NewRequest(method, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	server.Close() // which waits for the spans' ends
	var names []string
	for _, s := range spans.GetSpans() {
		names = append(names, s.Name)
	}
	want := []string{"GET /v1/model", "HEAD /v1/model", "GET /v2/models/{name}", "GET /v2/models/{name}",
		"POST /v2/models/{name}/versions/{version}/infer", "GET", "GET", "HTTP"}
	slices.Sort(names)
	slices.Sort(want)
	if !slices.Equal(names, want) {
		t.Errorf("the spans %q, want %q", names, want)
	}
}

// A request under a trace of the client's makes the spans of that trace, and counts.
func TestTelemetry(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	reader := metric.NewManualReader()
	telemetry, err := New(trace.NewTracerProvider(trace.WithSyncer(spans)), metric.NewMeterProvider(metric.WithReader(reader)))
	if err != nil {
		t.Fatal(err)
	}
	c, err := host.Open(t.Context(), slatest.Slab(t, formattest.Tiny(1)), host.WithTracer(telemetry), host.WithEngine(host.Native))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	server := httptest.NewServer(telemetry.Handler(host.NewService(c, host.WithMetrics(telemetry))))
	defer server.Close()
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 9, 9))); err != nil {
		t.Fatal(err)
	}
	const trace = "0af7651916cd43dd8448eb211c80319c"
	for _, body := range []string{picture.String(), "no image"} {
		r, err := http.NewRequest(http.MethodPost, server.URL+"/v1/classify?mode=aggregated", bytes.NewBufferString(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
	}
	server.Close() // which waits for the spans' ends

	names := map[string]int{}
	parents := map[string]string{}
	for _, s := range spans.GetSpans() {
		if s.SpanContext.TraceID().String() != trace {
			t.Errorf("the span %s is of the trace %s", s.Name, s.SpanContext.TraceID())
		}
		names[s.Name]++
		parents[s.SpanContext.SpanID().String()] = s.Name
	}
	for name, n := range map[string]int{"POST /v1/classify": 2, "decode": 1, "classify": 1, "wait": 1, "preprocess": 1, "run": 1} {
		if names[name] != n {
			t.Errorf("%d spans %q, want %d", names[name], name, n)
		}
	}
	for _, s := range spans.GetSpans() {
		if want := map[string]string{"classify": "POST /v1/classify", "run": "classify"}[s.Name]; want != "" && parents[s.Parent.SpanID().String()] != want {
			t.Errorf("the parent of %s is %q", s.Name, parents[s.Parent.SpanID().String()])
		}
	}

	var data metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &data); err != nil {
		t.Fatal(err)
	}
	sums := map[string]int64{}
	for _, scope := range data.ScopeMetrics {
		for _, m := range scope.Metrics {
			if sum, ok := m.Data.(metricdata.Sum[int64]); ok {
				for _, p := range sum.DataPoints {
					sums[m.Name] += p.Value
				}
			}
			if h, ok := m.Data.(metricdata.Histogram[float64]); ok {
				for _, p := range h.DataPoints {
					sums[m.Name] += int64(p.Count)
				}
			}
		}
	}
	for name, n := range map[string]int64{"quarterturn.requests": 2, "quarterturn.images": 1, "quarterturn.passes": 4,
		"quarterturn.request.duration": 1, "http.server.request.duration": 2} {
		if sums[name] != n {
			t.Errorf("%s is %d, want %d", name, sums[name], n)
		}
	}
}
