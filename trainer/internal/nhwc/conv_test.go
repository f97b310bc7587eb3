package nhwc

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/quarterturn/quarterturn/trainer/internal/parallel"
)

// shapes covers every tile width and both vector counts, the stems of grey and
// colour nets, both kernels and strides, odd sides, and batches that do not
// divide into the groups.
var shapes = []Conv{
	{Images: 1, Height: 1, Width: 1, In: 8, Out: 8, Kernel: 3, Stride: 1},
	{Images: 2, Height: 5, Width: 7, In: 1, Out: 16, Kernel: 3, Stride: 1},
	{Images: 3, Height: 4, Width: 8, In: 3, Out: 24, Kernel: 3, Stride: 1},
	{Images: 2, Height: 7, Width: 9, In: 16, Out: 16, Kernel: 3, Stride: 1},
	{Images: 17, Height: 6, Width: 10, In: 8, Out: 32, Kernel: 3, Stride: 2},
	{Images: 2, Height: 7, Width: 11, In: 16, Out: 8, Kernel: 3, Stride: 2},
	{Images: 2, Height: 4, Width: 6, In: 8, Out: 16, Kernel: 1, Stride: 1},
	{Images: 3, Height: 6, Width: 5, In: 8, Out: 16, Kernel: 1, Stride: 2},
	{Images: 2, Height: 3, Width: 13, In: 16, Out: 32, Kernel: 3, Stride: 1},
	{Images: 2, Height: 5, Width: 12, In: 32, Out: 64, Kernel: 3, Stride: 2},
	{Images: 2, Height: 9, Width: 10, In: 3, Out: 16, Kernel: 7, Stride: 2},
}

func normal(rng *rand.Rand, n int) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = float32(rng.NormFloat64())
	}
	return v
}

// padded returns random images with a zero border.
func padded(rng *rand.Rand, images, h, w, c int) []float32 {
	return bordered(rng, images, h, w, c, 1)
}

// bordered is padded with a border of another width.
func bordered(rng *rand.Rand, images, h, w, c, border int) []float32 {
	size := (h + 2*border) * (w + 2*border) * c
	v := make([]float32, images*size)
	for n := range images {
		for y := range h {
			at := n*size + ((y+border)*(w+2*border)+border)*c
			copy(v[at:at+w*c], normal(rng, w*c))
		}
	}
	return v
}

// convForward, convInput and convWeights do whole batches.
func convForward(c *Conv, y, x, w []float32) {
	parallel.For(c.Images, func(_, n int) { c.forward(one(y, n, c.outSize()), one(x, n, c.inSize()), w) })
}

func convInput(c *Conv, dx, dy, w []float32) {
	c.turn(w)
	parallel.For(c.Images, func(_, n int) { c.gradInput(one(dx, n, c.inSize()), one(dy, n, c.outSize())) })
}

func convWeights(c *Conv, dw, x, dy []float32) {
	c.startWeights()
	inGroups(c.Images, func(_, group, n int) { c.addWeights(group, one(x, n, c.inSize()), one(dy, n, c.outSize())) })
	c.weights(dw)
}

// each calls f for every product x * w -> y of the convolution, by index.
func (c *Conv) each(f func(x, w, y int)) {
	for n := range c.Images {
		for oy := range c.OutHeight() {
			for ox := range c.OutWidth() {
				for ky := range c.Kernel {
					for kx := range c.Kernel {
						iy, ix := oy*c.Stride+ky-c.Kernel/2, ox*c.Stride+kx-c.Kernel/2
						if iy < 0 || iy >= c.Height || ix < 0 || ix >= c.Width {
							continue
						}
						for i := range c.In {
							for o := range c.Out {
								f(n*c.inSize()+((iy+c.Border())*c.inWidth()+ix+c.Border())*c.In+i,
									((ky*c.Kernel+kx)*c.In+i)*c.Out+o,
									n*c.outSize()+((oy+1)*(c.OutWidth()+2)+ox+1)*c.Out+o)
							}
						}
					}
				}
			}
		}
	}
}

func check(t *testing.T, what string, got []float32, want []float64) {
	t.Helper()
	for i := range got {
		if d := math.Abs(float64(got[i]) - want[i]); d > 2e-5*(1+math.Abs(want[i])) {
			t.Errorf("%s: element %d is %v, want %v", what, i, got[i], want[i])
			return
		}
	}
}

// engines runs a test with every set of kernels that this processor has.
func engines(t *testing.T, f func(t *testing.T)) {
	have2, have512 := useAVX2, useAVX512
	defer func() { useAVX2, useAVX512 = have2, have512 }()
	for _, e := range []struct {
		name         string
		avx2, avx512 bool
	}{{"AVX-512", true, true}, {"AVX2", true, false}, {"plain Go", false, false}} {
		if e.avx2 && !have2 || e.avx512 && !have512 {
			t.Logf("this processor has no %s", e.name)
			continue
		}
		useAVX2, useAVX512 = e.avx2, e.avx512
		t.Run(e.name, f)
	}
}

func TestConvAgainstFloat64(t *testing.T) {
	engines(t, func(t *testing.T) {
		for _, c := range shapes {
			rng := rand.New(rand.NewPCG(1, 2))
			x := bordered(rng, c.Images, c.Height, c.Width, c.In, c.Border())
			dy := padded(rng, c.Images, c.OutHeight(), c.OutWidth(), c.Out)
			w := normal(rng, c.Kernel*c.Kernel*c.In*c.Out)
			wantY, wantX, wantW := make([]float64, len(dy)), make([]float64, len(x)), make([]float64, len(w))
			c.each(func(ix, iw, iy int) {
				wantY[iy] += float64(x[ix]) * float64(w[iw])
				wantX[ix] += float64(dy[iy]) * float64(w[iw])
				wantW[iw] += float64(dy[iy]) * float64(x[ix])
			})
			name := fmt.Sprintf("%dx%d %d to %d channels, kernel %d, stride %d", c.Height, c.Width, c.In, c.Out, c.Kernel, c.Stride)
			y := make([]float32, len(dy))
			convForward(&c, y, x, w)
			check(t, name+": forward", y, wantY)
			if c.In%8 == 0 {
				dx := make([]float32, len(x))
				convInput(&c, dx, dy, w)
				check(t, name+": input gradient", dx, wantX)
			}
			dw := make([]float32, len(w))
			convWeights(&c, dw, x, dy)
			check(t, name+": weight gradient", dw, wantW)
		}
	})
}

func TestWorkersDoNotChangeBits(t *testing.T) {
	c := shapes[4]
	rng := rand.New(rand.NewPCG(3, 4))
	x := bordered(rng, c.Images, c.Height, c.Width, c.In, c.Border())
	dy := padded(rng, c.Images, c.OutHeight(), c.OutWidth(), c.Out)
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	var first []float32
	for _, workers := range []int{1, 2, 5} {
		runtime.GOMAXPROCS(workers)
		dw := make([]float32, 9*c.In*c.Out)
		convWeights(&c, dw, x, dy)
		if first == nil {
			first = dw
		} else if !slices.Equal(dw, first) {
			t.Errorf("%d workers give another weight gradient", workers)
		}
	}
}

// Wider vectors sum in the same order: AVX-512 computes the bits of AVX2.
func TestVectorSetsGiveTheSameBits(t *testing.T) {
	if !useAVX512 {
		t.Log("this processor has no AVX-512 to compare")
		return
	}
	defer func() { useAVX512 = true }()
	for _, c := range shapes {
		rng := rand.New(rand.NewPCG(7, 7))
		x := bordered(rng, c.Images, c.Height, c.Width, c.In, c.Border())
		dy := padded(rng, c.Images, c.OutHeight(), c.OutWidth(), c.Out)
		w := normal(rng, c.Kernel*c.Kernel*c.In*c.Out)
		var results [2][]float32
		for i := range results {
			useAVX512 = i == 1
			y, dx, dw := make([]float32, len(dy)), make([]float32, len(x)), make([]float32, len(w))
			convForward(&c, y, x, w)
			if c.In%8 == 0 {
				convInput(&c, dx, dy, w)
			}
			convWeights(&c, dw, x, dy)
			results[i] = slices.Concat(y, dx, dw)
		}
		if !slices.Equal(results[0], results[1]) {
			t.Errorf("%+v: AVX-512 and AVX2 differ", c)
		}
	}
}

func TestFrozenAgainstFloat64(t *testing.T) {
	engines(t, func(t *testing.T) {
		c := Conv{Images: 3, Height: 6, Width: 5, In: 3, Out: 32, Kernel: 3, Stride: 1}
		rng := rand.New(rand.NewPCG(1, 2))
		x, w, bias := padded(rng, c.Images, c.Height, c.Width, c.In), normal(rng, 9*c.In*c.Out), normal(rng, c.Out)
		y := make([]float32, c.Images*c.outSize())
		want := make([]float64, len(y))
		c.each(func(ix, iw, iy int) { want[iy] += float64(x[ix]) * float64(w[iw]) })
		l := NewFrozen(c)
		for n := range c.Images {
			l.norm.rows(func(from, to int) {
				for i := n*c.outSize() + from; i < n*c.outSize()+to; i++ {
					want[i] = max(0, want[i]+float64(bias[i%c.Out]))
				}
			})
		}
		l.Forward(y, x, w, bias)
		check(t, "output", y, want)
	})
}
