// Package prometheus counts what a host.Service does, for Prometheus. It is a package
// of its own so that embedding host stays light.
package prometheus

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/quarterturn/quarterturn/host"
)

// Metrics is a host.Metrics and the http.Handler that shows it.
type Metrics struct {
	registry *prometheus.Registry
	inFlight prometheus.Gauge
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	images   prometheus.Counter
	passes   prometheus.Counter
}

var _ host.Metrics = (*Metrics)(nil)

// New returns metrics under names that begin with quarterturn_, and those of the Go
// runtime and the process.
func New() *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "quarterturn_requests_in_flight",
			Help: "Requests to classify that wait or are at work."}),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "quarterturn_requests_total",
			Help: "Requests to classify that have ended, by HTTP status; 499: the client had gone."}, []string{"status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "quarterturn_request_seconds",
			Help:    "Time from a request to its answer, by the mode that ran.",
			Buckets: prometheus.ExponentialBuckets(0.0005, 2, 15)}, []string{"mode"}),
		images: prometheus.NewCounter(prometheus.CounterOpts{Name: "quarterturn_images_total",
			Help: "Images that were classified."}),
		passes: prometheus.NewCounter(prometheus.CounterOpts{Name: "quarterturn_passes_total",
			Help: "Passes of the network."}),
	}
	m.registry.MustRegister(m.inFlight, m.requests, m.duration, m.images, m.passes,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// InFlight is part of host.Metrics.
func (m *Metrics) InFlight(n int) { m.inFlight.Set(float64(n)) }

// Answered is part of host.Metrics.
func (m *Metrics) Answered(a host.Answer) {
	m.requests.WithLabelValues(strconv.Itoa(a.Status)).Inc()
	if a.Mode != "" {
		m.duration.WithLabelValues(a.Mode).Observe(a.Duration.Seconds())
		m.images.Add(float64(a.Images))
		m.passes.Add(float64(a.Passes))
	}
}

// ServeHTTP shows the metrics.
func (m *Metrics) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}).ServeHTTP(w, r)
}
