package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer"
)

func evalCommand() *cobra.Command {
	var models []string
	var split string
	var source trainer.Source
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "eval --model F --data D",
		Short: "Score every mode of a slab on a data set",
		Long:  "Score every mode of a slab on a data set. With --model given more than once, the slabs are an ensemble:\ntheir probabilities are averaged.",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var e trainer.Ensemble
			for _, name := range models {
				_, m, err := readSlab(name)
				if err != nil {
					return err
				}
				e = append(e, m)
			}
			if strings.HasPrefix(source.Data, "folder:") {
				source.Size = e[0].Input.Width
			}
			d, err := source.Load()
			if err != nil {
				return err
			}
			images, ok := map[string]*trainer.Split{"test": &d.Test, "train": &d.Train}[split]
			if !ok {
				return usagef("--split %q: want test or train", split)
			}
			if limit < 0 {
				return usagef("--limit cannot be negative")
			}
			r := &reporter{}
			metrics, err := trainer.Evaluate(cmd.Context(), e, d, images, split, limit, r.tested)
			r.bar.clear()
			if err != nil {
				return fmt.Errorf("%s on %s: %w", strings.Join(models, ", "), source.Data, err)
			}
			if asJSON {
				return printJSON(evalResult(metrics, e.Passes))
			}
			note("%s on %d %s images of %s", strings.Join(models, ", "), metrics[0].N, split, d.Name)
			modeTable(metrics, e.Passes, func(mode string) string { return mode })
			return nil
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&models, "model", nil, "the slab; several are an ensemble")
	f.StringVar(&source.Data, "data", "", "data set: "+trainer.DataHelp)
	f.BoolVar(&source.SkipBroken, "skip-broken", false, "leave out images of a folder that cannot be read")
	f.StringVar(&split, "split", "test", "test or train")
	f.IntVar(&limit, "limit", 0, "only the first so many images; 0: all")
	f.BoolVar(&asJSON, "json", false, "print the result as JSON")
	return required(cmd, "model", "data")
}

type modeScore struct {
	Accuracy float64 `json:"accuracy"`
	NLL      float64 `json:"nll"`
	ECE      float64 `json:"ece"`
	Passes   int     `json:"passes"`
}

type scores struct {
	N     int                  `json:"n"`
	Modes map[string]modeScore `json:"modes"`
}

func evalResult(metrics []format.Metric, passes func(mode string) int) scores {
	s := scores{Modes: map[string]modeScore{}}
	for _, x := range metrics {
		s.N = x.N
		s.Modes[x.Mode] = modeScore{x.Accuracy, x.NLL, x.ECE, passes(x.Mode)}
	}
	return s
}
