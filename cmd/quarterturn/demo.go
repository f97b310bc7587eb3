package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/cmd/quarterturn/internal/parity"
	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/trainer"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
)

func demoCommand() *cobra.Command {
	var out, addr string
	var noServe bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Train on the built-in data, compare the modes, check parity, serve the page",
		Long: "Train a small net and a baseline beside it on built-in pictures of clothes, evaluate every mode, write the\n" +
			"slab, check that native Go and the sandboxed module compute the same bits, and serve the page. It takes about a\n" +
			"minute on two cores, once it is built.",
		Example: "  quarterturn demo\n" +
			"  quarterturn demo --addr 127.0.0.1:0 --out try\n" +
			"  quarterturn demo --no-serve",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return demo(cmd.Context(), out, addr, noServe)
		},
	}
	f := cmd.Flags()
	f.StringVar(&out, "out", "demo-run", "folder for model.slab and results.json")
	f.StringVar(&addr, "addr", defaultAddress, "address to serve the page on")
	f.BoolVar(&noServe, "no-serve", false, "stop when the slab is written and checked")
	return cmd
}

// demoConfig is a recipe that takes about a minute on two cores.
func demoConfig(method string) trainer.Config {
	c := trainer.ConfigFor("fast16-64")
	c.Method, c.Epochs, c.BatchSize = method, 11, 128
	return c
}

// beside says in words whether a mode is better than the baseline, or no further from it than
// chance takes an accuracy on so many images.
func beside(baseline, mode evaluate.Score) string {
	low, high := baseline.Interval()
	verdict := "level with"
	switch {
	case mode.Accuracy > high:
		verdict = "above"
	case mode.Accuracy < low:
		verdict = "below"
	}
	return fmt.Sprintf("It is %s the baseline, whose\n95 %% interval is %.1f to %.1f %%. SLA's gain is with few labels and long training: see docs/results.md.", verdict, 100*low, 100*high)
}

func demo(ctx context.Context, out, addr string, noServe bool) error {
	start := time.Now()
	var listener net.Listener // opened first: a port in use must not be found after the training
	if !noServe {
		err := checkAddr("addr", addr)
		if err != nil {
			return err
		}
		if listener, err = listen(addr); err != nil {
			return err
		}
		defer listener.Close()
	}
	slab, err := demoSlab(ctx, out)
	if err != nil {
		return err
	}
	if err := demoParity(ctx, slab, filepath.Join(out, trainer.SlabFile)); err != nil {
		return err
	}
	note("done in %.0f s", time.Since(start).Seconds())
	if noServe {
		return nil
	}
	o := defaultServeOptions(addr)
	o.drainDelay = 0
	o.alias = slabAlias(trainer.SlabFile)
	hangups := watchHangups()
	defer hangups.stop()
	return o.serve(ctx, listener, [][]byte{slab}, hangups)
}

// demoSlab trains the two nets, prints how good they are and returns the second one's slab, which it writes into out.
func demoSlab(ctx context.Context, out string) ([]byte, error) {
	if err := os.MkdirAll(out, 0o755); err != nil {
		return nil, err
	}
	d, err := dataset.Load(ctx, "fashion-mini")
	if err != nil {
		return nil, err
	}
	note("fashion-mini: %d training and %d test images of %d classes", d.Train.Len(), d.Test.Len(), len(d.ClassNames))
	_, _, plain, err := trainAndTest(ctx, d, demoConfig("baseline"))
	if err != nil {
		return nil, err
	}
	model, slab, results, err := trainAndTest(ctx, d, demoConfig("sla+sd"))
	if err != nil {
		return nil, err
	}
	table := modeTable(append(plain, results...), func(mode string) string {
		if mode == plain[0].Mode {
			return "baseline (a net of its own)"
		}
		return "sla+sd, " + mode
	})
	note("")
	if err := printText(fmt.Sprintf("On the %d test images, after equal numbers of steps (a step of SLA takes %d views of each image):\n%s"+
		"The slab recommends %s, by its %d validation images. %s\n\n", d.Test.Len(), model.Views(), table, model.Recommended, model.Metrics[0].N,
		beside(plain[0], results[evaluate.Served(model, results)]))); err != nil {
		return nil, err
	}

	text, err := json.MarshalIndent(map[string]scores{
		"baseline": evalResult(plain), "sla+sd": evalResult(results),
	}, "", "  ")
	if err != nil {
		return nil, err
	}
	if err := errors.Join(atomicfile.Write(filepath.Join(out, trainer.SlabFile), slab), atomicfile.Write(filepath.Join(out, "results.json"), append(text, '\n'))); err != nil {
		return nil, err
	}
	return slab, nil
}

// demoParity computes a slab, written under a name, in the native engine and in wazero, and prints that they agree.
func demoParity(ctx context.Context, slab []byte, name string) error {
	images, err := parityImages(ctx, "")
	if err != nil {
		return err
	}
	r, err := parity.Check(ctx, slab, images, []string{"native", "wazero"}, nil)
	if err != nil {
		return err
	}
	if !r.Equal {
		return errors.New("native and wazero differ: " + r.Difference)
	}
	return printText(fmt.Sprintf("Wrote %s (%d KB). Native and wazero compute the same bits on %d images: %.16s...\n", name, len(slab)/1024, r.Images, r.Targets[0].Digest))
}
