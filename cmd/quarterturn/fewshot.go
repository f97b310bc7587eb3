package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/trainer"
)

func fewshotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fewshot",
		Short: "Tell classes apart that a net was not trained on, by a few images of each",
	}
	var model, split string
	var source trainer.Source
	var asJSON bool
	f := trainer.FewShot{}
	eval := &cobra.Command{
		Use:   "eval --model F --data D",
		Short: "Score a slab in episodes of new classes",
		Long: "Score a slab in episodes: of some classes a few images each are shown, and others are classified by how alike\n" +
			"their views are to the views of those. With the upright view alone, and with all of the slab's views.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, m, err := readSlab(model)
			if err != nil {
				return err
			}
			d, images, err := loadSplit(source, split)
			if err != nil {
				return err
			}
			directions, err := trainer.Directions(cmd.Context(), m, d, images)
			if err != nil {
				return err
			}
			estimates, err := f.Estimate(directions, m.Views(), images.Classes)
			if err != nil {
				return fmt.Errorf("%s: %w", source.Data, err)
			}
			if asJSON {
				return printJSON(estimates)
			}
			note("%s on %d-way %d-shot episodes of %s, %d of them", model, f.Way, f.Shot, d.Name, f.Episodes)
			note("  %-6s %9s %8s", "views", "accuracy", "±")
			for _, e := range estimates {
				note("  %-6d %8.2f%% %8.2f", e.Views, 100*e.Accuracy, 100*e.Interval)
			}
			return nil
		},
	}
	flags := eval.Flags()
	flags.StringVar(&model, "model", "", "the slab")
	flags.StringVar(&source.Data, "data", "", "data set: "+trainer.DataHelp)
	flags.StringVar(&split, "split", "test", "test or train")
	flags.IntVar(&f.Way, "way", 5, "classes an episode")
	flags.IntVar(&f.Shot, "shot", 5, "images of each that are shown")
	flags.IntVar(&f.Queries, "queries", 15, "images of each that are classified")
	flags.IntVar(&f.Episodes, "episodes", 600, "episodes")
	flags.IntVar(&f.Seed, "seed", 1, "seed of what is drawn")
	flags.BoolVar(&asJSON, "json", false, "print the estimates as JSON")
	cmd.AddCommand(required(eval, "model", "data"))
	return cmd
}
