package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"slices"

	otelapi "go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/quarterturn/quarterturn/host/otel"
)

// otlpEndpoints are the variables that say where telemetry goes, the one for all first.
var otlpEndpoints = []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"}

// wantsTelemetry reports whether OpenTelemetry's own variables ask for telemetry.
func wantsTelemetry() bool {
	return os.Getenv("OTEL_SDK_DISABLED") != "true" && slices.ContainsFunc(otlpEndpoints, func(name string) bool { return os.Getenv(name) != "" })
}

// checkTelemetry refuses addresses for which the exporters would take localhost instead.
func checkTelemetry() error {
	if !wantsTelemetry() {
		return nil
	}
	for _, name := range otlpEndpoints {
		text := os.Getenv(name)
		u, err := url.Parse(text)
		if text != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "") {
			return usagef("%s is %q; it is to be an address such as http://collector:4318", name, text)
		}
	}
	return nil
}

// startTelemetry sends traces and metrics by OTLP over HTTP to where OpenTelemetry's own
// variables say, and returns nil if none of them says anything. stop sends the rest.
func startTelemetry(ctx context.Context, log *slog.Logger) (t *otel.Telemetry, stop func(context.Context) error, err error) {
	stop = func(context.Context) error { return nil }
	if !wantsTelemetry() {
		return nil, stop, nil
	}
	otelapi.SetErrorHandler(otelapi.ErrorHandlerFunc(func(err error) { log.Warn("telemetry", "error", err) }))
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, stop, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	traces, tracesErr := otlptracehttp.New(ctx)
	metrics, metricsErr := otlpmetrichttp.New(ctx)
	if err := errors.Join(tracesErr, metricsErr); err != nil {
		return nil, stop, fmt.Errorf("%s: %w", otlpEndpoints[0], err)
	}
	tp := trace.NewTracerProvider(trace.WithBatcher(traces), trace.WithResource(about))
	mp := metric.NewMeterProvider(metric.WithReader(metric.NewPeriodicReader(metrics)), metric.WithResource(about))
	stop = func(ctx context.Context) error { return errors.Join(tp.Shutdown(ctx), mp.Shutdown(ctx)) }
	t, err = otel.New(tp, mp)
	return t, stop, err
}
