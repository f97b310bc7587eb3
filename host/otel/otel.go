// Package otel reports what a host.Service does to OpenTelemetry: traces and metrics. It
// is a package of its own so that embedding host stays light, and speaks OpenTelemetry's
// API alone: the SDK and its exporters are the program's to choose.
//
//	t, err := otel.New(nil, nil) // the global providers
//	c, err := host.Open(ctx, slab, host.WithTracer(t))
//	s := host.NewService(c, host.WithMetrics(t))
//	http.ListenAndServe(addr, t.Handler(s))
package otel

import (
	"context"
	"errors"
	"net/http"

	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/quarterturn/quarterturn/host"
)

const scope = "github.com/quarterturn/quarterturn/host"

// Telemetry is a host.Tracer and a host.Metrics.
type Telemetry struct {
	traces   trace.TracerProvider
	meters   metric.MeterProvider
	tracer   trace.Tracer
	inFlight metric.Int64Gauge
	requests metric.Int64Counter
	duration metric.Float64Histogram
	images   metric.Int64Counter
	passes   metric.Int64Counter
}

var (
	_ host.Tracer  = (*Telemetry)(nil)
	_ host.Metrics = (*Telemetry)(nil)
)

// New returns telemetry that goes to some providers; nil stands for the global ones.
func New(traces trace.TracerProvider, meters metric.MeterProvider) (*Telemetry, error) {
	if traces == nil {
		traces = otel.GetTracerProvider()
	}
	if meters == nil {
		meters = otel.GetMeterProvider()
	}
	t := &Telemetry{traces: traces, meters: meters, tracer: traces.Tracer(scope)}
	m := meters.Meter(scope)
	var errs [5]error
	t.inFlight, errs[0] = m.Int64Gauge("quarterturn.requests.in_flight", metric.WithUnit("{request}"),
		metric.WithDescription("Requests to classify that wait or are at work."))
	t.requests, errs[1] = m.Int64Counter("quarterturn.requests", metric.WithUnit("{request}"),
		metric.WithDescription("Requests to classify that have ended, by HTTP status; 499: the client had gone."))
	t.duration, errs[2] = m.Float64Histogram("quarterturn.request.duration", metric.WithUnit("s"),
		metric.WithDescription("Time from a request to its answer, by the mode that ran."))
	t.images, errs[3] = m.Int64Counter("quarterturn.images", metric.WithUnit("{image}"), metric.WithDescription("Images that were classified."))
	t.passes, errs[4] = m.Int64Counter("quarterturn.passes", metric.WithUnit("{pass}"), metric.WithDescription("Passes of the network."))
	return t, errors.Join(errs[:]...)
}

// Start is part of host.Tracer.
func (t *Telemetry) Start(ctx context.Context, name string) (context.Context, func(error)) {
	ctx, span := t.tracer.Start(ctx, name)
	return ctx, func(err error) {
		if err != nil {
			span.RecordError(err)
			span.SetStatus(codes.Error, err.Error())
		}
		span.End()
	}
}

// InFlight is part of host.Metrics.
func (t *Telemetry) InFlight(n int) { t.inFlight.Record(context.Background(), int64(n)) }

// Answered is part of host.Metrics.
func (t *Telemetry) Answered(a host.Answer) {
	ctx := context.Background()
	t.requests.Add(ctx, 1, metric.WithAttributes(attribute.Int("http.response.status_code", a.Status)))
	if a.Mode != "" {
		mode := metric.WithAttributes(attribute.String("quarterturn.mode", a.Mode))
		t.duration.Record(ctx, a.Duration.Seconds(), mode)
		t.images.Add(ctx, int64(a.Images), mode)
		t.passes.Add(ctx, int64(a.Passes), mode)
	}
}

// Handler has the requests to next traced, as parts of the traces that their traceparent
// headers name, and measured, by OpenTelemetry's own instrumentation of net/http. It leaves
// out those about health, which come every few seconds. A span has the name of the method and
// of the pattern by which an http.ServeMux found the handler, so that their number does not
// depend on what strangers ask for.
func (t *Telemetry) Handler(next http.Handler) http.Handler {
	return otelhttp.NewHandler(next, "quarterturn", otelhttp.WithTracerProvider(t.traces), otelhttp.WithMeterProvider(t.meters),
		otelhttp.WithPropagators(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{})),
		otelhttp.WithFilter(func(r *http.Request) bool { return !host.AsksHealth(r) }))
}
