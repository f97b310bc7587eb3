package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/trainer"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
)

func calibrateCommand() *cobra.Command {
	var slabs slabArgs
	var run, out, split string
	var source dataset.Source
	var maxDrop float64
	var asJSON bool
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
			if (run == "") == (source.Data == "") {
				return usagef("give --run, or a slab and --data")
			}
			model := filepath.Join(run, trainer.SlabFile)
			if run == "" || len(slabs.names)+len(args) > 0 {
				var err error
				if model, err = slabs.only(args); err != nil {
					return err
				}
			}
			if err := atomicfile.Ready(out); err != nil {
				return err
			}
			name := evaluate.Validation
			var d *dataset.Dataset
			var images *dataset.Split
			var err error
			if run != "" {
				if d, images, err = trainer.HeldOut(cmd.Context(), run); err != nil {
					return err
				}
			}
			_, m, err := readSlab(model)
			if err != nil {
				return err
			}
			adaptive := m.HasHead(format.HeadJoint) && m.HasHead(format.HeadDistilled) && m.Views() > 1
			if !adaptive && cmd.Flags().Changed("max-accuracy-drop") {
				return usagef("--max-accuracy-drop is for the mode adaptive, which needs a joint and a distilled head, and two views or more")
			}
			if run == "" {
				name = split
				if d, images, err = loadSplit(cmd.Context(), source, split, m); err != nil {
					return err
				}
			}
			on := evaluate.Images{Data: d, Split: images, Name: name}
			m, results, err := evaluate.Temper(cmd.Context(), m, on)
			if err == nil && adaptive {
				m, results, err = evaluate.Calibrate(cmd.Context(), m, on, maxDrop/100)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", model, err)
			}
			slab, err := evaluate.EncodeWithSelfTest(m)
			if err != nil {
				return fmt.Errorf("%s: %w", model, err)
			}
			if err := atomicfile.Write(out, slab); err != nil {
				return err
			}
			note("wrote %s; on the %d images it was calibrated with:", out, images.Len())
			if asJSON {
				return printJSON(evalResult(results))
			}
			return printText(modeTable(results, asItIs))
		},
	}
	f := cmd.Flags()
	f.StringVar(&run, "run", "", "the folder of a training run")
	slabs.add(f, "the `slab`; by default that of the run")
	f.StringVar(&source.Data, "data", "", "data set: "+dataset.DataHelp)
	splitFlag(f, &split)
	f.StringVar(&out, "out", "", "the slab to write")
	f.Float64Var(&maxDrop, "max-accuracy-drop", 0.1, "percentage points of accuracy that adaptive may lose against aggregated")
	atLeast(f, 0, "max-accuracy-drop")
	oldNames(f, map[string]string{"loss": "max-accuracy-drop"})
	f.BoolVar(&asJSON, "json", false, "print the scores as JSON")
	return required(cmd, "out")
}
