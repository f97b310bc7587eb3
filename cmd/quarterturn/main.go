// Command quarterturn trains image classifiers by self-supervised label
// augmentation and runs, serves and checks the slabs they are packed into.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/trainer"
)

// A usageError is the caller's: exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		// One line, whatever a library wrote.
		fmt.Fprintln(os.Stderr, "quarterturn:", strings.Join(strings.Fields(err.Error()), " "))
		if errors.As(err, new(usageError)) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	started := false // whether the command line made sense
	root := &cobra.Command{
		Use:   "quarterturn",
		Short: "Train image classifiers by self-supervised label augmentation, and run them anywhere",
		Long: "Quarterturn turns labelled images into a small classifier, packed as one file, a slab,\n" +
			"that gives the same bits in a browser tab, in Node, in a Go service and natively.\n\n" +
			"Begin with: quarterturn demo",
		Version:           strings.TrimPrefix(trainer.Tool, "quarterturn "),
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	fewshot := fewshotCommand()
	root.AddCommand(demoCommand(), trainCommand(), newCommand(), evalCommand(), calibrateCommand(), fewshot, predictCommand(), inspectCommand(),
		verifyCommand(), exportCommand(), parityCommand(), benchCommand(), reproduceCommand(), serveCommand(), scoreCommand())
	for _, c := range append(root.Commands(), fewshot.Commands()...) {
		if f := c.RunE; f != nil {
			c.RunE = func(cmd *cobra.Command, args []string) error {
				started = true
				return f(cmd, args)
			}
		}
	}
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && !started {
		return usageError{err}
	}
	return err
}

// required marks flags without which a command makes no sense.
func required(c *cobra.Command, names ...string) *cobra.Command {
	for _, n := range names {
		if err := c.MarkFlagRequired(n); err != nil {
			panic(err) // a flag that was never defined
		}
	}
	return c
}
