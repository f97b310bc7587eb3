package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/quarterturn/quarterturn/format/plain"
	"github.com/quarterturn/quarterturn/trainer"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/fewshot"
	"github.com/quarterturn/quarterturn/trainer/graph"
)

func fewshotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "fewshot",
		Short: "Tell apart classes that a net was not trained on, from a few images of each",
		Example: "  quarterturn fewshot train --data omniglot:data --out run\n" +
			"  quarterturn fewshot eval run/model.slab --data omniglot-new:data --shot 1",
	}
	cmd.AddCommand(fewshotTrainCommand(), fewshotEvalCommand())
	return cmd
}

// episodeFlags are the flags of an episode.
func episodeFlags(f *pflag.FlagSet, e *fewshot.Episode, queries int) {
	f.StringVar(&e.Head, "head", "proto", "proto: compare an image with the means of the classes, as galleries do (prototypical networks, Snell et al. 2017); ridge: ridge regression on the support images (Bertinetto et al. 2019)")
	offer(f, "head", "proto", "ridge")
	f.IntVar(&e.Way, "way", 5, "classes in an episode")
	f.IntVar(&e.Shot, "shot", 5, "support images of each class")
	f.IntVar(&e.Queries, "queries", queries, "query images of each class, which are classified")
}

func fewshotTrainCommand() *cobra.Command {
	c := trainer.DefaultConfig()
	c.Net, c.Method = "conv4", "sla"
	var source dataset.Source
	var e fewshot.Episode
	var out string
	var episodes int
	var asJSON bool
	var device *deviceFlags
	cmd := &cobra.Command{
		Use:   "train --data D --out RUN",
		Short: "Train a net in episodes and write RUN/model.slab",
		Long: "Train a net in episodes: each shows a few support images of some classes, and the net learns to classify query\n" +
			"images by them. A fifth of the classes is held out to choose the best epoch. RUN is a folder as train makes it;\n" +
			"resume it with train --resume RUN. The slab knows the classes it was trained on; enrol others in a gallery.\n\n" +
			"Data sets:\n" + dataSets(),
		Example: "  quarterturn fewshot train --data omniglot:data --out run --shot 1\n" +
			"  quarterturn fewshot train --data folder:things --out run --net resnet12 --head ridge",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := c.InEpisodes(e, episodes).Check(); err != nil {
				return usageError{err}
			}
			return device.train(cmd.Context(), asJSON, commandLine(), func(d *graph.Device) (*trainer.RunDir, error) {
				return trainer.Start(cmd.Context(), out, source, c.InEpisodes(e, episodes), d)
			})
		},
	}
	f := cmd.Flags()
	runFlags(f, &source, &out, &c)
	group(f, "Episodes", func(f *pflag.FlagSet) {
		episodeFlags(f, &e, 5)
		f.IntVar(&episodes, "episodes", 100, "episodes in an epoch")
	})
	group(f, "Method", func(f *pflag.FlagSet) {
		f.StringVar(&c.Method, "method", c.Method, "sla: joint labels of class and view; baseline: the upright view alone")
		offer(f, "method", "sla", "baseline")
	})
	group(f, "Optimisation", func(f *pflag.FlagSet) {
		f.IntVar(&c.Epochs, "epochs", c.Epochs, "number of epochs")
	})
	group(f, "Run", func(f *pflag.FlagSet) {
		device = addDeviceFlags(f)
		f.BoolVar(&asJSON, "json", false, "print the scores on the held-out classes as JSON")
	})
	return required(cmd, "data", "out")
}

func fewshotEvalCommand() *cobra.Command {
	var slabs slabArgs
	var split string
	var source dataset.Source
	var asJSON bool
	f := fewshot.Evaluation{}
	eval := &cobra.Command{
		Use:   "eval SLAB --data D",
		Short: "Evaluate a slab in episodes of new classes",
		Long: "Evaluate a slab in episodes: each shows a few support images of some classes, and query images are classified by\n" +
			"how similar their views are to those of the support images, or by ridge regression on them. Printed with a 95 %\n" +
			"confidence interval, for the upright view alone and for all of the slab's views.",
		Example: "  quarterturn fewshot eval model.slab --data omniglot-new:data --way 5 --shot 1\n" +
			"  quarterturn fewshot eval model.slab --data folder:things --head ridge --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.Check(); err != nil {
				return usageError{err}
			}
			model, _, m, err := slabs.read(args)
			if err != nil {
				return err
			}
			d, images, err := loadSplit(cmd.Context(), source, split, m)
			if err != nil {
				return err
			}
			directions, err := fewshot.Features(cmd.Context(), m, d, images)
			if err != nil {
				return err
			}
			estimates, err := f.Estimate(directions, m.Views(), images.Labels)
			if err != nil {
				return fmt.Errorf("%s: %w", source.Data, err)
			}
			if asJSON {
				return printJSON(estimates)
			}
			text := fmt.Sprintf("%s on %d-way %d-shot episodes of %s, %d of them\n  %-6s %9s %8s\n", plain.Name(model), f.Way, f.Shot, plain.Name(d.Name), f.Episodes, "views", "accuracy", "±")
			for _, e := range estimates {
				text += fmt.Sprintf("  %-6d %8.2f%% %8.2f\n", e.Views, 100*e.Accuracy, 100*e.Interval)
			}
			return printText(text)
		},
	}
	flags := eval.Flags()
	slabs.add(flags, "the `slab`")
	flags.StringVar(&source.Data, "data", "", "data set: "+dataset.DataHelp)
	splitFlag(flags, &split)
	episodeFlags(flags, &f.Episode, 15)
	flags.IntVar(&f.Episodes, "episodes", 600, "episodes")
	flags.IntVar(&f.Seed, "seed", 1, "random seed")
	flags.BoolVar(&asJSON, "json", false, "print the estimates as JSON")
	return required(eval, "data")
}
