package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/quarterturn/quarterturn/cmd/internal/score"
	"github.com/quarterturn/quarterturn/format/plain"
	"github.com/quarterturn/quarterturn/host"
	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/sla"
)

func predictCommand() *cobra.Command {
	var slabs slabArgs
	var modeName string
	var top int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "predict SLAB IMAGE...",
		Short: "Classify image files, a line each",
		Long: "Classify image files, a line each; - is standard input. An image that cannot be read is reported on standard error,\n" +
			"the others are classified, and the exit status is 1.",
		Example: "  quarterturn predict model.slab cat.png dog.jpg\n" +
			"  quarterturn predict model.slab --mode aggregated --top 3 --json *.png\n" +
			"  curl -sL https://example.com/cat.jpg | quarterturn predict model.slab -",
		RunE: func(cmd *cobra.Command, args []string) error {
			model, args, err := slabs.one(args)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return usagef("give at least one image, after the slab")
			}
			if i := slices.IndexFunc(args, score.Remote); i >= 0 {
				return usagef("%s: files are classified, and - is standard input; fetch it first: curl -sL ADDRESS | quarterturn predict SLAB -", args[i])
			}
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
				img, err := readImage(ctx, name, cmd.InOrStdin())
				var p *host.Prediction
				if err == nil {
					if p, err = c.Classify(ctx, img, host.WithMode(mode), host.WithTopK(top)); errors.Is(err, sla.ErrMode) {
						return fmt.Errorf("%s: %w", model, err)
					}
					if err == nil {
						err = sla.CheckFinite(p.Logits)
					}
					if err != nil {
						err = fmt.Errorf("%s: %w", called(name), err)
					}
				}
				if err != nil && ctx.Err() != nil { // interrupted; the image may be good
					return ctx.Err()
				}
				if err != nil {
					if len(args) == 1 {
						return err
					}
					warn("%v", err) // and go on with the others
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
	slabs.add(f, "the `slab`")
	modeFlag(f, &modeName)
	f.IntVar(&top, "top", 5, "how many classes to name")
	atLeast(f, 0, "top")
	f.BoolVar(&asJSON, "json", false, "print a JSON object a line")
	return cmd
}

// modeFlag adds the flag that names a mode.
func modeFlag(f *pflag.FlagSet, mode *string) {
	f.StringVar(mode, "mode", "auto", strings.Join(sla.ModeNames(), ", "))
	offer(f, "mode", sla.ModeNames()...)
}

// readImage reads an image file, or for the name - standard input.
func readImage(ctx context.Context, name string, stdin io.Reader) (*imagefile.Picture, error) {
	if name != "-" {
		return imagefile.ReadFile(ctx, name, imagefile.Limits{})
	}
	p, err := imagefile.Read(ctx, stdin, imagefile.Limits{})
	if err != nil {
		err = fmt.Errorf("%s: %w", called(name), err)
	}
	return p, err
}

// called is how errors name an image.
func called(name string) string {
	if name == "-" {
		return "standard input"
	}
	return name
}

func printPrediction(name string, p *host.Prediction, asJSON bool) error {
	if asJSON {
		return printJSON(score.LineOf(name, p))
	}
	line := plain.Name(name) + ":"
	for _, t := range p.Top {
		line += fmt.Sprintf("  %s %.1f%%", plain.Name(t.Label), 100*t.Probability)
	}
	return printText(fmt.Sprintf("%s  (%s)\n", line, p.Mode))
}
