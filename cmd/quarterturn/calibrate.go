package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/trainer"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
)

// A calibrateCommandLine is what the flags of calibrate say.
type calibrateCommandLine struct {
	slabs           slabArgs
	run, out, split string
	source          dataset.Source
	maxDrop         float64 // percentage points
	dropGiven       bool
	asJSON          bool
}

func calibrateCommand() *cobra.Command {
	l := &calibrateCommandLine{}
	cmd := &cobra.Command{
		Use:   "calibrate (--run DIR | SLAB --data D) --out SLAB",
		Short: "Fit a slab's probabilities to images, and add the mode adaptive",
		Long: "Fit a slab's probabilities to images, so that of the answers it is 80 % sure of some 80 % are right: a temperature\n" +
			"for each mode. Training has done that on the images it held out; slabs from before, and imported ones, lack it.\n\n" +
			"A slab with a joint and a distilled head also gets the mode adaptive: one pass with the distilled head and, for\n" +
			"images it is unsure about, further views, one at a time. How sure is sure enough is fitted on the same images.\n\n" +
			"With --run they are those that a training run held out, with --data those of a data set that the net should not\n" +
			"have been trained on.",
		Example: "  quarterturn calibrate --run run --out adaptive.slab\n" +
			"  quarterturn calibrate model.slab --data folder:photos --max-accuracy-drop 0.5 --out adaptive.slab",
		RunE: func(cmd *cobra.Command, args []string) error {
			l.dropGiven = cmd.Flags().Changed("max-accuracy-drop")
			if (l.run == "") == (l.source.Data == "") {
				return usagef("give --run, or a slab and --data")
			}
			model := filepath.Join(l.run, trainer.SlabFile)
			if l.run == "" || len(l.slabs.names)+len(args) > 0 {
				var err error
				if model, err = l.slabs.only(args); err != nil {
					return err
				}
			}
			if err := atomicfile.Ready(l.out); err != nil {
				return err
			}
			return l.calibrate(cmd.Context(), model)
		},
	}
	f := cmd.Flags()
	f.StringVar(&l.run, "run", "", "the folder of a training run")
	l.slabs.add(f, "the `slab`; by default that of the run")
	f.StringVar(&l.source.Data, "data", "", "data set: "+dataset.DataHelp)
	splitFlag(f, &l.split)
	f.StringVar(&l.out, "out", "", "the slab to write")
	f.Float64Var(&l.maxDrop, "max-accuracy-drop", 0.1, "percentage points of accuracy that adaptive may lose against aggregated")
	atLeast(f, 0, "max-accuracy-drop")
	oldNames(f, map[string]string{"loss": "max-accuracy-drop"})
	f.BoolVar(&l.asJSON, "json", false, "print the scores as JSON")
	return required(cmd, "out")
}

// calibrate writes the slab in a file anew, fitted to the images.
func (l *calibrateCommandLine) calibrate(ctx context.Context, model string) error {
	on, m, err := l.read(ctx, model)
	if err != nil {
		return err
	}
	if _, err := on.Data.Order(m.Labels); err != nil { // before anything is said about these images
		return fmt.Errorf("%s: %w", model, err)
	}
	adaptive := evaluate.CanExit(m)
	if n := on.Split.Len(); adaptive && n > 0 && n < evaluate.LeastForExits {
		text := fmt.Sprintf("the mode adaptive is fitted to %d images or more; here are %d", evaluate.LeastForExits, n)
		if l.dropGiven {
			return errors.New(text)
		}
		note("%s: the slab does not get it", text)
		adaptive = false
	}
	m, results, err := evaluate.Temper(ctx, m, on)
	if err == nil && adaptive {
		m, results, err = evaluate.Calibrate(ctx, m, on, l.maxDrop/100)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", model, err)
	}
	slab, err := evaluate.EncodeWithSelfTest(m)
	if err != nil {
		return fmt.Errorf("%s: %w", model, err)
	}
	if err := atomicfile.Write(l.out, slab); err != nil {
		return err
	}
	note("wrote %s; on the %d images it was calibrated with:", l.out, on.Split.Len())
	if l.asJSON {
		return printJSON(evalResult(results))
	}
	return printText(modeTable(results, asItIs))
}

// read returns the images to calibrate with, those that a run held out or those of the data, and the slab.
func (l *calibrateCommandLine) read(ctx context.Context, model string) (on evaluate.Images, m *format.Model, err error) {
	on.Name = evaluate.Validation
	if l.run != "" {
		if on.Data, on.Split, err = trainer.HeldOut(ctx, l.run); err != nil {
			return on, nil, err
		}
	}
	if _, m, err = readSlab(model); err != nil {
		return on, nil, err
	}
	if l.dropGiven && !evaluate.CanExit(m) {
		return on, nil, usagef("--max-accuracy-drop is for the mode adaptive, which needs a joint and a distilled head, and two views or more")
	}
	if l.run == "" {
		on.Name = l.split
		on.Data, on.Split, err = loadSplit(ctx, l.source, l.split, m)
	}
	return on, m, err
}
