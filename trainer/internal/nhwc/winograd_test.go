package nhwc

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"github.com/quarterturn/quarterturn/trainer/internal/parallel"
)

// winogradShapes has maps of whole tiles and others, of one tile and of more than are
// worked on at a time, and channels of every set of kernels.
var winogradShapes = []Conv{
	{Images: 2, Height: 8, Width: 8, In: 16, Out: 32},
	{Images: 17, Height: 4, Width: 4, In: 32, Out: 64},
	{Images: 3, Height: 7, Width: 6, In: 8, Out: 24},
	{Images: 19, Height: 3, Width: 3, In: 24, Out: 16},
	{Images: 2, Height: 1, Width: 2, In: 8, Out: 8},
	{Images: 1, Height: 14, Width: 14, In: 48, Out: 32},
	{Images: 1, Height: 96, Width: 92, In: 16, Out: 16},
	{Images: 1, Height: 8, Width: 8, In: 128, Out: 128},
}

// winogradAll runs a convolution and its gradients.
func winogradAll(c *Conv, x, weight, dy []float32) (y, dx, dw []float32) {
	w := newWinograd(c)
	w.prepareWeights(weight, true)
	w.startWeights()
	y, dx, dw = make([]float32, len(dy)), make([]float32, len(x)), make([]float32, len(weight))
	spaces := make([]tileSpace, parallel.Workers())
	image := func(v []float32, size int) func(n int) []float32 {
		return func(n int) []float32 { return one(v, n, size) }
	}
	step := w.images()
	parallel.For((c.Images+step-1)/step, func(worker, k int) {
		w.forward(&spaces[worker], k*step, min(c.Images, (k+1)*step), image(x, c.inSize()), image(y, c.outSize()), func(int) {})
	})
	parallel.For(groups, func(worker, g int) {
		for from, to := g*c.Images/groups, (g+1)*c.Images/groups; from < to; from += step {
			w.backward(&spaces[worker], from, min(to, from+step), image(x, c.inSize()), image(dy, c.outSize()), image(dx, c.inSize()), func(int) {})
		}
		w.takeWeights(&spaces[worker], g)
	})
	w.weights(dw)
	return y, dx, dw
}

// distance is the root mean square of the error over that of the numbers.
func distance(got []float32, want []float64) float64 {
	var off, square float64
	for i, v := range want {
		off += (float64(got[i]) - v) * (float64(got[i]) - v)
		square += v * v
	}
	return math.Sqrt(off / square)
}

// Against float64 on normal random numbers the errors of F(4x4, 3x3) are below 3e-6 of the
// numbers' size, whatever the shape, where those of direct sums are up to 4e-7.
func TestWinogradAgainstFloat64(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	engines(t, func(t *testing.T) {
		var worst [3]float64
		for _, c := range winogradShapes {
			c.Kernel, c.Stride = 3, 1
			if c.In*c.Out*c.Height*c.Width > 1<<18 && !useAVX2 {
				continue // slow in plain Go
			}
			rng := rand.New(rand.NewPCG(1, 2))
			x := padded(rng, c.Images, c.Height, c.Width, c.In)
			dy := padded(rng, c.Images, c.Height, c.Width, c.Out)
			weight := normal(rng, 9*c.In*c.Out)
			want := [3][]float64{make([]float64, len(dy)), make([]float64, len(x)), make([]float64, len(weight))}
			c.each(func(ix, iw, iy int) {
				want[0][iy] += float64(x[ix]) * float64(weight[iw])
				want[1][ix] += float64(dy[iy]) * float64(weight[iw])
				want[2][iw] += float64(dy[iy]) * float64(x[ix])
			})
			y, dx, dw := winogradAll(&c, x, weight, dy)
			for i, got := range [3][]float32{y, dx, dw} {
				e := distance(got, want[i])
				if !(e < 3e-6) {
					t.Errorf("%dx%d, %d to %d channels: %s is off by %.2g", c.Height, c.Width, c.In, c.Out,
						[]string{"the output", "the gradient of the input", "the gradient of the weights"}[i], e)
				}
				worst[i] = max(worst[i], e)
			}
		}
		t.Logf("worst errors: output %.2g, gradient of the input %.2g, of the weights %.2g", worst[0], worst[1], worst[2])
	})
}

// chainCase is a chain and numbers for it.
type chainCase struct {
	links  []*Link
	params []Params
	x, dy  []float32
}

func newChainCase(images, height, width int, channels []int, pools []bool) *chainCase {
	rng := rand.New(rand.NewPCG(3, 4))
	c := &chainCase{x: padded(rng, images, height, width, channels[0])}
	for i, pool := range pools {
		conv := Conv{Images: images, Height: height, Width: width, In: channels[i], Out: channels[i+1], Kernel: 3, Stride: 1}
		l := NewLink(conv, pool)
		height, width = l.OutputHeight(), l.OutputWidth()
		c.links = append(c.links, l)
		c.params = append(c.params, Params{normal(rng, 9*conv.In*conv.Out), normal(rng, conv.Out), normal(rng, conv.Out)})
		for k, g := range c.params[i].Gamma { // pooling goes before scaling
			c.params[i].Gamma[k] = 0.5 + max(g, -g)
		}
	}
	c.dy = padded(rng, images, height, width, channels[len(pools)])
	return c
}

// run returns what a Chain makes: y, dx and each link's gradients.
func (c *chainCase) run() (results [][]float32) {
	chain := NewChain(c.links, &Buffers{})
	y, dx := make([]float32, len(c.dy)), make([]float32, len(c.x))
	for range 2 { // the second time buffers are not new
		chain.Forward(y, c.x, c.params, true)
		chain.Backward(dx, c.x, c.dy)
	}
	results = [][]float32{y, dx}
	for _, l := range c.links {
		results = append(results, slices.Clone(l.DWeight), slices.Clone(l.DGamma), slices.Clone(l.DBeta))
	}
	return results
}

// loss is sum(y*dy) in float64, of x and of each link's weight, gamma and beta.
func (c *chainCase) loss(in [][]float64) (loss float64) {
	x := in[0]
	for i, l := range c.links {
		full := make([]float64, l.Images*l.outSize())
		l.Conv.each(func(ix, iw, iy int) { full[iy] += x[ix] * in[1+3*i][iw] })
		pooled := full
		if l.Pool {
			pooled = make([]float64, l.Images*l.Norm.size())
			for n := range l.Images {
				for y := range l.Norm.height {
					for x := range l.Norm.width {
						for k := range l.Out {
							top := math.Inf(-1)
							for w := range 4 {
								top = max(top, full[n*l.outSize()+((2*y+w/2+1)*(l.Conv.Width+2)+2*x+w%2+1)*l.Out+k])
							}
							pooled[n*l.Norm.size()+((y+1)*(l.Norm.width+2)+x+1)*l.Out+k] = top
						}
					}
				}
			}
		}
		x = normReference(&l.Norm, true, pooled, in[2+3*i], in[3+3*i], nil)
	}
	for k, v := range x {
		loss += v * float64(c.dy[k])
	}
	return loss
}

func TestChainAgainstFiniteDifferences(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	engines(t, func(t *testing.T) {
		for _, pools := range [][]bool{{true, false}, {false, true}, {true}} {
			channels := []int{8, 16, 8}
			c := newChainCase(2, 7, 6, channels[:len(pools)+1], pools)
			in := [][]float64{widen(c.x)}
			for _, p := range c.params {
				in = append(in, widen(p.Weight), widen(p.Gamma), widen(p.Beta))
			}
			results := c.run()
			rng := rand.New(rand.NewPCG(9, 9))
			for which, values := range in {
				for range 40 {
					k := rng.IntN(len(values))
					if which == 0 && values[k] == 0 {
						continue // the border, whose gradient nobody wants
					}
					was, h := values[k], 1e-6
					values[k] = was + h
					up := c.loss(in)
					values[k] = was - h
					down := c.loss(in)
					values[k] = was
					want := (up - down) / (2 * h)
					if got := float64(results[1+which][k]); math.Abs(got-want) > 2e-3*(1+math.Abs(want)) {
						t.Errorf("pooling %v: gradient %d of input %d is %v, want %v", pools, k, which, got, want)
					}
				}
			}
			var y float64
			for k, v := range results[0] {
				y += float64(v) * float64(c.dy[k])
			}
			if want := c.loss(in); math.Abs(y-want) > 1e-3*(1+math.Abs(want)) {
				t.Errorf("pooling %v: the output, times dy, is %v, want %v", pools, y, want)
			}
		}
	})
}

// Neither the number of workers nor the vectors' width changes a bit.
func TestChainBits(t *testing.T) {
	before, have512 := runtime.GOMAXPROCS(0), useAVX512
	defer func() { runtime.GOMAXPROCS(before); useAVX512 = have512 }()
	for _, channels := range [][]int{{16, 32, 48}, {24, 16, 64}} {
		var first [][]float32
		for _, set := range []struct {
			workers int
			avx512  bool
		}{{1, true}, {2, true}, {5, true}, {2, false}} {
			runtime.GOMAXPROCS(set.workers)
			useAVX512 = set.avx512 && have512
			got := newChainCase(37, 10, 9, channels, []bool{true, false}).run()
			if first == nil {
				first = got
			}
			for i := range got {
				if !slices.Equal(got[i], first[i]) {
					t.Errorf("%+v: result %d has other bits", set, i)
				}
			}
		}
	}
}

// The first of equal values gets the gradient.
func TestPool2Ties(t *testing.T) {
	engines(t, func(t *testing.T) {
		const channels = 16
		p := newPool2(1, 2, 2, channels)
		x, dx := make([]float32, Padded(2, 2, channels)), make([]float32, Padded(2, 2, channels))
		y, dy := make([]float32, Padded(1, 1, channels)), make([]float32, Padded(1, 1, channels))
		place := func(i int) int { return ((i/2+1)*4 + i%2 + 1) * channels }
		for c := range channels {
			for i := range 4 { // the bits of c say who is largest
				x[place(i)+c] = float32(c >> i & 1)
			}
			dy[4*channels+c] = float32(c + 1)
		}
		p.forward(0, y, x)
		p.backward(0, dx, dy)
		for c := range channels {
			first := 0
			for i := range 4 {
				if c>>i&1 == 1 {
					first = i
					break
				}
			}
			for i := range 4 {
				var want float32
				if i == first {
					want = float32(c + 1)
				}
				if got := dx[place(i)+c]; got != want {
					t.Errorf("channel %d: the gradient of value %d is %v, want %v", c, i, got, want)
				}
			}
			if want := min(1, float32(c)); y[4*channels+c] != want {
				t.Errorf("channel %d: the largest is %v", c, y[4*channels+c])
			}
		}
	})
}
