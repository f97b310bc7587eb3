package gpu_test

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
	"github.com/quarterturn/quarterturn/trainer/internal/gpu/gputest"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
)

// images returns padded images with a border of zeros.
func images(rng *rand.Rand, n, height, width, channels, border int) []float32 {
	v := make([]float32, n*(height+2*border)*(width+2*border)*channels)
	for i := range n {
		for y := range height {
			for x := range width {
				for c := range channels {
					v[((i*(height+2*border)+y+border)*(width+2*border)+x+border)*channels+c] = float32(rng.NormFloat64())
				}
			}
		}
	}
	return v
}

// near compares what a device has with what the processor's layer gave: every number, or
// with TF32, where a few fall on the other side of a ReLU, all of them together.
func near(t *testing.T, d *gpu.Device, what string, p gpu.Ptr, want []float32) {
	t.Helper()
	got := make([]float32, len(want))
	d.Download(got, p)
	var square, off, worst float64
	for i, v := range want {
		square += float64(v) * float64(v)
		e := math.Abs(float64(got[i] - v))
		off += e * e
		worst = max(worst, e) // NaN stays NaN
	}
	scale := math.Sqrt(square/float64(len(want))) + 1e-3
	off = math.Sqrt(off / float64(len(want)))
	if !d.TF32 && !(worst <= 2e-4*scale) || !(off <= 2e-2*scale) {
		t.Errorf("%s is off by up to %v where numbers are about %v", what, worst, scale)
	}
}

// Layers of every shape, forward and backward, against package nhwc.
func TestLayers(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	t.Run("float32", func(t *testing.T) { layers(t, false) })
	t.Run("TF32", func(t *testing.T) { layers(t, true) })
}

func layers(t *testing.T, tf32 bool) {
	d := gputest.Open(t)
	d.TF32 = tf32
	near := func(t *testing.T, what string, p gpu.Ptr, want []float32) {
		t.Helper()
		near(t, d, what, p, want)
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for _, c := range []struct {
		nhwc.Conv
		relu, residual bool
	}{
		{nhwc.Conv{Images: 3, Height: 7, Width: 6, In: 3, Out: 16, Kernel: 3, Stride: 1}, true, false},
		{nhwc.Conv{Images: 2, Height: 9, Width: 9, In: 3, Out: 64, Kernel: 7, Stride: 2}, true, false},
		{nhwc.Conv{Images: 5, Height: 8, Width: 8, In: 16, Out: 16, Kernel: 3, Stride: 1}, true, true},
		{nhwc.Conv{Images: 5, Height: 8, Width: 8, In: 16, Out: 32, Kernel: 3, Stride: 2}, true, false},
		{nhwc.Conv{Images: 3, Height: 5, Width: 7, In: 8, Out: 40, Kernel: 3, Stride: 2}, true, true},
		{nhwc.Conv{Images: 4, Height: 4, Width: 4, In: 40, Out: 72, Kernel: 3, Stride: 1}, true, true},
		{nhwc.Conv{Images: 3, Height: 6, Width: 6, In: 16, Out: 32, Kernel: 1, Stride: 2}, false, false},
		{nhwc.Conv{Images: 3, Height: 6, Width: 6, In: 24, Out: 8, Kernel: 1, Stride: 1}, false, false},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			random := func(n int) []float32 { return images(rng, 1, 1, n, 1, 0) }
			x := images(rng, c.Images, c.Height, c.Width, c.In, c.Border())
			height, width := c.OutHeight(), c.OutWidth()
			dy := images(rng, c.Images, height, width, c.Out, 1)
			var residual, dresidual []float32
			if c.residual {
				residual, dresidual = images(rng, c.Images, height, width, c.Out, 1), make([]float32, len(dy))
			}
			params := nhwc.Params{Weight: random(c.Kernel * c.Kernel * c.In * c.Out), Gamma: random(c.Out), Beta: random(c.Out)}
			cpu := nhwc.NewLayer(c.Conv, c.relu, &nhwc.Buffers{})
			y := make([]float32, len(dy))
			cpu.Forward(y, x, residual, params)
			var dx []float32
			if c.In%8 == 0 {
				dx = make([]float32, len(x))
			}
			cpu.Backward(dx, dresidual, x, y, dy)

			l := gpu.NewLayer(d, c.Conv, false, c.relu)
			if l.Size() != len(y) {
				t.Fatalf("size %d, want %d", l.Size(), len(y))
			}
			p := gpu.Params{Weight: gpu.Put(d, params.Weight), Gamma: gpu.Put(d, params.Gamma), Beta: gpu.Put(d, params.Beta),
				RunningMean: d.Floats(c.Out), RunningVariance: d.Floats(c.Out)}
			g := gpu.Grads{Weight: d.Floats(len(params.Weight)), Gamma: d.Floats(c.Out), Beta: d.Floats(c.Out)}
			xs, ys, dys, dxs := gpu.Put(d, x), d.Floats(len(y)), gpu.Put(d, dy), gpu.Ptr(0)
			var rs, drs gpu.Ptr
			if c.residual {
				rs, drs = gpu.Put(d, residual), d.Floats(len(dy))
			}
			if dx != nil {
				dxs = d.Floats(len(dx))
			}
			l.Forward(ys, xs, rs, p)
			l.Backward(dxs, drs, xs, ys, dys, p, g)
			near(t, "y", ys, y)
			mean := slices.Clone(cpu.Mean)
			for i := range mean {
				mean[i] *= 0.1
			}
			near(t, "running mean", p.RunningMean, mean)
			near(t, "dw", g.Weight, cpu.DWeight)
			near(t, "dgamma", g.Gamma, cpu.DGamma)
			near(t, "dbeta", g.Beta, cpu.DBeta)
			if c.residual {
				near(t, "dresidual", drs, dresidual)
			}
			if dx != nil {
				near(t, "dx", dxs, dx)
			}
			if err := d.Err(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// Layers with pooling, against links of package nhwc.
func TestPoolingLayers(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	d := gputest.Open(t)
	rng := rand.New(rand.NewPCG(5, 6))
	for _, c := range []nhwc.Conv{
		{Images: 3, Height: 7, Width: 6, In: 16, Out: 32, Kernel: 3, Stride: 1},
		{Images: 2, Height: 4, Width: 5, In: 8, Out: 8, Kernel: 3, Stride: 1},
	} {
		random := func(n int) []float32 { return images(rng, 1, 1, n, 1, 0) }
		x, dy := images(rng, c.Images, c.Height, c.Width, c.In, 1), images(rng, c.Images, c.Height/2, c.Width/2, c.Out, 1)
		params := nhwc.Params{Weight: random(9 * c.In * c.Out), Gamma: random(c.Out), Beta: random(c.Out)}
		link := nhwc.NewLink(c, true)
		chain := nhwc.NewChain([]*nhwc.Link{link}, &nhwc.Buffers{})
		y, dx := make([]float32, len(dy)), make([]float32, len(x))
		chain.Forward(y, x, []nhwc.Params{params}, true)
		chain.Backward(dx, x, dy)

		l := gpu.NewLayer(d, c, true, true)
		if l.Size() != len(y) {
			t.Fatalf("size %d, want %d", l.Size(), len(y))
		}
		p := gpu.Params{Weight: gpu.Put(d, params.Weight), Gamma: gpu.Put(d, params.Gamma), Beta: gpu.Put(d, params.Beta),
			RunningMean: d.Floats(c.Out), RunningVariance: d.Floats(c.Out)}
		g := gpu.Grads{Weight: d.Floats(len(params.Weight)), Gamma: d.Floats(c.Out), Beta: d.Floats(c.Out)}
		xs, ys, dys, dxs := gpu.Put(d, x), d.Floats(len(y)), gpu.Put(d, dy), d.Floats(len(x))
		l.Forward(ys, xs, 0, p)
		l.Backward(dxs, 0, xs, ys, dys, p, g)
		near(t, d, "y", ys, y)
		near(t, d, "dx", dxs, dx)
		near(t, d, "dw", g.Weight, link.DWeight)
		near(t, d, "dgamma", g.Gamma, link.DGamma)
		near(t, d, "dbeta", g.Beta, link.DBeta)
		if err := d.Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// The struct of a kernel's argument has as many bytes in Go as in C, or the kernels above
// would have read nonsense; what Kernels lists are the kernels of the source.
func TestKernels(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	names := gpu.Kernels(gpu.Source())
	if n := strings.Count(gpu.Source(), "\nKERNEL("); len(names) != n || n < 20 || slices.Contains(names, "") {
		t.Errorf("%d of %d kernels: %q", len(names), n, names)
	}
}

// The kernels are CUDA: clang makes PTX of them, with an entry for each.
func TestKernelsForNVPTX(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	if _, err := exec.LookPath("clang"); err != nil {
		t.Skip("clang is not installed")
	}
	header, err := os.ReadFile("testdata/nvptx.h")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("clang", "-x", "cuda", "--cuda-device-only", "--cuda-gpu-arch=sm_80", "-nocudainc", "-nocudalib", "-O2", "-S", "-o", "-", "-")
	cmd.Stdin = strings.NewReader(string(header) + gpu.Source())
	var stderr strings.Builder
	cmd.Stderr = &stderr
	ptx, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	for _, name := range gpu.Kernels(gpu.Source()) {
		if !strings.Contains(string(ptx), ".entry "+name+"(") {
			t.Errorf("no entry %s", name)
		}
	}
}

// A worker that ends, or is not there, is an error that says why, and sticks.
func TestWorkerThatFails(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	if _, err := gpu.Open("sh", "-c", "echo no CUDA driver >&2; exit 1"); err == nil || err.Error() != "GPU: no CUDA driver" {
		t.Errorf("a worker without a driver: %v", err)
	}
	if _, err := gpu.Open("sh", "-c", "exit 0"); err == nil || !strings.Contains(err.Error(), "the worker exited without an error") {
		t.Errorf("a worker that says nothing: %v", err)
	}
	if _, err := gpu.Open("/nowhere/worker"); err == nil {
		t.Error("a worker that is not there was started")
	}
}
