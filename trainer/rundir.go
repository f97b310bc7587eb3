package trainer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/format/readfile"
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
	ReportFile     = "report.html"   // what became of it, in one page
	SlabFile       = "model.slab"    // written last
	lockFile       = "lock"          // locked by the process that trains
)

// runConfig is what config.json holds.
type runConfig struct {
	dataset.Source
	Config
}

// ErrComplete says that a run has nothing left to do.
var ErrComplete = errors.New("the run is complete")

// A RunDir is a training run on disk, in a folder of its own, which it locks. Start makes
// one and Resume opens one; Run trains from where it stands to the end, and may be stopped
// and resumed at any moment: the slab comes out the same, bit for bit.
type RunDir struct {
	Dir    string
	Config Config
	Data   *dataset.Dataset

	Damaged  error    // what is wrong with the slab that Run writes again; nil: nothing, or there was none
	Commands []string // that led here, for the report
	Student  string   // the folder of the run that its slab is to teach, see StartStudent; empty: none

	source dataset.Source
	run    *run
	lock   *flock.Flock
	log    *os.File
	logged []byte // what is in it
	events *os.File
	epochs []report.Epoch // what the log says
}

// Start makes the folder of a new run on a device, nil being the processor. Whatever is
// wrong with the data or the settings is found before anything is written. With
// OfflineMethod, given or chosen, it returns the teacher's run, see StartStudent.
func Start(ctx context.Context, dir string, source dataset.Source, c Config, device *graph.Device) (*RunDir, error) {
	if err := Vacant(dir); err != nil {
		return nil, err
	}
	if c.Method == AutoMethod && c.Minutes > 0 && c.Epochs == 0 {
		d, err := source.Load(ctx)
		if err != nil {
			return nil, err
		}
		if c, err = chooseMethod(ctx, d, c, device); err != nil {
			return nil, err
		}
	}
	if c.Method == OfflineMethod {
		return startTeacher(ctx, dir, source, c, device)
	}
	return startRun(ctx, dir, source, c, device, Vacant)
}

// startRun makes the folder of a run, if it is ready for one once it is locked.
func startRun(ctx context.Context, dir string, source dataset.Source, c Config, device *graph.Device, ready func(dir string) error) (*RunDir, error) {
	f, err := openRun(ctx, dir, source, c, device)
	if err != nil {
		return nil, err
	}
	if err = f.run.startFrom(ctx); err == nil {
		err = f.begin(ready)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// Vacant finds out whether a folder may become that of a new run.
func Vacant(dir string) error {
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return fmt.Errorf("%s is a file; give --out the folder of the run", dir)
	}
	_, err := os.Stat(filepath.Join(dir, ConfigFile))
	if err == nil {
		return fmt.Errorf("%s holds a run already; resume it with --resume %s, or give --out another folder", dir, dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// begin writes the files that a run begins with, once the folder is locked and ready for them.
func (f *RunDir) begin(ready func(dir string) error) error {
	err := os.MkdirAll(f.Dir, 0o755)
	if err == nil {
		err = f.acquire()
	}
	if err == nil {
		err = ready(f.Dir)
	}
	if err == nil {
		err = writeConfig(f.Dir, runConfig{f.source, f.Config})
	}
	if err == nil {
		f.log, err = os.Create(filepath.Join(f.Dir, LogFile))
	}
	if err == nil {
		err = f.openEvents()
	}
	return err
}

// acquire locks the folder, so that no two processes train in it.
func (f *RunDir) acquire() error {
	f.lock = flock.New(filepath.Join(f.Dir, lockFile))
	switch locked, err := f.lock.TryLock(); {
	case err != nil:
		return fmt.Errorf("cannot lock %s: %w", f.Dir, err)
	case !locked:
		f.lock = nil
		return fmt.Errorf("another process is training in %s", f.Dir)
	}
	return nil
}

// Resume opens the folder of a run that was stopped, to train on a device, which may be
// another one than before. If epochs is not 0, the run becomes one of so many, which are no
// fewer than it has behind it; the schedule of the learning rate is stretched over all of
// them. The error of a run that has them behind it, and its slab, is ErrComplete; if the slab is damaged,
// Run makes it again from the checkpoint.
func Resume(ctx context.Context, dir string, epochs int, device *graph.Device) (*RunDir, error) {
	c, err := readConfig(dir)
	if err != nil {
		return nil, err
	}
	if c.Method == OfflineMethod {
		return resumeTeacher(ctx, dir, c, epochs, device)
	}
	if epochs == 0 {
		epochs = c.Epochs
	}
	longer := epochs != c.Epochs
	var damaged error
	if epochs <= c.Epochs {
		var done bool
		if done, damaged, err = slabIn(dir); err != nil {
			return nil, err
		}
		if done {
			return nil, fmt.Errorf("%w: %s has the slab of all %d epochs", ErrComplete, dir, c.Epochs)
		}
	}
	if c.Epochs = epochs; longer {
		c.Steps = 0
	}
	if err := c.findData(dir); err != nil {
		return nil, err
	}
	if err := c.findTeacher(dir); err != nil {
		return nil, err
	}
	f, err := openRun(ctx, dir, c.Source, c.Config, device)
	if errors.Is(err, errSteps) {
		return nil, fmt.Errorf("%s: %w", dir, errDataChanged)
	}
	if err != nil {
		return nil, err
	}
	if err = f.acquire(); err == nil {
		if err = f.restore(ctx); err != nil {
			err = fmt.Errorf("%s: %w", dir, err)
		}
	}
	if err == nil && longer {
		if err = os.Remove(filepath.Join(dir, SlabFile)); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
		if err == nil {
			err = writeConfig(dir, c)
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	f.Damaged = damaged
	return f, nil
}

// slabIn finds out whether a run has its slab, and what is wrong with it if it is damaged: every byte is
// under a hash. What another version of this program wrote is not damaged.
func slabIn(dir string) (done bool, damaged, err error) {
	name := filepath.Join(dir, SlabFile)
	b, err := readfile.Slab(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil, nil
	}
	if err != nil {
		return false, nil, err
	}
	_, err = format.Decode(b)
	if errors.Is(err, format.ErrCorrupt) || errors.Is(err, format.ErrNotSlab) {
		return false, fmt.Errorf("%s: %w", name, err), nil
	}
	return true, nil, nil
}

// HeldOut returns the data set of a run, complete or not, and the images of it that the
// run held out.
func HeldOut(ctx context.Context, dir string) (*dataset.Dataset, *dataset.Split, error) {
	c, err := readConfig(dir)
	if err != nil {
		return nil, nil, err
	}
	if err := c.findData(dir); err != nil {
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

// findData says where the data of a run is looked for if it is not there: config.json has its path
// as it was given, which another working directory makes another one.
func (c *runConfig) findData(dir string) error {
	path := c.Data
	if _, behind, kind := strings.Cut(path, ":"); kind && !there(path) {
		path = behind
	}
	if c.Data == dataset.Builtin || filepath.IsAbs(path) || there(path) {
		return nil
	}
	here, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	return fmt.Errorf("the data of %s, %s, is not at %s; work in the directory in which the run was begun, or put the data there", dir, c.Data, here)
}

func there(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func readConfig(dir string) (c runConfig, err error) {
	b, err := os.ReadFile(filepath.Join(dir, ConfigFile))
	if errors.Is(err, fs.ErrNotExist) {
		return c, fmt.Errorf("%s holds no run: there is no %s in it", dir, ConfigFile)
	}
	if err != nil {
		return c, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("%s: %w", filepath.Join(dir, ConfigFile), err)
	}
	if c.Data == "" {
		return c, fmt.Errorf("%s names no data; it was damaged or changed", filepath.Join(dir, ConfigFile))
	}
	return c, nil
}

func writeConfig(dir string, c runConfig) error {
	b, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(dir, ConfigFile), append(b, '\n'))
}

func openRun(ctx context.Context, dir string, source dataset.Source, c Config, device *graph.Device) (*RunDir, error) {
	d, err := source.Load(ctx)
	if err != nil {
		return nil, err
	}
	r, err := newRun(ctx, d, c, device)
	if err != nil {
		return nil, err
	}
	d.Test.Balanced = c.Balanced
	return &RunDir{source: source, Dir: dir, Config: r.config, Data: d, run: r}, nil
}

// Close frees what the run holds. It changes nothing on disk.
func (f *RunDir) Close() error {
	err := f.run.graph.Close()
	for _, file := range []*os.File{f.log, f.events} {
		if file != nil {
			err = errors.Join(err, file.Close())
		}
	}
	if f.lock != nil {
		err = errors.Join(err, f.lock.Unlock())
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
// classes of the data set, so its scores are those of the classes held out; data sets without
// test images have those of the images held out. progress and tested, if not nil, are called
// on the way.
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
	model, err := f.run.tempered(ctx)
	if err != nil {
		return nil, nil, err
	}
	if f.Config.episodic() || f.Data.Test.Len() == 0 {
		slab, err := evaluate.EncodeWithSelfTest(model)
		if err != nil {
			return nil, nil, err
		}
		return model, evaluate.Scores(model), atomicfile.Write(filepath.Join(f.Dir, SlabFile), slab)
	}
	before := time.Now()
	scores, err := evaluate.Evaluate(ctx, evaluate.Ensemble{model}, evaluate.TestImages(f.Data), tested)
	if err != nil {
		return nil, nil, diverged(err, "test")
	}
	if err := f.write(map[string]any{"event": "test", "metrics": scores}); err != nil {
		return nil, nil, err
	}
	model, slab, err := withTestScores(model, scores)
	if err != nil {
		return nil, nil, err
	}
	if err := f.writeReport(model, slab, scores, time.Since(before).Seconds()); err != nil {
		return nil, nil, err
	}
	return model, scores, atomicfile.Write(filepath.Join(f.Dir, SlabFile), slab)
}

// withTestScores returns a model and its slab with the scores on the test images behind those
// on the validation images.
func withTestScores(m *format.Model, scores []evaluate.Score) (*format.Model, []byte, error) {
	tested := *m
	tested.Metrics = append(slices.Clip(m.Metrics), evaluate.Metrics(scores)...)
	slab, err := evaluate.EncodeWithSelfTest(&tested)
	return &tested, slab, err
}
