package trainer

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
	"github.com/quarterturn/quarterturn/trainer/report"
)

// writeReport writes the drawings and the page that tell of a run that is done.
func (f *RunDir) writeReport(m *format.Model, encoded []byte, scores []evaluate.Score, testSeconds float64) error {
	for i := range scores {
		if scores[i].Mode != m.Recommended || len(m.Labels) > report.MaxConfusion {
			continue
		}
		svg, err := report.Confusion(&scores[i], f.Data.Test.Labels, m.Labels)
		if err == nil {
			err = atomicfile.Write(filepath.Join(f.Dir, ConfusionFile), svg)
		}
		if err != nil {
			return err
		}
	}
	c, slab := &f.Config, filepath.Join(f.Dir, SlabFile)
	seconds := f.run.elapsed() - testSeconds
	start := "nothing"
	if c.From != "" {
		start = fmt.Sprintf("%s (%.12s)", c.From, c.FromSHA256)
	}
	page := report.Page{Model: m, Data: f.Data, Trained: f.Counts(), Scores: scores, Epochs: f.epochs, Verdict: f.Verdict(m, scores).Text,
		Settings: [][2]string{
			{"net", fmt.Sprintf("%s, started from %s", c.Net, start)},
			{"method", c.Method},
			{"length", fmt.Sprintf("%d epochs of %d images a batch, %d steps; the slab is of epoch %d", c.Epochs, c.BatchSize, f.Steps(), m.Provenance.Epochs)},
			{"learning rate", fmt.Sprintf("%g, %s", c.LR, c.Schedule)},
			{"augmentation", c.Augment},
			{"seed", fmt.Sprint(c.Seed)},
			{"slab", fmt.Sprintf("%s, %d KB", slab, (len(encoded)+1023)/1024)},
		},
		Timings: [][2]string{
			{"training", fmt.Sprintf("%.0f s, %.0f images a second", seconds, float64(f.run.done*c.BatchSize)/max(seconds, 1e-3))},
			{"test", fmt.Sprintf("%.1f s for %d images in every mode", testSeconds, f.Data.Test.Len())},
			{"finished", time.Now().Format("2 January 2006, 15:04")},
		},
		Commands: append(append([]string(nil), f.Commands...),
			"quarterturn predict "+slab+" PHOTO.jpg",
			"quarterturn eval "+slab+" --data "+f.source.Data,
			"quarterturn serve "+slab),
	}
	html, err := page.HTML()
	if err != nil {
		return err
	}
	return atomicfile.Write(filepath.Join(f.Dir, ReportFile), html)
}
