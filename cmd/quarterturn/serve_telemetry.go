package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"

	otelapi "go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	meterapi "go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	"go.opentelemetry.io/otel/sdk/trace"
	traceapi "go.opentelemetry.io/otel/trace"

	"github.com/quarterturn/quarterturn/host/otel"
)

// The two things that can be sent, as OpenTelemetry's variables call them.
const sentTraces, sentMetrics = "TRACES", "METRICS"

// otlpSetting returns what OpenTelemetry's variables say of how something is sent, and which of
// them says so: the one for it alone, or else the one for all.
func otlpSetting(sent, name string) (variable, value string) {
	for _, variable := range []string{"OTEL_EXPORTER_OTLP_" + sent + "_" + name, "OTEL_EXPORTER_OTLP_" + name} {
		if value := os.Getenv(variable); value != "" {
			return variable, value
		}
	}
	return "", ""
}

// sends reports whether OpenTelemetry's variables ask for something.
func sends(sent string) bool {
	_, endpoint := otlpSetting(sent, "ENDPOINT")
	return endpoint != "" && !strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") && os.Getenv("OTEL_"+sent+"_EXPORTER") != "none"
}

// checkTelemetry refuses what the SDK and the exporters would not do: for an address that they
// cannot read they take localhost, and of the names of exporters and protocols they look at few.
func checkTelemetry() error {
	for _, sent := range []string{sentTraces, sentMetrics} {
		if !sends(sent) {
			continue
		}
		variable, text := otlpSetting(sent, "ENDPOINT")
		if u, err := url.Parse(text); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
			return usagef("%s is %q; it is to be an address such as http://collector:4318", variable, text)
		}
		if variable, text := otlpSetting(sent, "PROTOCOL"); text != "" && text != "http/protobuf" {
			return usagef("%s is %q; serve sends by http/protobuf alone: set that, and the address of the collector for it, whose port is 4318 as a rule", variable, text)
		}
		variable = "OTEL_" + sent + "_EXPORTER"
		if text := os.Getenv(variable); text != "" && text != "otlp" {
			return usagef("%s is %q; it is to be otlp or none (Prometheus reads /metrics whatever it is)", variable, text)
		}
	}
	return nil
}

// startTelemetry sends traces and metrics by OTLP over HTTP to where OpenTelemetry's own
// variables say, and returns nil if they ask for neither. stop sends the rest.
func startTelemetry(ctx context.Context, log *slog.Logger) (t *otel.Telemetry, stop func(context.Context) error, err error) {
	var stops []func(context.Context) error
	stop = func(ctx context.Context) error {
		var errs []error
		for _, stop := range stops {
			errs = append(errs, stop(ctx))
		}
		return errors.Join(errs...)
	}
	if !sends(sentTraces) && !sends(sentMetrics) {
		return nil, stop, nil
	}
	otelapi.SetErrorHandler(otelapi.ErrorHandlerFunc(func(err error) { log.Warn("telemetry", "error", err) }))
	name := resource.WithAttributes(attribute.String("service.name", "quarterturn")) // unless a variable has another
	about, err := resource.New(ctx, name, resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		return nil, stop, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	var traces traceapi.TracerProvider // nil: the global one, which does nothing
	var meters meterapi.MeterProvider
	if sends(sentTraces) {
		exporter, err := otlptracehttp.New(ctx)
		if err != nil {
			return nil, stop, fmt.Errorf("the exporter of traces: %w", err)
		}
		p := trace.NewTracerProvider(trace.WithBatcher(exporter), trace.WithResource(about))
		traces, stops = p, append(stops, p.Shutdown)
	}
	if sends(sentMetrics) {
		exporter, err := otlpmetrichttp.New(ctx)
		if err != nil {
			return nil, stop, fmt.Errorf("the exporter of metrics: %w", err)
		}
		p := metric.NewMeterProvider(metric.WithReader(metric.NewPeriodicReader(exporter)), metric.WithResource(about))
		meters, stops = p, append(stops, p.Shutdown)
	}
	t, err = otel.New(traces, meters)
	return t, stop, err
}
