package trainer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
	"github.com/quarterturn/quarterturn/trainer/graph"
	"github.com/quarterturn/quarterturn/trainer/report"
)

// The files of a run's folder, beside report.EventsFile.
const (
	ConfigFile     = "config.json"   // how it trains; written first
	LogFile        = "metrics.jsonl" // an event a line: each epoch, and the test at the end
	CheckpointFile = "checkpoint"    // where it stands
	CurvesFile     = "curves.svg"    // loss and accuracy by epoch, drawn anew after each
	ConfusionFile  = "confusion.svg" // which test images the recommended mode takes for what
	SlabFile       = "model.slab"    // written last
)

// runConfig is what config.json holds.
type runConfig struct {
	dataset.Source
	Config
}

// A RunDir is a training run on disk, in a folder of its own. Start makes one and Resume opens one; Run
// trains from where it stands to the end, and may be stopped and resumed at any
// moment: the slab comes out the same, bit for bit.
type RunDir struct {
	Dir    string
	Config Config
	Data   *dataset.Dataset

	run    *run
	log    *os.File
	events *os.File
	epochs []report.Epoch // what the log says
}

// Start makes the folder of a new run on a device, nil being the processor. Whatever is
// wrong with the data or the settings is found before anything is written.
func Start(ctx context.Context, dir string, source dataset.Source, c Config, device *graph.Device) (*RunDir, error) {
	if _, err := os.Stat(filepath.Join(dir, ConfigFile)); err == nil {
		return nil, fmt.Errorf("%s holds a run already; go on with --resume %s, or give --out another folder", dir, dir)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	f, err := openRun(ctx, dir, source, c, device)
	if err != nil {
		return nil, err
	}
	config, err := json.MarshalIndent(runConfig{source, f.Config}, "", "  ")
	if err == nil {
		err = os.MkdirAll(dir, 0o755)
	}
	if err == nil {
		err = atomicfile.Write(filepath.Join(dir, ConfigFile), append(config, '\n'))
	}
	if err == nil {
		f.log, err = os.Create(filepath.Join(dir, LogFile))
	}
	if err == nil {
		err = f.openEvents()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// openEvents begins the events file, with the epochs that the log has.
func (f *RunDir) openEvents() error {
	b := report.StartEvents(float64(time.Now().Unix()))
	for i := range f.epochs {
		b = append(b, f.epochs[i].Events()...)
	}
	var err error
	if f.events, err = os.Create(filepath.Join(f.Dir, report.EventsFile)); err == nil {
		_, err = f.events.Write(b)
	}
	return err
}

// Resume opens the folder of a run that was stopped, to go on on a device, which may be
// another one than before.
func Resume(ctx context.Context, dir string, device *graph.Device) (*RunDir, error) {
	c, err := readConfig(dir)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, SlabFile)); err == nil {
		return nil, fmt.Errorf("the run in %s is complete: %s is there", dir, SlabFile)
	}
	f, err := openRun(ctx, dir, c.Source, c.Config, device)
	if err != nil {
		return nil, err
	}
	if err := f.restore(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, err), f.Close())
	}
	return f, nil
}

// HeldOut returns the data set of a run, complete or not, and the images of it that the
// run held out.
func HeldOut(ctx context.Context, dir string) (*dataset.Dataset, *dataset.Split, error) {
	c, err := readConfig(dir)
	if err != nil {
		return nil, nil, err
	}
	d, err := c.Load(ctx)
	if err != nil {
		return nil, nil, err
	}
	if c.episodic() {
		return nil, nil, fmt.Errorf("%s was trained in episodes; it held out classes, not images", dir)
	}
	_, held, err := divide(d, &c.Config, rand.New(rand.NewPCG(uint64(c.Seed), 0)))
	return d, &held, err
}

func readConfig(dir string) (c runConfig, err error) {
	b, err := os.ReadFile(filepath.Join(dir, ConfigFile))
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("%s holds no run: there is no %s in it", dir, ConfigFile)
	}
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return c, fmt.Errorf("%s: %w", filepath.Join(dir, ConfigFile), err)
	}
	return c, nil
}

func openRun(ctx context.Context, dir string, source dataset.Source, c Config, device *graph.Device) (*RunDir, error) {
	d, err := source.Load(ctx)
	if err != nil {
		return nil, err
	}
	r, err := newRun(d, c, device)
	if err != nil {
		return nil, err
	}
	return &RunDir{Dir: dir, Config: r.config, Data: d, run: r}, nil
}

// restore goes back to the last checkpoint, or to the beginning if there is none,
// and cuts what the log says of later epochs.
func (f *RunDir) restore() error {
	var length int64
	c, err := readCheckpoint(filepath.Join(f.Dir, CheckpointFile))
	if err == nil {
		length = c.LogBytes
		err = f.run.restore(c)
	} else if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err != nil {
		return err
	}
	if f.log, err = os.OpenFile(filepath.Join(f.Dir, LogFile), os.O_RDWR|os.O_CREATE, 0o644); err != nil {
		return err
	}
	if err := f.log.Truncate(length); err != nil {
		return err
	}
	for lines := json.NewDecoder(f.log); ; {
		var e report.Epoch
		if err := lines.Decode(&e); err == io.EOF {
			break
		} else if err != nil {
			return fmt.Errorf("%s: %w", LogFile, err)
		}
		f.epochs = append(f.epochs, e)
	}
	if _, err := f.log.Seek(0, io.SeekEnd); err != nil {
		return err
	}
	return f.openEvents()
}

// Close frees what the run holds. It changes nothing on disk.
func (f *RunDir) Close() error {
	err := f.run.graph.Close()
	for _, file := range []*os.File{f.log, f.events} {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}
	return err
}

// Counts returns the number of images of each class that are trained on.
func (f *RunDir) Counts() []int { return f.run.train.Counts(len(f.Data.ClassNames)) }

// Step is the step the run stands at, and Steps how many it has.
func (f *RunDir) Step() int  { return f.run.done }
func (f *RunDir) Steps() int { return f.run.steps() }

// Run trains to the end, saving a checkpoint after each epoch and when ctx ends,
// evaluates on the test images, and writes the slab. Training in episodes is not for the
// classes of the data set, so its scores are those of the classes held out. progress and
// tested, if not nil, are called on the way.
func (f *RunDir) Run(ctx context.Context, progress func(Event), tested func(done, of int)) (*format.Model, []evaluate.Score, error) {
	if progress == nil {
		progress = func(Event) {}
	}
	f.run.began = time.Now()
	for f.run.epochs < f.Config.Epochs {
		switch err := f.run.epoch(ctx, progress); {
		case err == nil:
			if err := f.record(); err != nil {
				return nil, nil, err
			}
		case ctx.Err() != nil:
			if err := f.save(); err != nil {
				return nil, nil, err // not the ctx's: nobody should think it was saved
			}
			return nil, nil, ctx.Err()
		default:
			return nil, nil, err
		}
	}
	model := f.run.best.model
	if f.Config.episodic() {
		var scores []evaluate.Score
		for _, m := range model.Metrics {
			scores = append(scores, evaluate.Score{Metric: m, Passes: float64(model.Passes(m.Mode))})
		}
		return model, scores, atomicfile.Write(filepath.Join(f.Dir, SlabFile), f.run.best.slab)
	}
	scores, err := evaluate.Evaluate(ctx, evaluate.Ensemble{model}, f.Data, &f.Data.Test, "test", 0, tested)
	if err != nil {
		return nil, nil, err
	}
	if err := f.write(map[string]any{"event": "test", "metrics": scores}); err != nil {
		return nil, nil, err
	}
	for i := range scores {
		if scores[i].Mode != model.Recommended || len(model.Labels) > report.MaxConfusion {
			continue
		}
		svg, err := report.Confusion(&scores[i], f.Data.Test.Labels, model.Labels)
		if err == nil {
			err = atomicfile.Write(filepath.Join(f.Dir, ConfusionFile), svg)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return model, scores, atomicfile.Write(filepath.Join(f.Dir, SlabFile), f.run.best.slab)
}

// record logs an epoch, draws the curves and saves a checkpoint behind them.
func (f *RunDir) record() error {
	r := f.run
	f.epochs = append(f.epochs, report.Epoch{Event: "epoch", Epoch: r.epochs, Step: r.done, Loss: r.lossSum / float64(r.stepsPerEpoch),
		LR: r.solver.LR, Seconds: r.elapsed(), Time: float64(time.Now().UnixMilli()) / 1e3, Metrics: r.metrics})
	last := &f.epochs[len(f.epochs)-1]
	if err := f.write(last); err != nil {
		return err
	}
	if _, err := f.events.Write(last.Events()); err != nil {
		return err
	}
	svg, err := report.Curves(f.epochs)
	if err == nil {
		err = atomicfile.Write(filepath.Join(f.Dir, CurvesFile), svg)
	}
	if err != nil {
		return err
	}
	return f.save()
}

func (f *RunDir) write(event any) error {
	b, err := json.Marshal(event)
	if err == nil {
		_, err = f.log.Write(append(b, '\n'))
	}
	if err == nil {
		err = f.log.Sync()
	}
	return err
}

func (f *RunDir) save() error {
	c, err := f.run.checkpoint()
	if err != nil {
		return err
	}
	if c.LogBytes, err = f.log.Seek(0, io.SeekCurrent); err != nil {
		return err
	}
	if err := c.write(filepath.Join(f.Dir, CheckpointFile)); err != nil {
		return fmt.Errorf("cannot save a checkpoint, the one before is intact: %w", err)
	}
	return nil
}
