package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/trainer"
	"github.com/quarterturn/quarterturn/trainer/experiments"
)

func reproduceCommand() *cobra.Command {
	var out, only string
	var finished bool
	var paths experiments.DataPaths
	long := "Train what a table of docs/results.md lists, evaluate it, and print the table. Every run is a folder under\n" +
		"--out; finished runs are not repeated, and after a stop the same command resumes.\n\nExperiments:\n"
	for _, e := range experiments.All(experiments.DataPaths{}) {
		long += fmt.Sprintf("  %-15s %s\n", e.Name, e.About)
	}
	cmd := &cobra.Command{
		Use:   "reproduce NAME --out DIR",
		Short: "Run an experiment of docs/results.md and print its table",
		Long:  long,
		Example: "  quarterturn reproduce fashion-mini --out runs\n" +
			"  quarterturn reproduce cifar10 --cifar10 data/cifar-10-batches-bin --out runs\n" +
			"  quarterturn reproduce fast --only '^30 minutes, seed 1$' --cifar10 data/cifar-10-batches-bin --out runs",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			all := experiments.All(paths)
			i := slices.IndexFunc(all, func(e experiments.Experiment) bool { return e.Name == args[0] })
			if i < 0 {
				return usagef("there is no experiment %q; --help lists them", args[0])
			}
			all[i].FinishedOnly = finished
			if only != "" {
				if finished {
					return usagef("--finished-only trains nothing; leave out --only")
				}
				var err error
				if all[i].Only, err = regexp.Compile(only); err != nil {
					return usagef("--only: %v", err)
				}
			}
			running := ""
			var r reporter
			defer r.bar.clear()
			return all[i].Run(cmd.Context(), os.Stdout, filepath.Join(out, args[0]), func(run string, e trainer.Event) {
				if run != running {
					r.bar.clear()
					note("%s", run)
					running = run
				}
				r.event(e)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&out, "out", "", "folder of the runs")
	f.BoolVar(&finished, "finished-only", false, "train nothing, and print the table of the runs that are complete")
	f.StringVar(&only, "only", "", "train only runs whose name, as \"5 minutes, seed 1\", matches a regular expression")
	f.StringVar(&paths.CIFAR10, "cifar10", "", "folder of CIFAR-10's binary files")
	f.StringVar(&paths.CIFAR100, "cifar100", "", "folder of CIFAR-100's binary files")
	f.StringVar(&paths.Fashion, "fashion", "", "folder of Fashion-MNIST's four files")
	f.StringVar(&paths.Omniglot, "omniglot", "", "folder of Omniglot's archives")
	return required(cmd, "out")
}
