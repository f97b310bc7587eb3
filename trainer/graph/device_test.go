package graph

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/batch"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
	"github.com/quarterturn/quarterturn/trainer/internal/gpu/gputest"
	"github.com/quarterturn/quarterturn/trainer/internal/op"
	"github.com/quarterturn/quarterturn/trainer/loss"
	"github.com/quarterturn/quarterturn/trainer/nets"
	"github.com/quarterturn/quarterturn/trainer/optim"
)

// deviceForTest has the kernels on the processor.
func deviceForTest(t *testing.T) *Device { return &Device{gputest.Open(t)} }

// onDevice is fixtureGraph on a device: the same weights, and the batch of another graph.
func onDevice(t *testing.T, d *Device, of *Graph, net, method string, changes ...func(*Spec)) *Graph {
	t.Helper()
	g := fixtureGraph(t, net, method, append(changes, func(s *Spec) { s.Device = d })...)
	copy(g.targets, of.targets)
	if err := g.Push(&optim.SGD{}); err != nil {
		t.Fatal(err)
	}
	uploadBatch(g, of)
	return g
}

// uploadBatch puts the inputs of a graph on the device of another, which has the targets.
func uploadBatch(g, of *Graph) {
	d := g.device
	gpu.Upload(d.Device, d.Where(g.input), of.inputs)
	gpu.Upload(d.Device, d.Where(g.target), g.targets)
}

// Every objective on every kind of net: the loss and the gradient of each param, after two
// steps too, are the processor's.
func TestGraphsOnADevice(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	d := deviceForTest(t)
	balanced := func(s *Spec) {
		s.Balance = &loss.Balance{Weights: []float64{.5, 1, 1.5}, On: true, Margins: []float64{.1, .2, .3}}
		s.Cosine = true
	}
	focal := func(s *Spec) { s.Balance = &loss.Balance{Weights: []float64{.5, 1, 1.5}, On: true, Gamma: 1.5} }
	heads := func(s *Spec) { s.StageHeads, s.SumViews = true, true }
	for _, c := range []struct {
		net, method string
		change      func(*Spec)
	}{
		{"resnet8w8", "baseline", nil}, {"resnet8w8", "da", nil}, {"resnet8w8", "mt", nil}, {"resnet8w8", "sla", nil},
		{"resnet14w8", "sla+sd", nil}, {"resnet8w8p", "sla+sd", nil}, {"conv4w8", "sla+sd", nil}, {"resnet12w16", "sla", nil},
		{"resnet8w8", "sla+sd", balanced}, {"resnet8w8", "sla+sd", focal}, {"resnet8w8", "sla+sd", heads}, {"resnet18", "baseline", nil},
		{"fast8", "sla+sd", nil}, {"fast16-24", "sla+sd", balanced}, {"fast8", "sla", heads}, {"fast8s2", "sla", nil},
	} {
		t.Run(fmt.Sprint(c.net, c.method, c.change != nil), func(t *testing.T) {
			var changes []func(*Spec)
			if c.change != nil {
				changes = append(changes, c.change)
			}
			here := fixtureGraph(t, c.net, c.method, changes...)
			there := onDevice(t, d, here, c.net, c.method, changes...)
			tolerance := 2e-4
			if c.net == "resnet18" || c.net == "resnet12w16" {
				tolerance = 2e-2 // normalised over as few as five numbers
			}
			solver := func() *optim.SGD {
				s := &optim.SGD{LR: 0.05, Momentum: 0.9, WeightDecay: 1e-2, Nesterov: true, ClipNorm: 1}
				if nets.IsFast(c.net) {
					s.Muon, s.BiasLR, s.Decoupled = &optim.Muon{Momentum: 0.6}, 4, true
				}
				return s
			}
			a, b := solver(), solver()
			steps := 3
			if c.net == "resnet18" {
				steps = 1 // a large one
			}
			for step := range steps {
				want, err := here.Run()
				if err != nil {
					t.Fatal(err)
				}
				got, err := there.Run()
				if err != nil {
					t.Fatal(err)
				}
				if math.Abs(got-want) > tolerance*want {
					t.Errorf("step %d: the loss is %v, the processor's %v", step, got, want)
				}
				for i, p := range here.params {
					grad, err := p.node.Grad()
					if err != nil {
						t.Fatal(err)
					}
					g := make([]float32, len(p.value))
					there.device.Download(g, there.device.params[i].grad)
					if off := gputest.Distance(g, op.Floats(grad)); off > 20*tolerance {
						t.Errorf("step %d, %s: the gradient is off by %v of its length", step, p.node.Name(), off)
					}
				}
				if err := errors.Join(here.Step(a), there.Step(b)); err != nil {
					t.Fatal(err)
				}
			}
			if err := there.Pull(b); err != nil {
				t.Fatal(err)
			}
			want := here.State()
			for i, got := range there.State() {
				if off := gputest.Distance(got, want[i]); off > 10*tolerance {
					t.Errorf("state %d is off by %v of its length", i, off)
				}
			}
		})
	}
}

// Batches made on a device are those made here.
func TestBatchesOnADevice(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	d := deviceForTest(t)
	data, err := dataset.Load(t.Context(), "fashion-mini")
	if err != nil {
		t.Fatal(err)
	}
	// Colour images: the channels are three pictures.
	const side = 28
	s := dataset.Split{Labels: make([]int, 30)}
	for i := range 30 {
		s.Labels[i] = i % 3
		for k := range side * side {
			for c := range 3 {
				s.Pixels = append(s.Pixels, data.Train.Pixels[(3*i+c)*side*side+k])
			}
		}
	}
	half := []float32{.5, .5, .5}
	input := format.Input{Channels: 3, Height: side, Width: side, Mean: half, Std: half}
	transforms, err := sla.ParseTransforms("rotationxcolor3", 3)
	if err != nil {
		t.Fatal(err)
	}
	net, _ := nets.Parse("resnet8w8", format.Input{})
	method, _ := ParseMethod("sla+sd")
	for _, mix := range []string{"", batch.Mixup, batch.CutMix} {
		build := func(d *Device) *Graph {
			g, err := New(Spec{Net: net, Input: input, Joint: sla.Joint{Classes: 3, Views: len(transforms)}, Images: 4, Method: method,
				Temperature: 1, Beta: 1, Rng: rand.New(rand.NewPCG(1, 1)), Device: d})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { g.Close() })
			return g
		}
		here, there, views := build(nil), build(d), batch.NewViews(input, transforms)
		b, err := batch.New(batch.Config{Augment: "crop,flip", Mix: mix, MixAlpha: 1}, input, 3, &s)
		if err != nil {
			t.Fatal(err)
		}
		for n := range 3 {
			next := b.Next([]int{n, 5, 9, 2}, rand.New(rand.NewPCG(7, uint64(n))))
			here.Load(views, next)
			there.Load(views, next)
			got := make([]float32, len(here.inputs))
			there.device.Download(got, there.device.Where(there.input))
			if off := gputest.Distance(got, here.inputs); off > 1e-7 {
				t.Errorf("mix %q: inputs are off by %v of their length", mix, off)
			}
			got = make([]float32, len(here.targets))
			there.device.Download(got, there.device.Where(there.target))
			if off := gputest.Distance(got, here.targets); off > 0 {
				t.Errorf("mix %q: targets are off by %v of their length", mix, off)
			}
		}
	}
}
