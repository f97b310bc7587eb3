package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer"
)

func trainCommand() *cobra.Command {
	c := trainer.DefaultConfig()
	var data, out string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "train --data D --out RUN",
		Short: "Train a net and write RUN/model.slab",
		Long:  "Train a net. RUN is a new folder for model.slab, config.json and metrics.jsonl.\n\nData sets: " + trainer.DataHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return train(cmd.Context(), data, out, c, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&data, "data", "", "data set: "+trainer.DataHelp)
	f.StringVar(&out, "out", "", "folder of the run")
	f.StringVar(&c.Method, "method", c.Method, "baseline, da, mt, sla or sla+sd")
	f.StringVar(&c.Transform, "transform", c.Transform, "transformations: rotation, rotation2, color, color3, or a product such as rotation2xcolor3")
	f.StringVar(&c.Net, "net", c.Net, "resnet8, resnet14, resnet20, resnet32 ..., or with a width as in resnet8w32")
	f.IntVar(&c.Epochs, "epochs", c.Epochs, "passes over the training images")
	f.IntVar(&c.Batch, "batch", c.Batch, "images a step")
	f.Float64Var(&c.Rate, "lr", c.Rate, "peak learning rate of the one-cycle schedule")
	f.Float64Var(&c.Decay, "weight-decay", c.Decay, "weight decay")
	f.IntVar(&c.Seed, "seed", c.Seed, "seed of everything random")
	f.IntVar(&c.TrainPerClass, "train-per-class", 0, "use so many training images of each class; 0: all")
	f.BoolVar(&asJSON, "json", false, "print the test metrics as JSON")
	return required(cmd, "data", "out")
}

func train(ctx context.Context, data, out string, c trainer.Config, asJSON bool) error {
	if _, err := os.Stat(filepath.Join(out, "config.json")); err == nil {
		return fmt.Errorf("%s holds a run already; give --out another folder", out)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	d, err := trainer.Load(data)
	if err != nil {
		return err
	}
	config, err := json.MarshalIndent(struct {
		Data string `json:"data"`
		trainer.Config
	}{data, c}, "", "  ")
	if err != nil {
		return err
	}
	log := &eventLog{dir: out}
	defer log.close()
	model, slab, err := trainShown(ctx, d, c, log)
	if err != nil {
		return err
	}
	metrics, err := evaluateShown(ctx, model, d, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(
		writeFile(filepath.Join(out, "model.slab"), slab),
		writeFile(filepath.Join(out, "config.json"), append(config, '\n')),
		log.write(map[string]any{"event": "test", "metrics": metrics}),
	); err != nil {
		return err
	}
	note("wrote %s (%d KB); it recommends %s", filepath.Join(out, "model.slab"), len(slab)/1024, model.Recommended)
	if asJSON {
		return printJSON(evalResult(metrics, model))
	}
	modeTable(metrics, model.Passes, func(mode string) string { return mode })
	return nil
}

// An eventLog is a run's metrics.jsonl. The run's folder is made with the first
// event, so that a run that cannot begin leaves nothing behind.
type eventLog struct {
	dir  string
	file *os.File
}

func (l *eventLog) write(event any) error {
	if l.file == nil {
		if err := os.MkdirAll(l.dir, 0o755); err != nil {
			return err
		}
		f, err := os.Create(filepath.Join(l.dir, "metrics.jsonl"))
		if err != nil {
			return err
		}
		l.file = f
	}
	return json.NewEncoder(l.file).Encode(event)
}

func (l *eventLog) close() {
	if l.file != nil {
		l.file.Close()
	}
}

// trainShown trains with a progress bar and a line an epoch; log, if not nil,
// gets the epochs as JSON lines.
func trainShown(ctx context.Context, d *trainer.Dataset, c trainer.Config, log *eventLog) (*format.Model, []byte, error) {
	note("training %s on %s with %s: %d epochs of %d images a batch, seed %d", c.Net, d.Name, c.Method, c.Epochs, c.Batch, c.Seed)
	var bar progress
	var logged error
	model, slab, err := trainer.Train(ctx, d, c, func(e trainer.Event) {
		if e.Step == 1 && e.Validation == nil {
			bar = newProgress(e.Steps, "")
		}
		bar.set(e.Step, fmt.Sprintf("epoch %d/%d, loss %.3f", e.Epoch, e.Epochs, e.Loss))
		if e.Validation == nil {
			return
		}
		bar.clear()
		line := fmt.Sprintf("  epoch %2d/%d  %5.0f s  loss %.3f  validation accuracy:", e.Epoch, e.Epochs, e.Seconds, e.Loss)
		for _, x := range e.Validation {
			line += fmt.Sprintf(" %s %.1f%%", x.Mode, 100*x.Accuracy)
		}
		note("%s", line)
		if log != nil && logged == nil {
			logged = log.write(map[string]any{
				"event": "epoch", "epoch": e.Epoch, "step": e.Step, "loss": e.Loss, "lr": e.Rate, "seconds": e.Seconds, "metrics": e.Validation,
			})
		}
	})
	bar.clear()
	return model, slab, errors.Join(err, logged)
}

// evaluateShown evaluates on the test images with a progress bar.
func evaluateShown(ctx context.Context, m *format.Model, d *trainer.Dataset, limit int) ([]format.Metric, error) {
	bar := newProgress(d.Test.Len(), "testing")
	defer bar.clear()
	return trainer.Evaluate(ctx, m, d, &d.Test, "test", limit, func(done, _ int) { bar.set(done, "testing") })
}
