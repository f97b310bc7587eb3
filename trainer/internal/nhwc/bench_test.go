package nhwc

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
)

// BenchmarkConv times the convolutions of ResNet-32 for CIFAR on one core and,
// in turn with them, a loop of nothing but multiply-adds: the core's peak, which
// on a shared machine is not the same from one second to the next. The batch of 16
// images stays in the caches; see BenchmarkStep of the trainer for whole batches.
//
//	go test -run '^$' -bench Conv ./trainer/internal/nhwc
func BenchmarkConv(b *testing.B) {
	set := available()[0]
	for _, c := range []Conv{
		{Height: 32, Width: 32, In: 3, Out: 16, Kernel: 3, Stride: 1},
		{Height: 32, Width: 32, In: 16, Out: 16, Kernel: 3, Stride: 1},
		{Height: 32, Width: 32, In: 16, Out: 32, Kernel: 3, Stride: 2},
		{Height: 16, Width: 16, In: 32, Out: 32, Kernel: 3, Stride: 1},
		{Height: 16, Width: 16, In: 32, Out: 64, Kernel: 3, Stride: 2},
		{Height: 8, Width: 8, In: 64, Out: 64, Kernel: 3, Stride: 1},
	} {
		c.Images = 16
		rng := rand.New(rand.NewPCG(1, 2))
		x := padded(rng, c.Images, c.Height, c.Width, c.In)
		dy := padded(rng, c.Images, c.OutHeight(), c.OutWidth(), c.Out)
		w := normal(rng, 9*c.In*c.Out)
		y, dx, dw := make([]float32, len(dy)), make([]float32, len(x)), make([]float32, len(w))
		flop := 2 * 9 * float64(c.In*c.Out*c.Images*c.OutHeight()*c.OutWidth())
		for _, pass := range []struct {
			name string
			run  func()
		}{
			{"forward", func() { convForward(&c, y, x, w) }},
			{"input", func() { convInput(&c, dx, dy, w) }},
			{"weights", func() { convWeights(&c, dw, x, dy) }},
		} {
			if pass.name == "input" && c.In%8 != 0 {
				continue
			}
			b.Run(fmt.Sprintf("%dx%d_%d-%d_s%d/%s", c.Height, c.Width, c.In, c.Out, c.Stride, pass.name), func(b *testing.B) {
				defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
				var ours, peaks []float64
				for b.Loop() {
					const turns = 5000
					start := time.Now()
					pass.run()
					middle := time.Now()
					if set.peak != nil {
						set.peak(turns)
						peaks = append(peaks, turns*float64(set.peakFLOP)/time.Since(middle).Seconds()/1e9)
					}
					ours = append(ours, flop/middle.Sub(start).Seconds()/1e9)
				}
				slices.Sort(ours)
				b.ReportMetric(ours[len(ours)/2], "GFLOP/s")
				if peaks != nil {
					slices.Sort(peaks)
					peak := peaks[len(peaks)/2]
					b.ReportMetric(peak, "peak-GFLOP/s")
					b.ReportMetric(100*ours[len(ours)/2]/peak, "%-of-peak")
				}
			})
		}
	}
}
