package experiments

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gonum.org/v1/gonum/stat"

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
)

// Run trains what is missing in a folder, writes the table, as Markdown, to out and to
// the folder, and draws the chart there. progress, if not nil, is called on the way, with
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
	if err := tabulate(ctx); err != nil {
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
}

// tabulate makes the table of accuracies on the test images.
func (r *running) tabulate(ctx context.Context) error {
	head, rule := "| training | epochs | seeds | mode | passes | accuracy, % | spread | NLL | ECE |", "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
	if r.tail {
		head, rule = head+" many / medium / few |", rule+" --- |"
	}
	fmt.Fprintln(r.out, head+"\n"+rule)
	for _, w := range r.ways {
		models, metrics, c, err := r.train(ctx, w)
		if err != nil {
			return err
		}
		var modes []string
		scores := map[string][]evaluate.Score{} // by mode, one a seed
		for _, ofSeed := range metrics {
			for _, m := range ofSeed {
				if scores[m.Mode] == nil {
					modes = append(modes, m.Mode)
				}
				scores[m.Mode] = append(scores[m.Mode], m)
			}
		}
		begin := fmt.Sprintf("| %s | %d | %d ", w.name, c.Epochs, w.seeds)
		for _, mode := range modes {
			r.row(begin, w.name, mode, scores[mode])
			begin = "| | | "
		}
		if len(models) > 1 {
			if err := r.ensemble(ctx, w, models); err != nil {
				return err
			}
		}
	}
	return nil
}

// train trains what is missing of a way; models and scores come a seed, and c are its settings.
func (r *running) train(ctx context.Context, w way) (models evaluate.Ensemble, scores [][]evaluate.Score, c trainer.Config, err error) {
	c = trainer.DefaultConfig()
	w.change(&c)
	for c.Seed = 1; c.Seed <= w.seeds; c.Seed++ {
		run := fmt.Sprintf("%s, seed %d", w.name, c.Seed)
		dir := filepath.Join(r.dir, run)
		model, s, err := train(ctx, dir, r.data, c, func(e trainer.Event) { r.progress(run, e) })
		if err == nil && r.exits && model.HasHead(format.HeadJoint) && model.HasHead(format.HeadDistilled) {
			model, s, err = calibrated(ctx, dir, model)
		}
		if err != nil {
			return nil, nil, c, fmt.Errorf("%s: %w", run, err)
		}
		models, scores = append(models, model), append(scores, s)
	}
	return models, scores, c, nil
}

// calibrated gives the model of a run exits, fitted to lose 0.1 points at the most on the
// images that the run held out, and its scores on the test images.
func calibrated(ctx context.Context, run string, m *format.Model) (*format.Model, []evaluate.Score, error) {
	d, held, err := trainer.HeldOut(ctx, run)
	if err != nil {
		return nil, nil, err
	}
	if m, _, err = evaluate.Calibrate(ctx, m, d, held, "validation", 0.001); err != nil {
		return nil, nil, err
	}
	scores, err := evaluate.Evaluate(ctx, evaluate.Ensemble{m}, d, &d.Test, "test", 0, nil)
	return m, scores, err
}

// row writes what one mode scored, and notes it for the chart.
func (r *running) row(begin, name, mode string, scores []evaluate.Score) {
	var accuracy, nll, ece, passes, many, medium, few []float64
	for _, m := range scores {
		accuracy, nll, ece, passes = append(accuracy, 100*m.Accuracy), append(nll, m.NLL), append(ece, m.ECE), append(passes, m.Passes)
		// A long tail has the classes in the order of their numbers of images.
		counts := make([]int, len(m.Classes))
		for y := range counts {
			counts[y] = -y
		}
		a, b, c := m.Accuracies(counts)
		many, medium, few = append(many, 100*a), append(medium, 100*b), append(few, 100*c)
	}
	mean, spread := stat.MeanStdDev(accuracy, nil)
	width := ""
	if len(scores) > 1 {
		width = fmt.Sprintf("%.2f", spread)
	}
	fmt.Fprintf(r.out, "%s| %s | %.3g | %.2f | %s | %.3f | %.3f |", begin, mode, stat.Mean(passes, nil), mean, width, stat.Mean(nll, nil), stat.Mean(ece, nil))
	if r.tail {
		fmt.Fprintf(r.out, " %.1f / %.1f / %.1f |", stat.Mean(many, nil), stat.Mean(medium, nil), stat.Mean(few, nil))
	}
	fmt.Fprintln(r.out)
	r.points = append(r.points, report.ChartPoint{Row: name, Series: mode, Values: accuracy})
}

// ensemble writes what the nets of all seeds score together (the paper's IE).
func (r *running) ensemble(ctx context.Context, w way, models evaluate.Ensemble) error {
	d, err := r.data.Load(ctx)
	if err != nil {
		return err
	}
	metrics, err := evaluate.Evaluate(ctx, models, d, &d.Test, "test", 0, nil)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%d nets of %s together", len(models), w.name)
	begin := fmt.Sprintf("| %s | | ", name)
	for _, m := range metrics {
		r.row(begin, name, m.Mode, []evaluate.Score{m})
		begin = "| | | "
	}
	return nil
}

// train gives the model of a run and its scores on the test images, training
// what is missing.
func train(ctx context.Context, dir string, data dataset.Source, c trainer.Config, progress func(trainer.Event)) (*format.Model, []evaluate.Score, error) {
	slab, err := os.ReadFile(filepath.Join(dir, trainer.SlabFile))
	if err == nil {
		return finished(dir, slab, c)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	var f *trainer.RunDir
	if _, err := os.Stat(filepath.Join(dir, trainer.ConfigFile)); err == nil {
		f, err = trainer.Resume(ctx, dir, nil)
		if err != nil {
			return nil, nil, err
		}
	} else if f, err = trainer.Start(ctx, dir, data, c, nil); err != nil {
		return nil, nil, err
	}
	defer f.Close()
	return f.Run(ctx, progress, nil)
}

// finished reads a run that is complete.
func finished(dir string, slab []byte, c trainer.Config) (*format.Model, []evaluate.Score, error) {
	b, err := os.ReadFile(filepath.Join(dir, trainer.ConfigFile))
	if err != nil {
		return nil, nil, err
	}
	var was trainer.Config
	if err := json.Unmarshal(b, &was); err != nil {
		return nil, nil, err
	}
	if was != c {
		return nil, nil, errors.New("the run that is there has other settings")
	}
	model, err := format.Decode(slab)
	if err != nil {
		return nil, nil, err
	}
	if c.Episode != (fewshot.Episode{}) {
		return model, nil, nil // these have no test images
	}
	log, err := os.Open(filepath.Join(dir, trainer.LogFile))
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	for lines := json.NewDecoder(log); ; {
		var event struct {
			Event   string
			Metrics []evaluate.Score
		}
		if err := lines.Decode(&event); err != nil {
			return nil, nil, fmt.Errorf("%s: no test: %w", trainer.LogFile, err)
		}
		if event.Event == "test" {
			return model, event.Metrics, nil
		}
	}
}
