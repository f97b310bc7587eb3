package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
	"github.com/quarterturn/quarterturn/trainer/internal/gpu/gputest"
)

// deviceForTest has the kernels on the processor.
func deviceForTest(t *testing.T) *Device { return &Device{gputest.Open(t)} }

// distance is that of two vectors, as a share of the length of the second.
func distance(got, want []float32) float64 {
	var off, square float64
	for i, v := range want {
		off += (float64(got[i]) - float64(v)) * (float64(got[i]) - float64(v))
		square += float64(v) * float64(v)
	}
	return math.Sqrt(off) / (math.Sqrt(square) + 1e-6)
}

// onDevice is fixtureGraph on a device: the same weights, and the batch of another graph.
func onDevice(t *testing.T, d *Device, of *graph, net, method string, changes ...func(*graphSpec)) *graph {
	t.Helper()
	g := fixtureGraph(t, net, method, append(changes, func(s *graphSpec) { s.device = d })...)
	copy(g.targets, of.targets)
	if err := g.push(&sgd{}); err != nil {
		t.Fatal(err)
	}
	uploadBatch(g, of)
	return g
}

// uploadBatch puts the inputs of a graph on the device of another, which has the targets.
func uploadBatch(g, of *graph) {
	d := g.there
	gpu.Upload(d.Device, d.where[g.input], of.inputs)
	gpu.Upload(d.Device, d.where[g.target], g.targets)
}

// Every objective on every kind of net: the loss and the gradient of each param, after two
// steps too, are the processor's.
func TestGraphsOnADevice(t *testing.T) {
	d := deviceForTest(t)
	balanced := func(s *graphSpec) {
		s.balance = &balance{weights: []float64{.5, 1, 1.5}, on: true, margins: []float64{.1, .2, .3}}
		s.cosine = true
	}
	focal := func(s *graphSpec) { s.balance = &balance{weights: []float64{.5, 1, 1.5}, on: true, gamma: 1.5} }
	heads := func(s *graphSpec) { s.stageHeads, s.sumViews = true, true }
	for _, c := range []struct {
		net, method string
		change      func(*graphSpec)
	}{
		{"resnet8w8", "baseline", nil}, {"resnet8w8", "da", nil}, {"resnet8w8", "mt", nil}, {"resnet8w8", "sla", nil},
		{"resnet14w8", "sla+sd", nil}, {"resnet8w8p", "sla+sd", nil}, {"conv4w8", "sla+sd", nil}, {"resnet12w16", "sla", nil},
		{"resnet8w8", "sla+sd", balanced}, {"resnet8w8", "sla+sd", focal}, {"resnet8w8", "sla+sd", heads}, {"resnet18", "baseline", nil},
	} {
		t.Run(fmt.Sprint(c.net, c.method, c.change != nil), func(t *testing.T) {
			var changes []func(*graphSpec)
			if c.change != nil {
				changes = append(changes, c.change)
			}
			here := fixtureGraph(t, c.net, c.method, changes...)
			there := onDevice(t, d, here, c.net, c.method, changes...)
			tolerance := 2e-4
			if c.net == "resnet18" || c.net == "resnet12w16" {
				tolerance = 2e-2 // normalised over as few as five numbers
			}
			a, b := &sgd{rate: 0.05, momentum: 0.9, decay: 1e-2, nesterov: true, clip: 1}, &sgd{rate: 0.05, momentum: 0.9, decay: 1e-2, nesterov: true, clip: 1}
			steps := 3
			if c.net == "resnet18" {
				steps = 1 // a large one
			}
			for step := range steps {
				want, err := here.run()
				if err != nil {
					t.Fatal(err)
				}
				got, err := there.run()
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
					there.there.Download(g, there.there.params[i].grad)
					if off := distance(g, floats(grad)); off > 20*tolerance {
						t.Errorf("step %d, %s: the gradient is off by %v of its length", step, p.node.Name(), off)
					}
				}
				if err := errors.Join(here.step(a), there.step(b)); err != nil {
					t.Fatal(err)
				}
			}
			if err := there.pull(b); err != nil {
				t.Fatal(err)
			}
			want := here.state()
			for i, got := range there.state() {
				if off := distance(got, want[i]); off > 10*tolerance {
					t.Errorf("state %d is off by %v of its length", i, off)
				}
			}
		})
	}
}

// Batches made on a device are those made here.
func TestBatchesOnADevice(t *testing.T) {
	d := deviceForTest(t)
	data, err := Load("fashion-mini")
	if err != nil {
		t.Fatal(err)
	}
	// Colour images: the channels are three pictures.
	const side = 28
	s := Split{Classes: make([]int, 30)}
	for i := range 30 {
		s.Classes[i] = i % 3
		for k := range side * side {
			for c := range 3 {
				s.Pixels = append(s.Pixels, data.Train.Pixels[(3*i+c)*side*side+k])
			}
		}
	}
	for _, mix := range []string{"", mixup, cutmix} {
		c := DefaultConfig()
		c.Net, c.Batch, c.Mix, c.Transform = "resnet8w8", 4, mix, "rotationxcolor3"
		colour := &Dataset{Name: "colour", Labels: []string{"a", "b", "c"}, Height: side, Width: side, Channels: 3, Train: s, Test: s}
		here, err := newRun(colour, c, nil)
		if err != nil {
			t.Fatal(err)
		}
		there, err := newRun(colour, c, d)
		if err != nil {
			t.Fatal(err)
		}
		for batch := range 3 {
			indices := []int{batch, 5, 9, 2}
			here.batcher.fill(here.graph, indices, rand.New(rand.NewPCG(7, uint64(batch))))
			there.batcher.fill(there.graph, indices, rand.New(rand.NewPCG(7, uint64(batch))))
			got := make([]float32, len(here.graph.inputs))
			there.graph.there.Download(got, there.graph.there.where[there.graph.input])
			if off := distance(got, here.graph.inputs); off > 1e-7 {
				t.Errorf("mix %q: inputs are off by %v of their length", mix, off)
			}
			got = make([]float32, len(here.graph.targets))
			there.graph.there.Download(got, there.graph.there.where[there.graph.target])
			if off := distance(got, here.graph.targets); off > 0 {
				t.Errorf("mix %q: targets are off by %v of their length", mix, off)
			}
		}
		here.graph.close()
		there.graph.close()
	}
}

// Eleven steps of SLA+SD on a device, and runs that go from one side to the other in the
// middle: a checkpoint of either resumes on both.
func TestRunsOnADevice(t *testing.T) {
	d := deviceForTest(t)
	c := folderConfigForTest()
	c.Epochs, c.Batch, c.Rate, c.TrainPerClass, c.Transform = 1, 8, 0.02, 10, "rotation2" // eleven steps
	run := func(name string, first, second *Device) *format.Model {
		t.Helper()
		f, err := Start(filepath.Join(t.TempDir(), name), mini, c, first)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f.Data.Test = f.Data.subset(&f.Data.Test, []int{0, 1, 2})
		_, _, err = f.Run(ctx, func(e Event) {
			if e.Step == 4 {
				cancel()
			}
		}, nil)
		if !errors.Is(err, context.Canceled) || f.Close() != nil {
			t.Fatal(err)
		}
		if f, err = Resume(f.Dir, second); err != nil {
			t.Fatal(err)
		}
		f.Data.Test = f.Data.subset(&f.Data.Test, []int{0, 1, 2})
		m, _, err := f.Run(t.Context(), nil, nil)
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		return m
	}
	want := run("here", nil, nil)
	for name, sides := range map[string][2]*Device{"on the device": {d, d}, "to the device": {nil, d}, "from the device": {d, nil}} {
		got := run(name, sides[0], sides[1])
		for i, w := range want.Weights {
			if off := distance(got.Weights[i], w); off > 5e-3 {
				t.Errorf("%s: weights %d are off by %v of their length", name, i, off)
			}
		}
	}
}

// A run in episodes on a device gives the net that one on the processor gives.
func TestEpisodesOnADevice(t *testing.T) {
	data, c := small(t), episodesForTest("ridge", "sla")
	c.Epochs = 1
	here, err := newRun(data, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	there, err := newRun(data, c, deviceForTest(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*run{here, there} {
		if err := r.epoch(t.Context(), func(Event) {}); err != nil {
			t.Fatal(err)
		}
		r.graph.close()
	}
	if math.Abs(here.lossSum-there.lossSum) > 1e-4*here.lossSum {
		t.Errorf("the losses add up to %v, the processor's to %v", there.lossSum, here.lossSum)
	}
	for i, want := range here.best.model.Weights {
		if off := distance(there.best.model.Weights[i], want); off > 5e-3 {
			t.Errorf("weights %d are off by %v of their length", i, off)
		}
	}
}
