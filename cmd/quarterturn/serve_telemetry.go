package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"

	otelapi "go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"

	"github.com/quarterturn/quarterturn/host/otel"
)

// startTelemetry sends traces and metrics by OTLP over HTTP to where OpenTelemetry's own
// variables say, and returns nil if none of them says anything. stop sends the rest.
func startTelemetry(ctx context.Context, log *slog.Logger) (t *otel.Telemetry, stop func(context.Context) error, err error) {
	const all = "OTEL_EXPORTER_OTLP_ENDPOINT"
	stop = func(context.Context) error { return nil }
	if os.Getenv("OTEL_SDK_DISABLED") == "true" ||
		os.Getenv(all) == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT") == "" {
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
		return nil, stop, fmt.Errorf("%s: %w", all, err)
	}
	tp := trace.NewTracerProvider(trace.WithBatcher(traces), trace.WithResource(about))
	mp := metric.NewMeterProvider(metric.WithReader(metric.NewPeriodicReader(metrics)), metric.WithResource(about))
	stop = func(ctx context.Context) error { return errors.Join(tp.Shutdown(ctx), mp.Shutdown(ctx)) }
	t, err = otel.New(tp, mp)
	return t, stop, err
}
