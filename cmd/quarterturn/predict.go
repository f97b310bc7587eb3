package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/host"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer"
)

type prediction struct {
	Image  string       `json:"image"`
	Mode   string       `json:"mode"`
	Passes int          `json:"passes"`
	Top    []host.Label `json:"top"`
	Digest string       `json:"digest"`
}

func predictCommand() *cobra.Command {
	var model, modeName string
	var top int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "predict --model F IMAGE...",
		Short: "Classify image files, a line each",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			mode, err := sla.ParseMode(modeName)
			if err != nil {
				return usageError{err}
			}
			slab, _, err := readSlab(model)
			if err != nil {
				return err
			}
			ctx := cmd.Context()
			c, err := host.Open(ctx, slab, host.WithEngine(host.Native))
			if err != nil {
				return err
			}
			defer c.Close(ctx)
			failed := 0
			for _, name := range args {
				img, err := trainer.ReadImage(name)
				var p *host.Prediction
				if err == nil {
					p, err = c.Classify(ctx, img, host.Mode(mode), host.TopK(top))
				}
				if errors.Is(err, sla.ErrMode) {
					return fmt.Errorf("%s: %w", model, err)
				}
				if err != nil {
					if len(args) == 1 {
						return err
					}
					note("%v", err) // and go on with the others
					failed++
					continue
				}
				if err := printPrediction(name, p, asJSON); err != nil {
					return err
				}
			}
			if failed > 0 {
				return fmt.Errorf("%d of %d images could not be classified", failed, len(args))
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&model, "model", "", "the slab")
	f.StringVar(&modeName, "mode", "auto", "auto, baseline, single, aggregated or distilled")
	f.IntVar(&top, "top", 5, "how many classes to name")
	f.BoolVar(&asJSON, "json", false, "print a JSON object a line")
	return required(cmd, "model")
}

func predictionOf(name string, p *host.Prediction) prediction {
	return prediction{Image: name, Mode: p.Mode.String(), Passes: p.Passes, Top: p.Top, Digest: p.Digest()}
}

func printPrediction(name string, p *host.Prediction, asJSON bool) error {
	line := name + ":"
	for _, t := range p.Top {
		line += fmt.Sprintf("  %s %.1f%%", t.Label, 100*t.Probability)
	}
	if asJSON {
		return printJSON(predictionOf(name, p))
	}
	_, err := fmt.Printf("%s  (%s)\n", line, p.Mode)
	return err
}
