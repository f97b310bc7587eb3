package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/trainer"
)

func calibrateCommand() *cobra.Command {
	var run, model, out, split string
	var source trainer.Source
	var loss float64
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "calibrate --run DIR | --model F --data D --out F",
		Short: "Give a slab the mode adaptive",
		Long: "Give a slab the mode adaptive: one pass by the distilled head, and for images of which that is not sure further\n" +
			"views, one at a time. When it is sure enough is fitted on images: with --run on those that a training run held\n" +
			"out, with --data on a data set that the net should not have been trained on.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if (run == "") == (source.Data == "") {
				return usagef("give --run, or --model and --data")
			}
			name := "validation"
			var d *trainer.Dataset
			var images *trainer.Split
			var err error
			if run != "" {
				if model == "" {
					model = filepath.Join(run, trainer.SlabFile)
				}
				d, images, err = trainer.HeldOut(run)
			} else {
				name = split
				d, images, err = loadSplit(source, split)
			}
			if err != nil {
				return err
			}
			_, m, err := readSlab(model)
			if err != nil {
				return err
			}
			_, slab, results, err := trainer.Calibrate(cmd.Context(), m, d, images, name, loss/100)
			if err != nil {
				return fmt.Errorf("%s: %w", model, err)
			}
			if err := trainer.WriteFile(out, slab); err != nil {
				return err
			}
			note("wrote %s; on the %d images it was calibrated with:", out, images.Len())
			if asJSON {
				return printJSON(evalResult(results))
			}
			modeTable(results, func(mode string) string { return mode })
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&run, "run", "", "the folder of a training run")
	f.StringVar(&model, "model", "", "the slab; by default that of the run")
	f.StringVar(&source.Data, "data", "", "data set: "+trainer.DataHelp)
	f.StringVar(&split, "split", "test", "test or train")
	f.StringVar(&out, "out", "", "the slab to write")
	f.Float64Var(&loss, "loss", 0.1, "points of accuracy that may be lost against the mode aggregated")
	f.BoolVar(&asJSON, "json", false, "print the scores as JSON")
	return required(cmd, "out")
}
