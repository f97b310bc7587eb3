package nhwc

import (
	"math/rand/v2"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Gorgonia's own convolution and its gradients, for planar images, say the same.
func TestConvAgainstGorgonia(t *testing.T) {
	for _, c := range []Conv{
		{Images: 2, Height: 6, Width: 8, In: 8, Out: 16, Kernel: 3, Stride: 1},
		{Images: 3, Height: 6, Width: 8, In: 8, Out: 16, Kernel: 3, Stride: 2},
		{Images: 2, Height: 4, Width: 4, In: 16, Out: 8, Kernel: 1, Stride: 1},
	} {
		rng := rand.New(rand.NewPCG(8, 9))
		oh, ow := c.OutHeight(), c.OutWidth()
		x, dy, w := padded(rng, c.Images, c.Height, c.Width, c.In), padded(rng, c.Images, oh, ow, c.Out), normal(rng, c.Kernel*c.Kernel*c.In*c.Out)
		y, dx, dw := make([]float32, len(dy)), make([]float32, len(x)), make([]float32, len(w))
		convForward(&c, y, x, w)
		convInput(&c, dx, dy, w)
		convWeights(&c, dw, x, dy)

		// planar reorders padded NHWC images to NCHW.
		planar := func(v []float32, h, w, channels int) []float32 {
			out := make([]float32, c.Images*channels*h*w)
			for i := range out {
				n, ch, row, col := i/(channels*h*w), i/(h*w)%channels, i/w%h, i%w
				out[i] = v[n*Padded(h, w, channels)+((row+1)*(w+2)+col+1)*channels+ch]
			}
			return out
		}
		// byOutput reorders weights (k, k, in, out) to (out, in, k, k).
		byOutput := func(v []float32) []float32 {
			k := c.Kernel
			out := make([]float32, len(v))
			for i := range out {
				o, in, ky, kx := i/(c.In*k*k), i/(k*k)%c.In, i/k%k, i%k
				out[i] = v[((ky*k+kx)*c.In+in)*c.Out+o]
			}
			return out
		}
		g := G.NewGraph()
		node := func(name string, v []float32, shape ...int) *G.Node {
			return G.NewTensor(g, tensor.Float32, 4, G.WithShape(shape...), G.WithName(name), G.WithValue(tensor.New(tensor.WithShape(shape...), tensor.WithBacking(v))))
		}
		nx := node("x", planar(x, c.Height, c.Width, c.In), c.Images, c.In, c.Height, c.Width)
		nw := node("w", byOutput(w), c.Out, c.In, c.Kernel, c.Kernel)
		ndy := node("dy", planar(dy, oh, ow, c.Out), c.Images, c.Out, oh, ow)
		ny, err := G.Conv2d(nx, nw, tensor.Shape{c.Kernel, c.Kernel}, []int{c.Kernel / 2, c.Kernel / 2}, []int{c.Stride, c.Stride}, []int{1, 1})
		if err != nil {
			t.Fatal(err)
		}
		var value G.Value
		G.Read(ny, &value)
		if _, err := G.Grad(G.Must(G.Sum(G.Must(G.HadamardProd(ny, ndy)))), nx, nw); err != nil {
			t.Fatal(err)
		}
		vm := G.NewTapeMachine(g, G.BindDualValues(nx, nw))
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		theirs := func(v G.Value, err error) []float64 {
			if err != nil {
				t.Fatal(err)
			}
			var out []float64
			for _, f := range v.Data().([]float32) {
				out = append(out, float64(f))
			}
			return out
		}
		check(t, "forward", planar(y, oh, ow, c.Out), theirs(value, nil))
		check(t, "input gradient", planar(dx, c.Height, c.Width, c.In), theirs(nx.Grad()))
		check(t, "weight gradient", byOutput(dw), theirs(nw.Grad()))
		if err := vm.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
