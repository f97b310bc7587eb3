package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/format/onnx"
	"github.com/quarterturn/quarterturn/format/safetensors"
)

func exportCommand() *cobra.Command {
	var slabs slabArgs
	var out string
	var o onnx.Options
	cmd := &cobra.Command{
		Use:   "export SLAB --out NAME.onnx|NAME.safetensors",
		Short: "Write a slab for other programs",
		Long: "Write a slab for other programs.\n\n" +
			"As ONNX: a graph of one mode, with logits and probabilities, and the labels, the preprocessing and the manifest\n" +
			"as metadata. Its input is the normalised image, or with --preprocess pixels of any size. The mode adaptive\n" +
			"computes every view and then chooses. With --mode heads the outputs are the logits of each head.\n\n" +
			"As safetensors: the tensors, and the manifest as metadata, from which import makes the same slab.",
		Example: "  quarterturn export model.slab --out model.onnx\n" +
			"  quarterturn export model.slab --out model.onnx --mode aggregated --preprocess\n" +
			"  quarterturn export model.slab --out model.safetensors",
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := slabs.only(args)
			if err != nil {
				return err
			}
			encode := func(m *format.Model) ([]byte, error) { return onnx.Encode(m, o) }
			switch filepath.Ext(out) {
			case ".onnx":
			case ".safetensors":
				if flag := changed(cmd.Flags(), "out", "model", "quiet", "verbose"); flag != "" {
					return usagef("--%s is for ONNX; safetensors are the tensors alone", flag)
				}
				encode = safetensors.Encode
			default:
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
	f := cmd.Flags()
	slabs.add(f, "the `slab`")
	f.StringVar(&out, "out", "", "the file to write")
	f.StringVar(&o.Mode, "mode", "auto", "ONNX: a mode of the slab, auto for the one it recommends, or heads")
	f.BoolVar(&o.Preprocess, "preprocess", false, "ONNX: take uint8 pixels of any size (N, height, width, 3 or 4)")
	return required(cmd, "out")
}
