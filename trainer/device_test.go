package trainer

import (
	"context"
	"errors"
	"math"
	"path/filepath"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/graph"
	"github.com/quarterturn/quarterturn/trainer/internal/gpu/gputest"
)

// deviceForTest has the kernels on the processor.
func deviceForTest(t *testing.T) *graph.Device {
	t.Helper()
	d, err := graph.OpenDevice(gputest.Worker(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// Eleven steps of SLA+SD on a device, and runs that go from one side to the other in the
// middle: a checkpoint of either resumes on both.
func TestRunsOnADevice(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	d := deviceForTest(t)
	c := runConfigForTest()
	c.Epochs, c.BatchSize, c.LR, c.TrainPerClass, c.Transform = 1, 8, 0.02, 10, "rotation2" // eleven steps
	run := func(name string, first, second *graph.Device) *format.Model {
		t.Helper()
		f, err := Start(t.Context(), filepath.Join(t.TempDir(), name), mini, c, first)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		f.Data.Test = f.Data.Subset(&f.Data.Test, []int{0, 1, 2})
		_, _, err = f.Run(ctx, func(e Event) {
			if e.Step == 4 {
				cancel()
			}
		}, nil)
		if !errors.Is(err, context.Canceled) || f.Close() != nil {
			t.Fatal(err)
		}
		if f, err = Resume(t.Context(), f.Dir, 0, second); err != nil {
			t.Fatal(err)
		}
		f.Data.Test = f.Data.Subset(&f.Data.Test, []int{0, 1, 2})
		m, _, err := f.Run(t.Context(), nil, nil)
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		return m
	}
	want := run("here", nil, nil)
	for name, sides := range map[string][2]*graph.Device{"on the device": {d, d}, "to the device": {nil, d}, "from the device": {d, nil}} {
		got := run(name, sides[0], sides[1])
		for i, w := range want.Weights {
			if off := gputest.Distance(got.Weights[i], w); off > 5e-3 {
				t.Errorf("%s: weights %d are off by %v of their length", name, i, off)
			}
		}
	}
}

// A run in episodes on a device trains the net that one on the processor trains.
func TestEpisodesOnADevice(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	data, c := small(t), episodesForTest("ridge", "sla")
	c.Epochs = 1
	here, err := newRun(t.Context(), data, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	there, err := newRun(t.Context(), data, c, deviceForTest(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*run{here, there} {
		if err := r.epoch(t.Context(), func(Event) {}); err != nil {
			t.Fatal(err)
		}
		r.graph.Close()
	}
	if math.Abs(here.lossSum-there.lossSum) > 1e-4*here.lossSum {
		t.Errorf("the losses add up to %v, the processor's to %v", there.lossSum, here.lossSum)
	}
	for i, want := range here.best.model.Weights {
		if off := gputest.Distance(there.best.model.Weights[i], want); off > 5e-3 {
			t.Errorf("weights %d are off by %v of their length", i, off)
		}
	}
}
