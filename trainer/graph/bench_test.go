package graph

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
	"github.com/quarterturn/quarterturn/trainer/nets"
	"github.com/quarterturn/quarterturn/trainer/optim"
)

// BenchmarkStep times whole training steps, forward, backward and solver, on
// 3x32x32 images and 40 joint labels, and beside each, in the same run, those of
// PyTorch (Debian's python3-torch, the faster of its two memory layouts) with the
// same number of threads:
//
//	go test -run '^$' -bench Step -benchtime 5x ./trainer/graph
//
// %-of-peak is the operations of direct convolutions, all that the step needs, over those of
// a loop of multiply-adds on one core, in turn with the steps, times the threads: Winograd's
// algorithm may make more than 100 of it.
func BenchmarkStep(b *testing.B) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	for _, net := range []string{"resnet8", "resnet32", "fast64", "fast64-256"} {
		for _, threads := range []int{1, before} {
			const images, views = 128, 4
			b.Run(fmt.Sprintf("%s/rows=%d/threads=%d", net, images*views, threads), func(b *testing.B) {
				runtime.GOMAXPROCS(threads)
				g := benchGraph(b, net, images, views)
				solver := &optim.SGD{LR: 0.01, Momentum: 0.9, WeightDecay: 1e-4, DecayAll: true}
				if nets.IsFast(net) {
					solver.Muon = &optim.Muon{Momentum: 0.6}
				}
				var times, peaks []float64
				var before, after runtime.MemStats
				for b.Loop() {
					if len(times) == 1 { // the first step has made the buffers
						runtime.ReadMemStats(&before)
					}
					start := time.Now()
					if _, err := g.Run(); err != nil {
						b.Fatal(err)
					}
					if err := g.Step(solver); err != nil {
						b.Fatal(err)
					}
					times = append(times, time.Since(start).Seconds()*1e3)
					start = time.Now()
					flop := nhwc.MultiplyAdds(100_000)
					peaks = append(peaks, flop/time.Since(start).Seconds()/1e9)
				}
				slices.Sort(times)
				ours := times[len(times)/2]
				slices.Sort(peaks)
				speed, peak := images*views*stepFLOP(b, net)/ours/1e6, peaks[len(peaks)/2]
				b.ReportMetric(speed, "GFLOP/s")
				if peak > 0 {
					b.ReportMetric(100*speed/peak/float64(threads), "%-of-peak")
				}
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(len(times)-1)/1e6, "MB-allocated/step")
				b.ReportMetric(ours, "ms/step")
				b.ReportMetric(images*views/ours*1e3, "rows/s")
				askPyTorch(b, ours, "/usr/bin/python3", net, images*views, strconv.Itoa(threads))
			})
		}
	}
}

// stepFLOP is what the convolutions of a step take for a row: each forward, the gradient of
// its weights unless it is frozen, and that of its input unless nobody wants it.
func stepFLOP(b *testing.B, name string) (flop float64) {
	input := format.Input{Channels: 3, Height: 32, Width: 32}
	net, err := nets.Parse(name, input)
	if err != nil {
		b.Fatal(err)
	}
	m := format.Manifest{Input: input, Layers: net.Layers()}
	shapes := m.Shapes()
	passes := []float64{2, 3}
	if net.IsFast() {
		passes = []float64{1, 2, 3}
	}
	for i, l := range m.Layers {
		if l.Op == format.OpConv {
			flop += 2 * passes[0] * float64(shapes[i+1].Elements()*shapes[l.Input].Channels*l.Kernel*l.Kernel)
			passes = passes[min(1, len(passes)-1):]
		}
	}
	return flop
}

// BenchmarkDevice times steps of ResNet-32 on a GPU, if quarterturn-cuda is in PATH, and
// PyTorch's on the same, compiled, in mixed precision, in the same run:
//
//	go test -run '^$' -bench Device -benchtime 50x ./trainer/graph
func BenchmarkDevice(b *testing.B) {
	for _, c := range []struct {
		rows int
		tf32 bool
	}{{512, false}, {512, true}, {2048, false}, {2048, true}} {
		rows := c.rows
		b.Run(fmt.Sprintf("resnet32/rows=%d/tf32=%v", rows, c.tf32), func(b *testing.B) {
			d, err := OpenDevice("quarterturn-cuda")
			if err != nil {
				b.Skip(err)
			}
			defer d.Close()
			if c.tf32 {
				d.UseTensorCores()
			}
			g := benchGraph(b, "resnet32", rows/4, 4, func(s *Spec) { s.Device = d })
			solver := &optim.SGD{LR: 0.01, Momentum: 0.9, WeightDecay: 1e-4, DecayAll: true}
			var times []float64
			for b.Loop() {
				start := time.Now()
				if _, err := g.Run(); err != nil {
					b.Fatal(err)
				}
				if err := g.Step(solver); err != nil {
					b.Fatal(err)
				}
				times = append(times, time.Since(start).Seconds()*1e3)
			}
			slices.Sort(times)
			ours := times[len(times)/2]
			b.ReportMetric(ours, "ms/step")
			b.ReportMetric(float64(rows)/ours*1e3, "rows/s")
			askPyTorch(b, ours, "python3", "resnet32", rows, "cuda")
		})
	}
}

// askPyTorch times PyTorch's steps.
func askPyTorch(b *testing.B, ours float64, python, net string, rows int, where string) {
	out, err := exec.Command(python, "testdata/bench.py", net, strconv.Itoa(rows), where).Output()
	if err != nil {
		b.Logf("PyTorch cannot be asked: %v", err)
		return
	}
	theirs, err := strconv.ParseFloat(strings.TrimSpace(string(out)), 64)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(theirs, "PyTorch-ms/step")
	b.ReportMetric(theirs/ours, "x-PyTorch")
}

func benchGraph(b *testing.B, net string, images, views int, changes ...func(*Spec)) *Graph {
	n, err := nets.Parse(net, format.Input{Channels: 3, Height: 32, Width: 32})
	if err != nil {
		b.Fatal(err)
	}
	m, err := ParseMethod("sla")
	if err != nil {
		b.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	spec := Spec{Net: n, Input: format.Input{Channels: 3, Height: 32, Width: 32},
		Joint: sla.Joint{Classes: 10, Views: views}, Images: images, Method: m, Rng: rng}
	for _, change := range changes {
		change(&spec)
	}
	g, err := New(spec)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { g.Close() })
	for i := range g.inputs {
		g.inputs[i] = float32(rng.NormFloat64())
	}
	for i := range images {
		g.targets[i*10+rng.IntN(10)] = 1
	}
	return g
}
