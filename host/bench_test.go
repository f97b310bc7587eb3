package host

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/www"
)

// BenchmarkService asks a service over loopback and, in turn with that, classifies
// the same image without HTTP: requests a second, how much of the engine's own rate
// that is, and the times of answers.
func BenchmarkService(b *testing.B) {
	for _, clients := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			c := open(b, www.Model)
			server := httptest.NewServer(Handler(c))
			defer server.Close()
			transport := &http.Transport{MaxIdleConnsPerHost: clients}
			defer transport.CloseIdleConnections()
			img := noise(3, 32, 32)[0]
			file := pngOf(b, img)
			ask := func() {
				answer, err := (&http.Client{Transport: transport}).Post(server.URL+"/v1/classify", "image/png", bytes.NewReader(file))
				if err != nil {
					b.Error(err)
					return
				}
				defer answer.Body.Close()
				if _, err := io.Copy(io.Discard, answer.Body); err != nil || answer.StatusCode != http.StatusOK {
					b.Errorf("%s %v", answer.Status, err)
				}
			}
			direct := func() {
				if _, err := c.Classify(b.Context(), img); err != nil {
					b.Error(err)
				}
			}
			const many = 300
			load(clients, many, ask) // warms up
			var rates, ratios, times []float64
			for b.Loop() {
				served, took := load(clients, many, ask)
				alone, _ := load(clients, many, direct)
				rates, ratios, times = append(rates, served), append(ratios, served/alone), append(times, took...)
			}
			slices.Sort(rates)
			slices.Sort(ratios)
			slices.Sort(times)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(rates[len(rates)/2], "images/s")
			b.ReportMetric(ratios[len(ratios)/2], "of-engine")
			b.ReportMetric(times[len(times)/2], "p50-ms")
			b.ReportMetric(times[len(times)*99/100], "p99-ms")
		})
	}
}

// load has clients do something so many times in all; it returns how often a second,
// and each time in milliseconds.
func load(clients, times int, do func()) (rate float64, took []float64) {
	var left atomic.Int64
	left.Store(int64(times))
	var mu sync.Mutex
	var wait sync.WaitGroup
	start := time.Now()
	for range clients {
		wait.Go(func() {
			for left.Add(-1) >= 0 {
				t := time.Now()
				do()
				mu.Lock()
				took = append(took, float64(time.Since(t))/1e6)
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	return float64(times) / time.Since(start).Seconds(), took
}

// BenchmarkOpen opens the page's slab: the first time on a machine, with compiled
// code on disk, and once more in a process.
func BenchmarkOpen(b *testing.B) {
	for _, from := range []struct {
		name string
		opts func() []Option
	}{
		{"nothing", func() []Option { return []Option{WithCacheDir(b.TempDir())} }},
		{"disk", func() func() []Option {
			dir := b.TempDir()
			return func() []Option { return []Option{WithCacheDir(dir)} }
		}()},
		{"process", func() []Option { return nil }},
		{"native", func() []Option { return []Option{WithEngine(Native)} }},
	} {
		b.Run("from="+from.name, func(b *testing.B) {
			openAndClose := func() {
				c, err := Open(b.Context(), www.Model, from.opts()...)
				if err != nil {
					b.Fatal(err)
				}
				if err := c.Close(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			if from.name != "nothing" {
				openAndClose()
			}
			for b.Loop() {
				openAndClose()
			}
		})
	}
}

// BenchmarkHardDeadline classifies in turn with and without WithHardDeadline.
func BenchmarkHardDeadline(b *testing.B) {
	soft, hard := open(b, www.Model, WithPoolSize(1)), open(b, www.Model, WithPoolSize(1), WithHardDeadline())
	img := noise(3, 32, 32)[0]
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	classify := func(c *Classifier) float64 {
		start := time.Now()
		if _, err := c.Classify(ctx, img, WithMode(sla.Single)); err != nil {
			b.Fatal(err)
		}
		return time.Since(start).Seconds()
	}
	var ratios, times []float64
	for b.Loop() {
		s, h := classify(soft), classify(hard)
		ratios, times = append(ratios, h/s), append(times, 1e3*s)
	}
	slices.Sort(ratios)
	slices.Sort(times)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(times[len(times)/2], "soft-ms")
	b.ReportMetric(ratios[len(ratios)/2], "hard/soft")
}
