// These tests also run as WebAssembly, whose kernels are others; .ci/test says how.

package sla

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/sla/internal/kernel"
)

// naive is a convolution as the textbook has it, in the documented order of
// sums and without any layout; and again in float64, with the largest sum of
// magnitudes, by which rounding errors are measured.
func naive(x []float32, in format.Shape, w, b []float32, residual []float32, l *format.Layer) (out []float32, exact []float64, scale float64) {
	k, pad := l.Kernel, l.Kernel/2
	oh, ow := (in.Height+l.Stride-1)/l.Stride, (in.Width+l.Stride-1)/l.Stride
	out, exact = make([]float32, l.Out*oh*ow), make([]float64, l.Out*oh*ow)
	for o := range out {
		oc, oy, ox := o/(oh*ow), o/ow%oh, o%ow
		sum, precise, magnitude := b[oc], float64(b[oc]), 1.0
		for ky := range k {
			for kx := range k {
				y, xx := oy*l.Stride+ky-pad, ox*l.Stride+kx-pad
				if y < 0 || y >= in.Height || xx < 0 || xx >= in.Width {
					continue
				}
				for c := range in.Channels {
					u, v := w[((oc*in.Channels+c)*k+ky)*k+kx], x[(c*in.Height+y)*in.Width+xx]
					sum += float32(u * v)
					precise += float64(u) * float64(v)
					magnitude += math.Abs(float64(u) * float64(v))
				}
			}
		}
		if residual != nil {
			sum += residual[o]
			precise += float64(residual[o])
		}
		if l.ReLU {
			sum, precise = max(sum, 0), max(precise, 0)
		}
		out[o], exact[o], scale = sum, precise, max(scale, magnitude)
	}
	return out, exact, scale
}

// load and dense bring a value from and to the layout (C, H, W).
func load(v *value, x []float32) {
	for i := range x {
		c, y, col := i/(v.shape.Height*v.shape.Width), i/v.shape.Width%v.shape.Height, i%v.shape.Width
		v.pixel(y, col)[c] = x[i]
	}
}

func dense(v *value) []float32 {
	x := make([]float32, v.shape.Elements())
	for i := range x {
		c, y, col := i/(v.shape.Height*v.shape.Width), i/v.shape.Width%v.shape.Height, i%v.shape.Width
		x[i] = v.pixel(y, col)[c]
	}
	return x
}

func TestConvolutionKernels(t *testing.T) { testConvolutions(t) }

// testConvolutions returns the outputs of many kinds of convolutions.
func testConvolutions(t *testing.T) (outputs [][]float32) {
	for _, k := range []int{1, 3, 5, 7} {
		for _, stride := range []int{1, 2} {
			for _, size := range [][4]int{{1, 1, 1, 1}, {2, 3, 5, 3}, {3, 5, 8, 8}, {4, 4, 7, 9}, {1, 6, 6, 13}, {5, 2, 2, 4}, {3, 8, 9, 7}, {2, 16, 5, 13}, {1, 8, 1, 1}, {8, 24, 16, 32}, {16, 9, 7, 4}, {64, 32, 8, 8}, {2, 3, 5, 66}, {3, 2, 3, 131}} {
				for _, pitch := range []int{size[0], padded(size[0])} {
					outputs = append(outputs, testConvolution(t, k, stride, format.Shape{Channels: size[0], Height: size[2], Width: size[3]}, size[1], pitch)...)
				}
			}
		}
	}
	return outputs
}

// filled is a value with its memory.
func filled(shape format.Shape, border, pitch int) *value {
	v := newValue(shape, border, pitch)
	v.allocate()
	return v
}

func convolutionOf(l *format.Layer, in, out *value, weights, bias []float32) *convolution {
	s := scratchOf(l, in, out)
	c, _ := newConvolution(l, in, out, weights, bias, make([]float32, out.pitch+packedFloats(l, in, out)), s.allocate())
	return c
}

// whole runs a convolution for some views together.
func whole(c *convolution, views ...operands) {
	n := &network{layers: []format.Layer{*c.layer}, operands: [][]operands{views}, convs: []*convolution{c}}
	for k := range views {
		n.costs = append(n.costs, []cost{layerCost(c.layer, views[0].in, views[0].out, k+1)})
	}
	n.run(0, 0, 0, len(views), math.MaxInt)
}

func testConvolution(t *testing.T, k, stride int, in format.Shape, outs, pitch int) (outputs [][]float32) {
	l := &format.Layer{Op: format.OpConv, Out: outs, Kernel: k, Stride: stride, ReLU: in.Height%2 == 1}
	x := formattest.LCG(1, in.Elements())
	w, b := formattest.LCG(2, l.Out*in.Channels*k*k), formattest.LCG(3, l.Out)
	src := filled(in, max(1, k/2), pitch)
	load(src, x)
	dst := filled(format.Shape{Channels: l.Out, Height: (in.Height + stride - 1) / stride, Width: (in.Width + stride - 1) / stride}, 2, padded(l.Out))
	residual := filled(dst.shape, 1, dst.pitch)
	r := formattest.LCG(4, residual.shape.Elements())
	load(residual, r)
	c := convolutionOf(l, src, dst, w, b)
	for _, with := range []bool{false, true} {
		name := fmt.Sprintf("kernel %d, stride %d, %v to %d channels, pitch %d, residual %v", k, stride, in, outs, pitch, with)
		var bits []float32
		var exact []float64
		var scale float64
		if with {
			bits, exact, scale = naive(x, in, w, b, r, l)
			whole(c, operands{dst, src, residual})
		} else {
			bits, exact, scale = naive(x, in, w, b, nil, l)
			whole(c, operands{dst, src, nil})
		}
		got := dense(dst)
		outputs = append(outputs, got)
		if !c.winograd && !slices.Equal(got, bits) {
			t.Errorf("%s: not the bits of the naive convolution", name)
		}
		tolerance := 3e-7 // measured: 1.5e-7, and 1.2e-6 by Winograd's algorithm
		if c.winograd {
			tolerance = 3e-6
		}
		if e := maxError(got, exact) / scale; e > tolerance {
			t.Errorf("%s, Winograd %v: error %.2g", name, c.winograd, e)
		}
		var alone [][]float32
		var views []operands
		for view := range uint32(5) {
			o := operands{filled(dst.shape, 2, dst.pitch), filled(in, src.border, pitch), nil}
			load(o.in, formattest.LCG(5+view, in.Elements()))
			if with {
				o.residual = filled(dst.shape, 1, dst.pitch)
				load(o.residual, formattest.LCG(15+view, dst.shape.Elements()))
			}
			whole(c, o)
			views, alone = append(views, o), append(alone, dense(o.out))
			o.out.allocate()
		}
		for n := range views {
			whole(c, views[:n+1]...)
			for view := range n + 1 {
				if !slices.Equal(dense(views[view].out), alone[view]) {
					t.Errorf("%s: of %d views together, view %d has other bits than alone", name, n+1, view)
				}
				views[view].out.allocate()
			}
		}
		for i, v := range dst.data {
			if pixel, row := i/dst.pitch%(dst.stride/dst.pitch), i/dst.stride; v != 0 && (i%dst.pitch >= outs || pixel < 2 || pixel >= dst.shape.Width+2 || row < 2 || row >= dst.shape.Height+2) {
				t.Fatalf("%s: the border or the padding holds %v", name, v)
			}
		}
	}
	return outputs
}

func TestMaxPooling(t *testing.T) {
	for _, size := range [][3]int{{2, 5, 6}, {1, 1, 1}, {3, 4, 7}, {2, 3, 130}} {
		for _, stride := range []int{1, 2} {
			in := filled(format.Shape{Channels: size[0], Height: size[1], Width: size[2]}, 1, padded(size[0]))
			x := formattest.LCG(6, in.shape.Elements())
			load(in, x)
			out := filled(format.Shape{Channels: size[0], Height: (size[1] + stride - 1) / stride, Width: (size[2] + stride - 1) / stride}, 2, padded(size[0]))
			for part := range partsOf(out) {
				maxPool3(part, out, in, stride)
			}
			for i, got := range dense(out) {
				c, y, oy := i/(out.shape.Height*out.shape.Width), i/out.shape.Width%out.shape.Height*stride, i%out.shape.Width*stride
				want := float32(-2)
				for k, v := range x[c*size[1]*size[2] : (c+1)*size[1]*size[2]] {
					if dy, dx := k/size[2]-y, k%size[2]-oy; dy*dy <= 1 && dx*dx <= 1 {
						want = max(want, v)
					}
				}
				if got != want {
					t.Fatalf("%v, stride %d: output %d is %v, want %v", size, stride, i, got, want)
				}
			}
		}
	}
}

func maxError(got []float32, want []float64) float64 {
	if len(got) != len(want) {
		return math.Inf(1)
	}
	var worst float64
	for i := range got {
		worst = max(worst, math.Abs(float64(got[i])-want[i]))
	}
	return worst
}

// The layers of ResNet-32, each with the number of its convolutions.
func BenchmarkLayers(b *testing.B) {
	for _, x := range []struct {
		count, side, in, out, stride int
	}{
		{1, 32, 3, 16, 1}, {10, 32, 16, 16, 1}, {1, 32, 16, 32, 2}, {9, 16, 32, 32, 1}, {1, 16, 32, 64, 2}, {9, 8, 64, 64, 1},
	} {
		in := filled(format.Shape{Channels: x.in, Height: x.side, Width: x.side}, 1, (x.in+7)/8*8)
		if x.in == 3 {
			in = filled(in.shape, 1, x.in)
		}
		load(in, formattest.LCG(1, in.shape.Elements()))
		out := filled(format.Shape{Channels: x.out, Height: x.side / x.stride, Width: x.side / x.stride}, 1, padded(x.out))
		l := &format.Layer{Op: format.OpConv, Out: x.out, Kernel: 3, Stride: x.stride, ReLU: true}
		c := convolutionOf(l, in, out, formattest.LCG(2, x.out*x.in*9), make([]float32, x.out))
		products := out.shape.Elements() * x.in * 9
		if c.winograd {
			products = out.shape.Elements() / (kernel.OutputTile * kernel.OutputTile) * kernel.TileElems * x.in
		}
		b.Run(fmt.Sprintf("%dx%d,%dto%d,stride%d", x.side, x.side, x.in, x.out, x.stride), func(b *testing.B) {
			for b.Loop() {
				whole(c, operands{out, in, nil})
			}
			ns := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
			b.ReportMetric(ns*float64(x.count)/1e3, "us/net")
			b.ReportMetric(2*float64(products)/ns, "GFLOP/s")
		})
	}
}

func TestMaxPoolingOf2x2(t *testing.T) {
	for _, size := range [][3]int{{2, 5, 6}, {1, 2, 2}, {3, 4, 7}, {16, 9, 8}, {2, 4, 259}} {
		in := filled(format.Shape{Channels: size[0], Height: size[1], Width: size[2]}, 1, padded(size[0]))
		x := formattest.LCG(6, in.shape.Elements())
		load(in, x)
		out := filled(format.Shape{Channels: size[0], Height: size[1] / 2, Width: size[2] / 2}, 2, padded(size[0]))
		for part := range partsOf(out) {
			maxPool2(part, out, in)
		}
		for i, got := range dense(out) {
			c, y, ox := i/(out.shape.Height*out.shape.Width), i/out.shape.Width%out.shape.Height, i%out.shape.Width
			want := float32(-2)
			for k, v := range x[c*size[1]*size[2] : (c+1)*size[1]*size[2]] {
				if k/size[2]/2 == y && k%size[2]/2 == ox {
					want = max(want, v)
				}
			}
			if got != want {
				t.Fatalf("%v: output %d is %v, want %v", size, i, got, want)
			}
		}
	}
}
