package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/trainer"
	"github.com/quarterturn/quarterturn/trainer/nets"
)

func newCommand() *cobra.Command {
	var out, net string
	var grey bool
	var size, classes, seed int
	cmd := &cobra.Command{
		Use:   "new --net NET --out F",
		Short: "Write the slab of an untrained net, to see what it takes in time and memory",
		Example: "  quarterturn new --net resnet32 --size 64 --classes 100 --out untrained.slab\n" +
			"  quarterturn bench untrained.slab",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			channels := 3
			if grey {
				channels = 1
			}
			if size < 1 || classes < 1 || seed < 0 {
				return usagef("--size and --classes must be at least 1, and --seed not negative")
			}
			slab, err := trainer.Untrained(net, channels, size, classes, seed)
			if err != nil {
				return usageError{err}
			}
			if err := atomicfile.Write(out, slab); err != nil {
				return err
			}
			note("wrote %s, %d bytes", out, len(slab))
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&net, "net", "", "the net, as for train: "+strings.Join(nets.Examples, ", ")+" ...")
	offer(f, "net", nets.Examples...)
	f.IntVar(&size, "size", 32, "side of the input, in pixels")
	f.BoolVar(&grey, "grey", false, "greyscale input")
	f.IntVar(&classes, "classes", 10, "number of classes")
	f.IntVar(&seed, "seed", 1, "seed of the weights")
	f.StringVar(&out, "out", "", "the slab to write")
	return required(cmd, "net", "out")
}
