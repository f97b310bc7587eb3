package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/quarterturn/quarterturn/trainer"
)

func fewshotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fewshot",
		Short: "Tell classes apart that a net was not trained on, by a few images of each",
	}
	cmd.AddCommand(fewshotTrainCommand(), fewshotEvalCommand())
	return cmd
}

// episodeFlags are the flags of an episode.
func episodeFlags(f *pflag.FlagSet, e *trainer.Episode, queries int) {
	f.StringVar(&e.Head, "head", "proto", "proto: an image is compared with the means of the classes, as galleries do; ridge: ridge regression on the images shown")
	f.IntVar(&e.Way, "way", 5, "classes an episode")
	f.IntVar(&e.Shot, "shot", 5, "images of each that are shown")
	f.IntVar(&e.Queries, "queries", queries, "images of each that are classified")
}

func fewshotTrainCommand() *cobra.Command {
	c := trainer.DefaultConfig()
	c.Net, c.Method = "conv4", "sla"
	var source trainer.Source
	var e trainer.Episode
	var out string
	var episodes int
	var asJSON bool
	var device *deviceFlags
	cmd := &cobra.Command{
		Use:   "train --data D --out RUN",
		Short: "Train a net in episodes and write RUN/model.slab",
		Long: "Train a net in episodes: of some classes a few images each are shown, and it learns to classify others by them.\n" +
			"A fifth of the classes is held out to choose the epoch by. RUN is a folder as of train, and goes on with\n" +
			"train --resume RUN. The slab knows the classes that were trained on; others are shown to it in a gallery.\n\n" +
			"Data sets: " + trainer.DataHelp,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return device.train(cmd.Context(), asJSON, func(d *trainer.Device) (*trainer.Folder, error) {
				return trainer.Start(out, source, c.InEpisodes(e, episodes), d)
			})
		},
	}
	f := cmd.Flags()
	runFlags(f, &source, &out, &c)
	episodeFlags(f, &e, 5)
	f.StringVar(&c.Method, "method", c.Method, "sla: joint classes of class and transformation; baseline: the upright view alone")
	f.IntVar(&c.Epochs, "epochs", c.Epochs, "epochs")
	f.IntVar(&episodes, "episodes", 100, "episodes an epoch")
	device = addDeviceFlags(f)
	f.BoolVar(&asJSON, "json", false, "print the scores on the classes held out as JSON")
	return required(cmd, "data", "out")
}

func fewshotEvalCommand() *cobra.Command {
	var model, split string
	var source trainer.Source
	var asJSON bool
	f := trainer.FewShot{}
	eval := &cobra.Command{
		Use:   "eval --model F --data D",
		Short: "Score a slab in episodes of new classes",
		Long: "Score a slab in episodes: of some classes a few images each are shown, and others are classified by how alike\n" +
			"their views are to the views of those, or by ridge regression on them. With the upright view alone, and with all of the slab's views.",
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
	episodeFlags(flags, &f.Episode, 15)
	flags.IntVar(&f.Episodes, "episodes", 600, "episodes")
	flags.IntVar(&f.Seed, "seed", 1, "seed of what is drawn")
	flags.BoolVar(&asJSON, "json", false, "print the estimates as JSON")
	return required(eval, "model", "data")
}
