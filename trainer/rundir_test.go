package trainer

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/xml"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/trainer/batch"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/report"
)

var mini = dataset.Source{Data: "fashion-mini"}

func runConfigForTest() Config {
	c := smallConfig()
	c.TrainPerClass, c.Epochs = 20, 3
	// All that draws random numbers or has a state of its own.
	c.EMADecay, c.Mix, c.Augment, c.StageHeads = 0.9, batch.CutMix, "crop,flip,rand,cutout", true
	return c
}

// slabOf trains a run in dir, and what it teaches, and returns the slab. stop, if it is not 0,
// interrupts each of them behind so many steps, to be resumed in dir.
func slabOf(t *testing.T, dir string, c Config, stop int) ([]byte, error) {
	t.Helper()
	f, err := Start(t.Context(), dir, mini, c, nil)
	if err != nil {
		return nil, err
	}
	for interrupted := false; ; {
		f.Data.Test = f.Data.Subset(&f.Data.Test, []int{0, 1, 2, 3})
		ctx, cancel := context.WithCancel(t.Context())
		_, _, err := f.Run(ctx, func(e Event) {
			if stop > 0 && e.Step == stop && !interrupted {
				cancel()
			}
		}, nil)
		cancel()
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		switch interrupted = errors.Is(err, context.Canceled); {
		case interrupted:
			f, err = Resume(t.Context(), dir, 0, nil)
		case err == nil && f.Student == "":
			return os.ReadFile(filepath.Join(dir, SlabFile))
		case err == nil:
			f, err = f.StartStudent(t.Context(), nil)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// finish runs a folder to its end and returns the slab and the log without times.
func finish(t *testing.T, f *RunDir) (slab []byte, events int) {
	t.Helper()
	f.Data.Test = f.Data.Subset(&f.Data.Test, []int{0, 1, 2, 3})
	if _, _, err := f.Run(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	slab, err := os.ReadFile(filepath.Join(f.Dir, SlabFile))
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.ReadFile(filepath.Join(f.Dir, LogFile))
	if err != nil {
		t.Fatal(err)
	}
	svg, err := os.ReadFile(filepath.Join(f.Dir, CurvesFile))
	if err != nil || xml.Unmarshal(svg, new(struct{})) != nil || !bytes.Contains(svg, []byte("aggregated")) || len(f.epochs) != f.Config.Epochs {
		t.Errorf("%s: %d epochs, %d bytes, %v", CurvesFile, len(f.epochs), len(svg), err)
	}
	records, err := os.ReadFile(filepath.Join(f.Dir, report.EventsFile))
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for ; len(records) > 0; n++ {
		records = records[16+binary.LittleEndian.Uint64(records):]
	}
	if n != 1+f.Config.Epochs {
		t.Errorf("%s: %d records", report.EventsFile, n)
	}
	return slab, bytes.Count(log, []byte("\n"))
}

// Stopped after any step and resumed, a run makes the slab that it makes when
// nothing happens, and a log with each epoch once.
func TestResume(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	dir := t.TempDir()
	f, err := Start(t.Context(), filepath.Join(dir, "straight"), mini, runConfigForTest(), nil)
	if err != nil {
		t.Fatal(err)
	}
	want, events := finish(t, f)
	if events != 4 {
		t.Fatalf("%d events in the log, want 3 epochs and the test", events)
	}
	perEpoch := f.Steps() / 3
	// A stop below zero is right after the evaluation that follows the step.
	for _, stops := range [][]int{{1}, {perEpoch}, {-perEpoch}, {perEpoch + 3, 2*perEpoch - 1}, {2, 3, -2 * perEpoch, 3 * perEpoch}} {
		name := filepath.Join(dir, "stopped")
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
		f, err := Start(t.Context(), name, mini, runConfigForTest(), nil)
		for _, stop := range stops {
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			_, _, ran := f.Run(ctx, func(e Event) {
				if e.Step == stop || e.Step == -stop && e.Validation != nil {
					cancel()
				}
			}, nil)
			if !errors.Is(ran, context.Canceled) || f.Step() != max(stop, -stop) {
				t.Fatalf("stopping at step %d: at %d, %v", stop, f.Step(), ran)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			f, err = Resume(t.Context(), name, 0, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		got, events := finish(t, f)
		if !bytes.Equal(got, want) || events != 4 {
			t.Errorf("stopped at %v: another slab, or %d events", stops, events)
		}
	}
}

// A process that is killed leaves the last epoch's checkpoint, and perhaps log
// lines and a temporary file of a later moment.
func TestResumeAfterAKill(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	dir := filepath.Join(t.TempDir(), "run")
	f, err := Start(t.Context(), dir, mini, runConfigForTest(), nil)
	if err != nil {
		t.Fatal(err)
	}
	perEpoch := f.Steps() / 3
	ctx, cancel := context.WithCancel(t.Context())
	var atEpoch []byte // the checkpoint as it was after the first epoch
	_, _, err = f.Run(ctx, func(e Event) {
		if e.Step == perEpoch+2 {
			if atEpoch, err = os.ReadFile(filepath.Join(dir, CheckpointFile)); err != nil {
				t.Error(err)
			}
			cancel()
		}
	}, nil)
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	f.Close()
	log, err := os.ReadFile(filepath.Join(dir, LogFile))
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		CheckpointFile: atEpoch, LogFile: append(log, `{"event":"epoch","epo`...), ".checkpoint.123": []byte("half"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if f, err = Resume(t.Context(), dir, 0, nil); err != nil {
		t.Fatal(err)
	}
	if f.Step() != perEpoch {
		t.Errorf("resumed at step %d, want %d", f.Step(), perEpoch)
	}
	got, events := finish(t, f)
	straight, err := Start(t.Context(), filepath.Join(t.TempDir(), "straight"), mini, runConfigForTest(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := finish(t, straight); !bytes.Equal(got, want) || events != 4 {
		t.Errorf("another slab, or %d events in the log", events)
	}
	if _, err := Resume(t.Context(), dir, 0, nil); err == nil || !strings.Contains(err.Error(), "is complete") {
		t.Errorf("resuming a run that is complete: %v", err)
	}
}

// A data set without test images, as CIFAR-FS has of the classes to train on, ends with the
// scores on the images held out.
func TestNoTestImages(t *testing.T) {
	c := smallConfig()
	c.TrainPerClass, c.Epochs = 20, 1
	f, err := Start(t.Context(), filepath.Join(t.TempDir(), "run"), mini, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Data.Test = f.Data.Subset(&f.Data.Test, nil)
	model, scores, err := f.Run(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(scores) != 3 || scores[0].Metric != model.Metrics[0] || scores[0].Split != "validation" {
		t.Errorf("the scores are %+v, those on the images held out %+v", scores, model.Metrics)
	}
	if v := f.Verdict(model, scores); v.Useless || !strings.Contains(v.Text, "There are no test images") {
		t.Errorf("the verdict is %+v", v)
	}
	if _, err := os.Stat(filepath.Join(f.Dir, SlabFile)); err != nil {
		t.Error(err)
	}
}

func TestResumeErrors(t *testing.T) {
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "run")
	f, err := Start(t.Context(), dir, mini, runConfigForTest(), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	f.Run(ctx, func(Event) { cancel() }, nil)
	f.Close()
	if _, err := Start(t.Context(), dir, mini, runConfigForTest(), nil); err == nil || !strings.Contains(err.Error(), "holds a run already") {
		t.Errorf("starting where a run is: %v", err)
	}
	config, checkpoint := filepath.Join(dir, ConfigFile), filepath.Join(dir, CheckpointFile)
	for _, c := range []struct {
		file, old, new, want string
	}{
		{config, `"seed": 1`, `"seed": 2`, "another config.json"},
		{config, `"method": "sla+sd"`, `"method": "slap"`, "want baseline"},
		{config, `"epochs"`, `epochs`, "invalid character"},
		{config, `"fashion-mini"`, `""`, "names no data"},
		{config, `"fashion-mini"`, `"fashion:/no/where"`, "neither train-images"},
		{config, `"fashion-mini"`, `"fashion:no/where"`, "is not at " + filepath.Join(here, "no/where") + "; work in the directory in which the run was begun"},
		{config, `"fashion-mini"`, `"where"`, "is not at " + filepath.Join(here, "where")},
		{checkpoint, "", "x", "is damaged"},
	} {
		b, err := os.ReadFile(c.file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(c.file, bytes.Replace(b, []byte(c.old), []byte(c.new), 1), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Resume(t.Context(), dir, 0, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s for %s: got %v, want %q", c.new, c.old, err, c.want)
		}
		if err := os.WriteFile(c.file, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Resume(t.Context(), dir, 0, nil); err != nil {
		t.Errorf("with everything back in place: %v", err)
	}
}

// A run that is stopped and cannot save its checkpoint says so.
func TestStopThatCannotSave(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	f, err := Start(t.Context(), dir, mini, runConfigForTest(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ctx, cancel := context.WithCancel(t.Context())
	_, _, err = f.Run(ctx, func(Event) {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
		cancel()
	}, nil)
	if errors.Is(err, context.Canceled) || err == nil || !strings.Contains(err.Error(), "cannot save a checkpoint") {
		t.Errorf("got %v", err)
	}
}
