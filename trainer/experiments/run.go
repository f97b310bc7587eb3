package experiments

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/trainer"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
	"github.com/quarterturn/quarterturn/trainer/fewshot"
	"github.com/quarterturn/quarterturn/trainer/report"
)

// The files of an experiment, in its folder beside the runs.
const (
	TableFile = "table.md"
	ChartFile = "accuracy.svg"
	CSVFile   = "results.csv"  // a line for each seed and mode
	JSONFile  = "results.json" // the same
)

// Run trains what is missing in a folder, as far as Only and FinishedOnly allow, writes the
// table, as Markdown, to out and to the folder, its numbers there as CSV and JSON, and draws
// the chart. progress, if not nil, is called on the way, with
// the name of the run.
func (e *Experiment) Run(ctx context.Context, out io.Writer, dir string, progress func(run string, e trainer.Event)) error {
	for _, s := range []dataset.Source{e.data, e.novel} {
		if strings.HasSuffix(s.Data, ":") {
			return fmt.Errorf("%s needs the folder of the data set", e.Name)
		}
	}
	if progress == nil {
		progress = func(string, trainer.Event) {}
	}
	var copied bytes.Buffer
	r := &running{Experiment: e, out: io.MultiWriter(out, &copied), dir: dir, progress: progress}
	tabulate, what := r.tabulate, "accuracy on test images, %"
	if e.novel.Data != "" {
		tabulate, what = r.tabulateFewShot, "accuracy in episodes of new classes, %"
	}
	if e.photos {
		tabulate = r.tabulateTransfer
	}
	if e.validation {
		what = "accuracy on held-out images, %"
	}
	if err := tabulate(ctx); err != nil {
		return err
	}
	if r.Only != nil && !slices.ContainsFunc(r.names, r.Only.MatchString) {
		return fmt.Errorf("no run of %s is called %s; the first of %d is %q, the last %q", e.Name, r.Only, len(r.names), r.names[0], r.names[len(r.names)-1])
	}
	if len(r.points) == 0 {
		return fmt.Errorf("%s holds no complete run of %s", dir, e.Name)
	}
	if len(r.begun) > 0 {
		fmt.Fprintf(r.out, "\nBegun and not complete: %s.\n", strings.Join(r.begun, "; "))
	}
	if err := writeRecords(dir, r.records); err != nil {
		return err
	}
	svg, err := report.Chart(e.Name, what, r.points)
	if err == nil {
		err = atomicfile.Write(filepath.Join(dir, ChartFile), svg)
	}
	if err == nil {
		err = atomicfile.Write(filepath.Join(dir, TableFile), copied.Bytes())
	}
	return err
}

// running is an experiment under way.
type running struct {
	*Experiment
	out      io.Writer
	dir      string
	progress func(run string, e trainer.Event)
	points   []report.ChartPoint // of the chart
	records  []record
	names    []string // of all runs
	begun    []string // runs that are not complete, and not trained now
}

// A finishedRun is a run of a way that is complete.
type finishedRun struct {
	seed   int
	config trainer.Config // in which nothing is open that a plan settles
	model  *format.Model
	scores []evaluate.Score
}

// train trains what is missing of a way and returns its runs, one a seed, and their
// settings. Runs that are not complete and not to be trained now are left out.
func (r *running) train(ctx context.Context, w way) (runs []finishedRun, c trainer.Config, err error) {
	c = trainer.DefaultConfig()
	w.change(&c)
	for c.Seed = 1; c.Seed <= w.seeds; c.Seed++ {
		run := fmt.Sprintf("%s, seed %d", w.name, c.Seed)
		dir := filepath.Join(r.dir, run)
		if teacher, ok := r.teachers[w.name]; ok {
			c.Teacher = filepath.Join(r.dir, fmt.Sprintf("%s, seed %d", teacher, c.Seed), trainer.SlabFile)
		}
		if r.leaves(run) {
			continue
		}
		model, s, settled, err := train(ctx, dir, r.data, c, func(e trainer.Event) { r.progress(run, e) })
		if err == nil && r.exits && evaluate.CanExit(model) {
			model, s, err = calibrated(ctx, dir, model)
		}
		if err != nil {
			return nil, c, fmt.Errorf("%s: %w", run, err)
		}
		if r.validation {
			s = slices.DeleteFunc(evaluate.Scores(model), func(s evaluate.Score) bool { return s.Split != evaluate.Validation })
		}
		runs = append(runs, finishedRun{c.Seed, settled, model, s})
	}
	return runs, c, nil
}

// leaves tells whether a run is not complete and not to be trained now, and if it was begun
// says so under the table.
func (r *running) leaves(run string) bool {
	r.names = append(r.names, run)
	dir := filepath.Join(r.dir, run)
	if _, err := os.Stat(filepath.Join(dir, trainer.SlabFile)); err == nil || !r.FinishedOnly && (r.Only == nil || r.Only.MatchString(run)) {
		return false
	}
	if _, err := os.Stat(filepath.Join(dir, trainer.ConfigFile)); err == nil {
		r.begun = append(r.begun, run)
	}
	return true
}

// calibrated equips the model of a run with exits, fitted to lose 0.1 points at the most on the
// images that the run held out, and its scores on the test images.
func calibrated(ctx context.Context, run string, m *format.Model) (*format.Model, []evaluate.Score, error) {
	d, held, err := trainer.HeldOut(ctx, run)
	if err != nil {
		return nil, nil, err
	}
	if m, _, err = evaluate.Calibrate(ctx, m, evaluate.HeldOutImages(d, held), 0.001); err != nil {
		return nil, nil, err
	}
	scores, err := evaluate.Evaluate(ctx, evaluate.Ensemble{m}, evaluate.TestImages(d), nil)
	return m, scores, err
}

// train returns the model of a run, its scores on the test images and its settings,
// training what is missing.
func train(ctx context.Context, dir string, data dataset.Source, c trainer.Config, progress func(trainer.Event)) (*format.Model, []evaluate.Score, trainer.Config, error) {
	slab, err := os.ReadFile(filepath.Join(dir, trainer.SlabFile))
	if err == nil {
		return finished(dir, slab, c)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, c, err
	}
	var f *trainer.RunDir
	if _, err := os.Stat(filepath.Join(dir, trainer.ConfigFile)); err == nil {
		f, err = trainer.Resume(ctx, dir, 0, nil)
		if err != nil {
			return nil, nil, c, err
		}
	} else if f, err = trainer.Start(ctx, dir, data, c, nil); err != nil {
		return nil, nil, c, err
	}
	defer f.Close()
	model, scores, err := f.Run(ctx, progress, nil)
	return model, scores, f.Config, err
}

// finished reads a run that is complete.
func finished(dir string, slab []byte, c trainer.Config) (*format.Model, []evaluate.Score, trainer.Config, error) {
	b, err := os.ReadFile(filepath.Join(dir, trainer.ConfigFile))
	if err != nil {
		return nil, nil, c, err
	}
	var was trainer.Config
	if err := json.Unmarshal(b, &was); err != nil {
		return nil, nil, c, err
	}
	if c.Teacher != "" { // the same slab, wherever its folder is seen from
		teacher, err := os.ReadFile(c.Teacher)
		if err != nil {
			return nil, nil, c, err
		}
		was.Teacher, c.TeacherSHA256 = c.Teacher, fmt.Sprintf("%x", sha256.Sum256(teacher))
	}
	if was.Reopened(c) != c {
		return nil, nil, c, errors.New("the run that is there has other settings")
	}
	model, err := format.Decode(slab)
	if err != nil {
		return nil, nil, c, err
	}
	if c.Episode != (fewshot.Episode{}) {
		return model, nil, was, nil // these have no test images
	}
	scores, err := testScores(dir)
	return model, scores, was, err
}
