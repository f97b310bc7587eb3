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

// BenchmarkChain times the groups of the net fast64, forward and backward, on one core in
// turn with its peak: the operations of direct convolutions, so more than the peak is
// possible.
//
//	go test -run '^$' -bench Chain ./trainer/internal/nhwc
func BenchmarkChain(b *testing.B) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	set := available()[0]
	for _, group := range []struct {
		side     int
		channels []int
		input    bool // its gradient is wanted
	}{{32, []int{32, 64, 64}, false}, {16, []int{64, 128, 128}, true}, {8, []int{128, 128, 128}, true}} {
		c := newChainCase(64, group.side, group.side, group.channels, []bool{true, false})
		chain := NewChain(c.links, &Buffers{})
		y, dx := make([]float32, len(c.dy)), make([]float32, len(c.x))
		if !group.input {
			dx = nil
		}
		var forward, backward float64
		for i, l := range c.links {
			flop := 2 * 9 * float64(l.In*l.Out*l.Images*l.Conv.Height*l.Conv.Width)
			forward += flop
			if backward += flop; i > 0 || group.input {
				backward += flop
			}
		}
		b.Run(fmt.Sprintf("%d_%v", group.side, group.channels), func(b *testing.B) {
			var times [3][]float64
			for b.Loop() {
				const turns = 50000
				t0 := time.Now()
				chain.Forward(y, c.x, c.params, group.input)
				t1 := time.Now()
				chain.Backward(dx, c.x, c.dy)
				t2 := time.Now()
				if set.peak != nil {
					set.peak(turns)
				}
				times[0] = append(times[0], forward/t1.Sub(t0).Seconds()/1e9)
				times[1] = append(times[1], backward/t2.Sub(t1).Seconds()/1e9)
				times[2] = append(times[2], turns*float64(set.peakFLOP)/time.Since(t2).Seconds()/1e9)
			}
			for i, unit := range []string{"forward-GFLOP/s", "backward-GFLOP/s", "peak-GFLOP/s"} {
				slices.Sort(times[i])
				b.ReportMetric(times[i][len(times[i])/2], unit)
			}
		})
	}
}
