package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/format/plain"
	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
	"github.com/quarterturn/quarterturn/trainer/report"
)

func evalCommand() *cobra.Command {
	var slabs slabArgs
	var split string
	var source dataset.Source
	var limit int
	var confusion string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "eval SLAB... --data D",
		Short: "Evaluate every mode of a slab on a data set",
		Long: "Evaluate every mode of a slab on a data set: accuracy, mean negative log-likelihood in nats (NLL) and expected\n" +
			"calibration error over 15 bins (ECE). Several slabs are an ensemble: their probabilities are averaged.",
		Example: "  quarterturn eval run/model.slab --data fashion-mini\n" +
			"  quarterturn eval a.slab b.slab --data folder:photos --confusion confusion.svg",
		RunE: func(cmd *cobra.Command, args []string) error {
			models, err := slabs.all(args)
			if err != nil {
				return err
			}
			if len(models) == 0 {
				return usagef("give a slab, as the first argument or with --model")
			}
			if confusion != "" {
				if ext := strings.ToLower(filepath.Ext(confusion)); ext != "" && ext != ".svg" {
					return usagef("--confusion %s: an SVG file is written; end the name in .svg", confusion)
				}
				if err := atomicfile.Ready(confusion); err != nil {
					return err
				}
			}
			var e evaluate.Ensemble
			for _, name := range models {
				_, m, err := readSlab(name)
				if err != nil {
					return err
				}
				e = append(e, m)
			}
			d, images, err := loadSplit(cmd.Context(), source, split, e[0])
			if err != nil {
				return err
			}
			r := &reporter{}
			results, err := evaluate.Evaluate(cmd.Context(), e, evaluate.Images{Data: d, Split: images, Name: split, Limit: limit}, r.tested)
			r.bar.clear()
			if err != nil {
				return fmt.Errorf("%s on %s: %w", strings.Join(models, ", "), source.Data, err)
			}
			if confusion != "" {
				if err := writeConfusion(confusion, e, results, images, d.ClassNames); err != nil {
					return err
				}
			}
			if asJSON {
				return printJSON(struct {
					scores
					LeftOut imagefile.LeftOuts `json:"left_out,omitempty"`
				}{evalResult(results), d.LeftOut})
			}
			return printText(fmt.Sprintf("%s on %d %s images of %s\n", strings.Join(plain.Names(models), ", "), results[0].N, split, plain.Name(d.Name)) + modeTable(results, asItIs))
		},
	}
	f := cmd.Flags()
	slabs.add(f, "the `slab`; several are an ensemble")
	f.StringVar(&source.Data, "data", "", "data set: "+dataset.DataHelp)
	f.BoolVar(&source.SkipBroken, "skip-broken", false, "leave out images of a folder that cannot be read")
	splitFlag(f, &split)
	f.IntVar(&limit, "limit", 0, "only the first so many images; 0: all")
	atLeast(f, 0, "limit")
	f.StringVar(&confusion, "confusion", "", "draw which classes the recommended mode takes for which into this file, as SVG")
	f.BoolVar(&asJSON, "json", false, "print the result as JSON")
	return required(cmd, "data")
}

// splitFlag adds the flag that names a part of a data set.
func splitFlag(f *pflag.FlagSet, split *string) {
	f.StringVar(split, "split", "test", "test or train")
	oneOf(f, "split", "test", "train")
}

// loadSplit returns a data set and the part of it that is named, see splitFlag. A folder's images
// get the size that a model takes.
func loadSplit(ctx context.Context, source dataset.Source, split string, m *format.Model) (*dataset.Dataset, *dataset.Split, error) {
	if err := isNoData(source); err != nil {
		return nil, nil, err
	}
	if source.IsFolder() {
		source.Size = m.Input.Width
	}
	d, err := source.Load(ctx)
	if err != nil {
		return nil, nil, err
	}
	describeData(d)
	if split == "train" {
		return d, &d.Train, nil
	}
	return d, &d.Test, nil
}

// writeConfusion draws the mode that the first slab recommends, or if the others lack
// it the first that all have.
func writeConfusion(file string, e evaluate.Ensemble, results []evaluate.Score, images *dataset.Split, names []string) error {
	shown := &results[0]
	for i := range results {
		if results[i].Mode == e[0].Recommended {
			shown = &results[i]
		}
	}
	svg, err := report.Confusion(shown, images.Labels, names)
	if err != nil {
		return err
	}
	return atomicfile.Write(file, svg)
}

type modeScore struct {
	Accuracy float64 `json:"accuracy"`
	NLL      float64 `json:"nll"`
	ECE      float64 `json:"ece"`
	Passes   float64 `json:"passes"` // the mean over the images
}

type scores struct {
	N     int                  `json:"n"`
	Modes map[string]modeScore `json:"modes"`
}

func evalResult(results []evaluate.Score) scores {
	s := scores{Modes: map[string]modeScore{}}
	for _, x := range results {
		s.N = x.N
		s.Modes[x.Mode] = modeScore{x.Accuracy, x.NLL, x.ECE, x.Passes}
	}
	return s
}
