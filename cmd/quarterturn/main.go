// Command quarterturn trains image classifiers by self-supervised label
// augmentation and runs, serves and checks the slabs they are packed into.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/format/plain"
)

// A usageError is the caller's: exit code 2.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the next signal ends the process at once
	if err := run(ctx, os.Args[1:]); err != nil {
		if errors.Is(err, context.Canceled) && ctx.Err() != nil {
			err = errors.New("interrupted")
		}
		// One line, whatever a library wrote.
		if text := strings.Join(strings.Fields(err.Error()), " "); logger != nil {
			logger.Error(text)
		} else {
			fmt.Fprintln(os.Stderr, "quarterturn:", plain.Line(text))
		}
		if errors.As(err, new(usageError)) {
			os.Exit(2)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	started := false // whether the command line made sense
	root := rootCommand()
	each(root, func(c *cobra.Command) {
		if f := c.RunE; f != nil {
			c.RunE = func(cmd *cobra.Command, args []string) error {
				started = true
				detail("%s %s, %s/%s, %d processors", root.Name(), root.Version, runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0))
				return f(cmd, args)
			}
		}
	})
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && !started {
		return usageError{err}
	}
	return err
}

// rootCommand returns the whole command line.
func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "quarterturn",
		Short: "Train image classifiers by self-supervised label augmentation, and run them anywhere",
		Long: "Quarterturn turns labelled images into a small classifier, packed as one file, a slab, that\n" +
			"computes the same bits in a browser tab, in Node, in a Go service and natively.\n\n" +
			"Start with: quarterturn demo\n\n" +
			"Commands that work on a slab take it as their first argument or with --model. Results go to\n" +
			"standard output, progress and logs to standard error; --json prints the result, and nothing\n" +
			"else, as JSON. No output is coloured, with or without NO_COLOR; on a terminal a progress bar\n" +
			"is drawn, unless TERM is dumb.\n\n" +
			"Exit status: 0, done; 1, failed, with the reason in one line on standard error; 2, the command\n" +
			"line is wrong and nothing was done.",
		Example: "  quarterturn demo\n" +
			"  quarterturn train photos --out run\n" +
			"  quarterturn predict run/model.slab picture.png",
		Version:       version(),
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetUsageTemplate(withSections(root.UsageTemplate()))
	root.PersistentFlags().BoolVarP(&quiet, "quiet", "q", false, "results and errors only: no progress, no notes")
	root.PersistentFlags().BoolVarP(&verbose, "verbose", "v", false, "more about what is done; serve logs every request")
	root.MarkFlagsMutuallyExclusive("quiet", "verbose")
	for _, g := range []struct {
		id, title string
		commands  []*cobra.Command
	}{
		{"train", "Train:", []*cobra.Command{demoCommand(), trainCommand(), calibrateCommand(), fewshotCommand(), newCommand(), reproduceCommand()}},
		{"use", "Use:", []*cobra.Command{predictCommand(), scoreCommand(), serveCommand(), exportCommand(), importCommand()}},
		{"check", "Check:", []*cobra.Command{evalCommand(), inspectCommand(), verifyCommand(), parityCommand(), benchCommand()}},
	} {
		root.AddGroup(&cobra.Group{ID: g.id, Title: g.title})
		for _, c := range g.commands {
			c.GroupID = g.id
		}
		root.AddCommand(g.commands...)
	}
	root.AddCommand(manCommand())
	each(root, offerAll)
	return root
}

// each calls f for every command below c.
func each(c *cobra.Command, f func(*cobra.Command)) {
	for _, sub := range c.Commands() {
		f(sub)
		each(sub, f)
	}
}

// required marks flags without which, or with nothing in which, a command makes no sense.
func required(c *cobra.Command, names ...string) *cobra.Command {
	for _, n := range names {
		if err := c.MarkFlagRequired(n); err != nil {
			panic(err) // a flag that was never defined
		}
		check(c.Flags(), n, func(value string) error {
			if value == "" {
				return errors.New("must not be empty")
			}
			return nil
		})
	}
	return c
}
