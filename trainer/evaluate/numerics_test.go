package evaluate

import (
	"flag"
	"math"
	"slices"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/internal/parallel"
	"github.com/quarterturn/quarterturn/www"
)

var cifar10 = flag.String("cifar10", "", "folder of CIFAR-10's binary files")

// direct is the model without Winograd's algorithm, which computes windows of 3x3
// with stride 1: they become windows of 5x5 with a border of zero weights.
func direct(m *format.Model) *format.Model {
	d := *m
	d.Layers, d.Weights = slices.Clone(m.Layers), slices.Clone(m.Weights)
	tensor := 0
	for i := range d.Layers {
		l := &d.Layers[i]
		if l.Op != format.OpConv {
			continue
		}
		if l.Kernel == 3 && l.Stride == 1 {
			wide := make([]float32, len(m.Weights[tensor])/9*25)
			for k, w := range m.Weights[tensor] {
				wide[k/9*25+(k/3%3+1)*5+k%3+1] = w
			}
			l.Kernel, d.Weights[tensor] = 5, wide
		}
		tensor += 2
	}
	return &d
}

// precise computes the feature of an input, dense (C, H, W), in float64.
func precise(m *format.Model, input []float32) []float64 {
	shapes := m.Shapes()
	values := [][]float64{make([]float64, len(input))}
	for i, v := range input {
		values[0][i] = float64(v)
	}
	tensor := 0
	for i, l := range m.Layers {
		in, to, x := shapes[l.Input], shapes[i+1], values[l.Input]
		y := make([]float64, to.Elements())
		for k := range y {
			o, row, col := k/(to.Height*to.Width), k/to.Width%to.Height, k%to.Width
			switch l.Op {
			case format.OpMean:
				for _, v := range x[o*in.Height*in.Width:][:in.Height*in.Width] {
					y[k] += v / float64(in.Height*in.Width)
				}
			case format.OpShortcut:
				if o < in.Channels {
					y[k] = x[(o*in.Height+row*l.Stride)*in.Width+col*l.Stride]
				}
			case format.OpConv:
				y[k] = float64(m.Weights[tensor+1][o])
				w := m.Weights[tensor][o*in.Channels*l.Kernel*l.Kernel:]
				for c := range in.Channels {
					for a := range l.Kernel {
						for b := range l.Kernel {
							r, s := row*l.Stride+a-l.Kernel/2, col*l.Stride+b-l.Kernel/2
							if r >= 0 && r < in.Height && s >= 0 && s < in.Width {
								y[k] += float64(w[(c*l.Kernel+a)*l.Kernel+b]) * x[(c*in.Height+r)*in.Width+s]
							}
						}
					}
				}
				if l.Residual != 0 {
					y[k] += values[l.Residual][k]
				}
				if l.ReLU {
					y[k] = max(y[k], 0)
				}
			}
		}
		if l.Op == format.OpConv {
			tensor += 2
		}
		values = append(values, y)
	}
	return values[len(m.Layers)]
}

// The algorithms of convolution differ in rounding alone: against float64, on
// trained weights, and in the answers to images. All test images of CIFAR-10 are
// asked by go test -v -run Algorithms ./trainer/evaluate -cifar10 DIR.
func TestConvolutionAlgorithmsAgree(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	m, err := format.Decode(www.Model)
	if err != nil {
		t.Fatal(err)
	}
	models := []*format.Model{m, direct(m)}
	source := "fashion-mini"
	if *cifar10 != "" {
		source = "cifar10:" + *cifar10
	}
	d, err := dataset.Load(t.Context(), source)
	if err != nil {
		t.Fatal(err)
	}
	type pair [2]*sla.Classifier
	open := func() (p pair) {
		for i, m := range models {
			if p[i], err = sla.New(m); err != nil {
				t.Fatal(err)
			}
		}
		return p
	}
	run := func(c *sla.Classifier, i int, mode string) []float32 {
		if err := loadImage([]*sla.Classifier{c}, d.Image(&d.Test, i)); err != nil {
			t.Fatal(err)
		}
		results, err := classify([]*sla.Classifier{c}, mode)
		if err != nil {
			t.Fatal(err)
		}
		return slices.Clone(results[0].Logits)
	}

	first := open()
	head := m.Weights[len(m.Weights)-2:] // of the distilled head, the last one
	var worst [2]float64
	var largest float64
	for i := range 10 {
		for k, c := range first {
			logits := run(c, i, format.ModeDistilled)
			input, err := c.Input()
			if err != nil {
				t.Fatal(err)
			}
			z := precise(m, input)
			for class, got := range logits {
				want := float64(head[1][class])
				for j, v := range z {
					want += float64(head[0][class*len(z)+j]) * v
				}
				worst[k] = max(worst[k], math.Abs(float64(got)-want))
				largest = max(largest, math.Abs(want))
			}
		}
	}
	t.Logf("worst error of a logit against float64, logits up to %.1f: Winograd %.2g, direct %.2g", largest, worst[0], worst[1])
	if worst[0] > 1e-4 || worst[1] > 3e-5 {
		t.Error("the errors are too large")
	}

	workers := make([]pair, parallel.Workers())
	for i := range workers {
		workers[i] = open()
	}
	n := 400
	if *cifar10 != "" {
		n = d.Test.Len()
	}
	modes := m.Modes()
	differ := make([][]bool, n) // per image and mode
	parallel.For(n, func(worker, i int) {
		for _, mode := range modes {
			a, b := run(workers[worker][0], i, mode), run(workers[worker][1], i, mode)
			differ[i] = append(differ[i], slices.Index(a, slices.Max(a)) != slices.Index(b, slices.Max(b)))
		}
	})
	for k, mode := range modes {
		others := 0
		for i := range differ {
			if differ[i][k] {
				others++
			}
		}
		t.Logf("%s: another answer for %d of %d images of %s", mode, others, n, d.Name)
		if others > n/10000 {
			t.Errorf("%s: the algorithms disagree on %d images", mode, others)
		}
	}
}
