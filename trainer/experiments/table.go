package experiments

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strconv"

	"gonum.org/v1/gonum/stat"

	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
	"github.com/quarterturn/quarterturn/trainer/report"
)

// A record is one number of an experiment's table, of one seed, for programs.
type record struct {
	Training string  `json:"training"`
	Seed     int     `json:"seed,omitempty"`  // 0: the nets of all seeds together
	Mode     string  `json:"mode,omitempty"`  // of inference
	Views    int     `json:"views,omitempty"` // of few-shot episodes
	Episode  string  `json:"episode,omitempty"`
	Passes   float64 `json:"passes,omitempty"`
	Rows     float64 `json:"rows_millions,omitempty"` // through the net in training
	Accuracy float64 `json:"accuracy"`                // 0 to 1
	NLL      float64 `json:"nll,omitempty"`
	ECE      float64 `json:"ece,omitempty"`
}

// writeRecords writes the records as CSV and as JSON.
func writeRecords(dir string, records []record) error {
	var table bytes.Buffer
	w := csv.NewWriter(&table)
	w.Write([]string{"training", "seed", "mode", "views", "episode", "passes", "rows_millions", "accuracy", "nll", "ece"})
	number := func(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
	for _, r := range records {
		w.Write([]string{r.Training, strconv.Itoa(r.Seed), r.Mode, strconv.Itoa(r.Views), r.Episode, number(r.Passes), number(r.Rows), number(r.Accuracy), number(r.NLL), number(r.ECE)})
	}
	w.Flush()
	text, err := json.MarshalIndent(records, "", "  ")
	if err == nil {
		err = atomicfile.Write(filepath.Join(dir, JSONFile), append(text, '\n'))
	}
	if err == nil {
		err = atomicfile.Write(filepath.Join(dir, CSVFile), table.Bytes())
	}
	return err
}

// tabulate makes the table of accuracies on the test images.
func (r *running) tabulate(ctx context.Context) error {
	head, rule := "| training | epochs | rows, M | seeds | mode | passes | accuracy, % | spread | NLL | ECE |", "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
	if r.tail {
		head, rule = head+" many / medium / few |", rule+" --- |"
	}
	fmt.Fprintln(r.out, head+"\n"+rule)
	for _, w := range r.ways {
		runs, asked, err := r.train(ctx, w)
		if err != nil {
			return err
		}
		if len(runs) == 0 {
			continue
		}
		c, label := runs[0].config, w.name
		if asked.Net == "" {
			label += ": " + c.Net
		}
		var models evaluate.Ensemble
		var modes []string
		scores := map[string][]evaluate.Score{} // by mode, one a seed
		for _, done := range runs {
			models = append(models, done.model)
			for _, m := range done.scores {
				if scores[m.Mode] == nil {
					modes = append(modes, m.Mode)
				}
				scores[m.Mode] = append(scores[m.Mode], m)
				r.records = append(r.records, record{Training: w.name, Seed: done.seed, Mode: m.Mode, Passes: m.Passes, Rows: done.rows(),
					Accuracy: m.Accuracy, NLL: m.NLL, ECE: m.ECE})
			}
		}
		begin := fmt.Sprintf("| %s | %d | %.3g | %d ", label, c.Epochs, runs[0].rows(), len(runs))
		for _, mode := range modes {
			r.row(begin, w.name, mode, scores[mode])
			begin = "| | | | "
		}
		if len(models) > 1 && !r.validation {
			if err := r.ensemble(ctx, w, models); err != nil {
				return err
			}
		}
	}
	return nil
}

// rows is how many rows, images in each of their views, the net was trained on, in
// millions: what training costs. A teacher's passes are not in it.
func (f *finishedRun) rows() float64 {
	c, views := &f.config, 1
	if c.Method != "baseline" {
		views = f.model.Views()
	}
	steps := c.Steps
	if steps == 0 {
		steps = c.Epochs * (f.model.Provenance.Images / c.BatchSize)
	}
	return float64(steps) * float64(c.BatchSize) * float64(views) / 1e6
}

// row writes what one mode scored, and notes it for the chart.
func (r *running) row(begin, name, mode string, scores []evaluate.Score) {
	var accuracy, nll, ece, passes, many, medium, few []float64
	for _, m := range scores {
		accuracy, nll, ece, passes = append(accuracy, 100*m.Accuracy), append(nll, m.NLL), append(ece, m.ECE), append(passes, m.Passes)
		if !r.tail {
			continue
		}
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
	metrics, err := evaluate.Evaluate(ctx, models, evaluate.TestImages(d), nil)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%d nets of %s together", len(models), w.name)
	begin := fmt.Sprintf("| %s | | | ", name)
	for _, m := range metrics {
		r.row(begin, name, m.Mode, []evaluate.Score{m})
		r.records = append(r.records, record{Training: name, Mode: m.Mode, Passes: m.Passes, Accuracy: m.Accuracy, NLL: m.NLL, ECE: m.ECE})
		begin = "| | | | "
	}
	return nil
}
