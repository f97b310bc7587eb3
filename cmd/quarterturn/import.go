package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/format/convert"
	"github.com/quarterturn/quarterturn/format/pack"
	"github.com/quarterturn/quarterturn/format/plain"
	"github.com/quarterturn/quarterturn/format/readfile"
	"github.com/quarterturn/quarterturn/format/safetensors"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
)

func importCommand() *cobra.Command {
	var o convert.Options
	var out, labels, shortcut string
	cmd := &cobra.Command{
		Use:   "import FILE --out SLAB",
		Short: "Make a slab of a net that another program trained",
		Long: "Make a slab of a net that another program trained. FILE is one of\n\n" +
			"  *.safetensors  a PyTorch state dict of a ResNet with torchvision's names: conv1, bn1, layer1.0.conv1 ..., fc;\n" +
			"                 basic blocks or bottlenecks, the stem of ImageNet (7x7) or CIFAR (3x3). To save one in Python:\n" +
			"                 safetensors.torch.save_file(net.state_dict(), \"net.safetensors\")\n" +
			"  *.safetensors  what export wrote: the same slab comes back, byte for byte\n" +
			"  *.onnx         a graph of convolutions, batch normalisation, ReLU, sums, max pooling, one mean over all pixels\n" +
			"                 and one linear classifier\n\n" +
			"The slab has the mode baseline. --mean and --std are those the net was trained with, on the scale 0 to 1; for\n" +
			"most of torchvision's nets 0.485,0.456,0.406 and 0.229,0.224,0.225. Anything that a slab cannot express is an\n" +
			"error, and so is a tensor without a place.",
		Example: "  quarterturn import resnet18.safetensors --size 224 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225 --labels imagenet.txt --out resnet18.slab\n" +
			"  quarterturn import net.onnx --mean 0.5,0.5,0.5 --std 0.5,0.5,0.5 --out net.slab",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if shortcut != "" && shortcut != convert.PadBoth && shortcut != convert.PadEnd {
				return usagef("--pad-shortcut %q: want %s or %s", shortcut, convert.PadBoth, convert.PadEnd)
			}
			kind := filepath.Ext(args[0])
			if kind != ".safetensors" && kind != ".onnx" {
				return usagef("%s: want a name that ends in .safetensors or .onnx; files of torch.save (.pt, .pth) can run code when they are read, so save as safetensors instead", args[0])
			}
			if err := checkOther(args[0], out); err != nil {
				return err
			}
			b, err := readfile.AtMost(args[0], mostWeights)
			if err != nil {
				return err
			}
			if o.Labels, err = readLabels(labels); err != nil {
				return err
			}
			if o.Name == "" {
				o.Name = strings.TrimSuffix(filepath.Base(args[0]), kind)
			}
			var slab []byte
			if kind == ".safetensors" {
				slab, err = fromSafetensors(cmd, b, shortcut, o)
			} else {
				var m *format.Model
				if m, err = convert.ONNX(b, o); err == nil {
					slab, err = evaluate.EncodeWithSelfTest(m)
				}
			}
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if err := atomicfile.Write(out, slab); err != nil {
				return err
			}
			note("wrote %s, %d bytes", out, len(slab))
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&out, "out", "", "the slab to write")
	f.StringVar(&o.Name, "name", "", "the slab's name; empty: the file's")
	f.StringVar(&labels, "labels", "", "a file with the class names, one a line, in the order of the outputs; empty: their numbers")
	f.IntVar(&o.Size, "size", 0, "side of the input in pixels; an ONNX graph may say it itself")
	f.Float32SliceVar(&o.Mean, "mean", nil, "mean of each channel")
	f.Float32SliceVar(&o.Std, "std", nil, "standard deviation of each channel")
	f.StringVar(&shortcut, "pad-shortcut", "", "where shortcuts without weights put zeros: on both sides of the channels (as ResNets for CIFAR do), or at their end")
	return required(cmd, "out")
}

// How long files to import may be, in bytes.
const mostWeights, mostLabels = 2 << 30, 16 << 20

// readLabels returns the lines of a file.
func readLabels(name string) ([]string, error) {
	if name == "" {
		return nil, nil
	}
	b, err := readfile.AtMost(name, mostLabels)
	if err == nil {
		b, err = plain.Text(b)
	}
	if err != nil {
		return nil, fmt.Errorf("--labels %s: %w", name, err)
	}
	var labels []string
	for line := range strings.Lines(string(b)) {
		label := strings.TrimRight(line, "\r\n")
		if strings.TrimSpace(label) == "" || strings.ContainsFunc(label, unicode.IsControl) {
			return nil, fmt.Errorf("--labels %s, line %d: %q is blank or has a control character in it", name, len(labels)+1, label)
		}
		labels = append(labels, label)
	}
	return labels, nil
}

// fromSafetensors returns the slab of a state dict, or the slab that was exported.
func fromSafetensors(cmd *cobra.Command, b []byte, shortcut string, o convert.Options) ([]byte, error) {
	file, err := safetensors.Decode(b)
	if err != nil {
		return nil, err
	}
	m, hash, err := file.Model()
	if err != nil {
		return nil, err
	}
	if m == nil {
		if m, err = convert.StateDict(file.Tensors, shortcut, o); err != nil {
			return nil, err
		}
		return evaluate.EncodeWithSelfTest(m)
	}
	if flag := changed(cmd.Flags(), "out", "quiet", "verbose"); flag != "" {
		return nil, usagef("--%s: this is a slab that was exported, which says all of this itself", flag)
	}
	slab, err := pack.Encode(m)
	if err != nil {
		return nil, err
	}
	if got := format.Hex(m.Hash[:]); got != hash {
		return nil, errors.New("the tensors are not those of the slab it names, " + hash)
	}
	return slab, nil
}
