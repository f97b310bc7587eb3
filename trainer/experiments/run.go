package experiments

import (
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
	"github.com/quarterturn/quarterturn/trainer"
)

// Run trains what is missing in a folder and writes the table, as Markdown.
// report, if not nil, is called on the way, with the name of the run.
func (e *Experiment) Run(ctx context.Context, out io.Writer, dir string, report func(run string, e trainer.Event)) error {
	if strings.HasSuffix(e.data.Data, ":") {
		return fmt.Errorf("%s needs the folder of the data set", e.Name)
	}
	if report == nil {
		report = func(string, trainer.Event) {}
	}
	if e.novel.Data != "" {
		return e.runFewShot(ctx, out, dir, report)
	}
	head, rule := "| training | epochs | seeds | mode | passes | accuracy, % | spread | NLL |", "| --- | --- | --- | --- | --- | --- | --- | --- |"
	if e.tail {
		head, rule = head+" many / medium / few |", rule+" --- |"
	}
	fmt.Fprintln(out, head+"\n"+rule)
	for _, w := range e.ways {
		models, metrics, c, err := e.train(ctx, w, dir, report)
		if err != nil {
			return err
		}
		scores := map[string][]trainer.Score{} // by mode, one a seed
		for _, ofSeed := range metrics {
			for _, m := range ofSeed {
				scores[m.Mode] = append(scores[m.Mode], m)
			}
		}
		begin := fmt.Sprintf("| %s | %d | %d ", w.name, c.Epochs, w.seeds)
		for _, mode := range models[0].Modes() {
			row(out, begin, mode, models[0].Passes(mode), scores[mode], e.tail)
			begin = "| | | "
		}
		if len(models) > 1 {
			if err := e.ensemble(ctx, out, w, models); err != nil {
				return err
			}
		}
	}
	return nil
}

// train trains what is missing of a way; models and scores come a seed, and c are its settings.
func (e *Experiment) train(ctx context.Context, w way, dir string, report func(run string, e trainer.Event)) (models trainer.Ensemble, scores [][]trainer.Score, c trainer.Config, err error) {
	c = trainer.DefaultConfig()
	w.change(&c)
	for c.Seed = 1; c.Seed <= w.seeds; c.Seed++ {
		run := fmt.Sprintf("%s, seed %d", w.name, c.Seed)
		model, s, err := train(ctx, filepath.Join(dir, run), e.data, c, func(e trainer.Event) { report(run, e) })
		if err != nil {
			return nil, nil, c, fmt.Errorf("%s: %w", run, err)
		}
		models, scores = append(models, model), append(scores, s)
	}
	return models, scores, c, nil
}

// row writes what one mode scored.
func row(out io.Writer, begin, mode string, passes int, scores []trainer.Score, tail bool) {
	var accuracy, nll, many, medium, few []float64
	for _, m := range scores {
		accuracy, nll = append(accuracy, 100*m.Accuracy), append(nll, m.NLL)
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
	fmt.Fprintf(out, "%s| %s | %d | %.2f | %s | %.3f |", begin, mode, passes, mean, width, stat.Mean(nll, nil))
	if tail {
		fmt.Fprintf(out, " %.1f / %.1f / %.1f |", stat.Mean(many, nil), stat.Mean(medium, nil), stat.Mean(few, nil))
	}
	fmt.Fprintln(out)
}

// ensemble writes what the nets of all seeds score together (the paper's IE).
func (e *Experiment) ensemble(ctx context.Context, out io.Writer, w way, models trainer.Ensemble) error {
	d, err := e.data.Load()
	if err != nil {
		return err
	}
	metrics, err := trainer.Evaluate(ctx, models, d, &d.Test, "test", 0, nil)
	if err != nil {
		return err
	}
	begin := fmt.Sprintf("| %d nets of %s together | | ", len(models), w.name)
	for _, m := range metrics {
		row(out, begin, m.Mode, models.Passes(m.Mode), []trainer.Score{m}, e.tail)
		begin = "| | | "
	}
	return nil
}

// train gives the model of a run and its scores on the test images, training
// what is missing.
func train(ctx context.Context, dir string, data trainer.Source, c trainer.Config, report func(trainer.Event)) (*format.Model, []trainer.Score, error) {
	slab, err := os.ReadFile(filepath.Join(dir, trainer.SlabFile))
	if err == nil {
		return finished(dir, slab, c)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	var f *trainer.Folder
	if _, err := os.Stat(filepath.Join(dir, trainer.ConfigFile)); err == nil {
		f, err = trainer.Resume(dir)
		if err != nil {
			return nil, nil, err
		}
	} else if f, err = trainer.Start(dir, data, c); err != nil {
		return nil, nil, err
	}
	defer f.Close()
	return f.Run(ctx, report, nil)
}

// finished reads a run that is complete.
func finished(dir string, slab []byte, c trainer.Config) (*format.Model, []trainer.Score, error) {
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
	if c.Episode != (trainer.Episode{}) {
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
			Metrics []trainer.Score
		}
		if err := lines.Decode(&event); err != nil {
			return nil, nil, fmt.Errorf("%s: no test: %w", trainer.LogFile, err)
		}
		if event.Event == "test" {
			return model, event.Metrics, nil
		}
	}
}
