package main

import (
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/format/onnx"
	"github.com/quarterturn/quarterturn/format/safetensors"
	"github.com/quarterturn/quarterturn/sla"
)

func exportCommand() *cobra.Command {
	var slabs slabArgs
	var out string
	var o onnx.Options
	var site siteExport
	cmd := &cobra.Command{
		Use:   "export SLAB --out NAME.onnx|NAME.safetensors | export SLAB --site DIR",
		Short: "Write a slab for other programs, or as a page to share",
		Long: "Write a slab for other programs, or as a page to share.\n\n" +
			"As ONNX: a graph of one mode, with logits and probabilities, and the labels, the preprocessing and the manifest\n" +
			"as metadata. Its input is the normalised image, or with --preprocess pixels of any size. The mode adaptive\n" +
			"computes every view and then chooses. With --mode heads the outputs are the logits of each head.\n\n" +
			"As safetensors: the tensors, and the manifest as metadata, from which import makes the same slab.\n\n" +
			"As a site: a folder with the page that serve shows, the slab and pictures to try, for any static host, under any\n" +
			"path; once visited it works without a network. With --data the pictures are of that data set's test split. The net that is\n" +
			"best to teach comes along, 2.5 MB that a visitor loads only to teach it something.",
		Example: "  quarterturn export model.slab --out model.onnx\n" +
			"  quarterturn export model.slab --out model.onnx --mode aggregated --preprocess\n" +
			"  quarterturn export model.slab --out model.safetensors\n" +
			"  quarterturn export model.slab --site page --title 'Which bird is it?' --data photos --samples 2",
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := slabs.only(args)
			if err != nil {
				return err
			}
			if (out == "") == (site.dir == "") {
				return usagef("want one of --out and --site")
			}
			if site.dir != "" {
				if flag := changed(cmd.Flags(), "site", "title", "data", "samples", "model", "quiet", "verbose"); flag != "" {
					return usagef("--%s is for ONNX, not for a site", flag)
				}
				return site.write(cmd.Context(), name)
			}
			if flag := changed(cmd.Flags(), "out", "mode", "preprocess", "model", "quiet", "verbose"); flag != "" {
				return usagef("--%s is for --site", flag)
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
			if err := checkOther(name, out); err != nil {
				return err
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
	modes := append(sla.ModeNames(), onnx.Heads)
	f.StringVar(&o.Mode, "mode", "auto", "ONNX: "+strings.Join(modes, ", ")+"; auto is the mode that the slab recommends")
	offer(f, "mode", modes...)
	f.BoolVar(&o.Preprocess, "preprocess", false, "ONNX: take uint8 pixels of any size (N, height, width, 3 or 4)")
	f.StringVar(&site.dir, "site", "", "a folder for the page, new or with a site of before")
	f.StringVar(&site.title, "title", "", "site: what the page is called")
	f.StringVar(&site.data, "data", "", "site: a `data set` with the slab's classes, of whose test split the pictures are")
	f.IntVar(&site.samples, "samples", 1, "site: pictures of each class")
	return cmd
}
