package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/cmd/quarterturn/internal/bench"
	"github.com/quarterturn/quarterturn/format/plain"
)

func benchCommand() *cobra.Command {
	var slabs slabArgs
	var engines []string
	var rounds int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "bench SLAB",
		Short: "Time every mode of a slab on every engine, side by side",
		Example: "  quarterturn bench model.slab\n" +
			"  quarterturn bench model.slab --engines native,wazero --rounds 200 --json",
		RunE: func(cmd *cobra.Command, args []string) error {
			_, slab, m, err := slabs.read(args)
			if err != nil {
				return err
			}
			if rounds < 1 {
				return usagef("--rounds must be at least 1")
			}
			var bar progress
			r, err := bench.Run(cmd.Context(), slab, engines, rounds, func(done, of int) { bar.set(done, of, "timing") })
			bar.clear()
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(r)
			}
			fmt.Printf("%s, one image of %d x %d, one thread; milliseconds, medians of %d rounds\n\n", plain.Name(m.Name), m.Input.Width, m.Input.Height, r.Rounds)
			fmt.Printf("%-12s %-12s %7s %9s %9s %9s %9s %9s\n", "engine", "mode", "passes", "median", "10 %", "90 %", "open", "first")
			for _, e := range r.Engines {
				for i, x := range e.Modes {
					fmt.Printf("%-12s %-12s %7d %9.2f %9.2f %9.2f", e.Name, x.Mode, x.Passes, x.Median, x.Low, x.High)
					if i == 0 {
						fmt.Printf(" %9.1f %9.2f", e.Open, e.First)
					}
					fmt.Println()
				}
			}
			for _, e := range r.Engines {
				if s := e.Start; s != nil {
					fmt.Printf("\n%s compiles the module in %.0f ms, instantiates it in %.0f, opens the slab in %.0f; the rest of its open is the process's start\n", e.Name, s.Compile, s.Instantiate, s.Open)
				}
			}
			return nil
		},
	}
	f := cmd.Flags()
	slabs.add(f, "the `slab`")
	f.StringSliceVar(&engines, "engines", bench.Engines, "the engines to time")
	offerList(f, "engines", bench.Engines...)
	f.IntVar(&rounds, "rounds", 50, "how often each mode runs on each engine")
	f.BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}
