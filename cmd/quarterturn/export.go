package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/format/onnx"
	"github.com/quarterturn/quarterturn/format/safetensors"
)

// encoders are the formats to export to, by the ending of a file's name.
var encoders = map[string]func(m *format.Model) ([]byte, error){
	".onnx":        func(m *format.Model) ([]byte, error) { return onnx.Encode(m), nil },
	".safetensors": safetensors.Encode,
}

func exportCommand() *cobra.Command {
	var slabs slabArgs
	var out string
	cmd := &cobra.Command{
		Use:   "export SLAB --out NAME.onnx|NAME.safetensors",
		Short: "Write the net of a slab for other programs",
		Long: "Write the net of a slab for other programs: as ONNX, with the normalised image as input and each head's logits\n" +
			"as an output, or its tensors as safetensors. Preprocessing, transformations and modes stay behind.",
		Example: "  quarterturn export model.slab --out model.onnx\n" +
			"  quarterturn export model.slab --out model.safetensors",
		RunE: func(_ *cobra.Command, args []string) error {
			name, err := slabs.only(args)
			if err != nil {
				return err
			}
			encode, ok := encoders[filepath.Ext(out)]
			if !ok {
				return usagef("--out %q: want a name that ends in .onnx or .safetensors", out)
			}
			_, m, err := readSlab(name)
			if err != nil {
				return err
			}
			b, err := encode(m)
			if err != nil {
				return err
			}
			if err := atomicfile.Write(out, b); err != nil {
				return err
			}
			note("wrote %s, %d bytes", out, len(b))
			return nil
		},
	}
	slabs.add(cmd.Flags(), "the `slab`")
	cmd.Flags().StringVar(&out, "out", "", "the file to write")
	return required(cmd, "out")
}
