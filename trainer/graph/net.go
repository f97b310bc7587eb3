package graph

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
)

// A Net is a post-activation residual network, a stem, perhaps max pooling, basic
// blocks and global average pooling, or any chain of layers, or a fast net.
type Net struct {
	fast           []int          // widths of the groups of a fast net; if it is not nil, the rest is but the stem
	chain          []format.Layer // if it is not nil, the rest is but kernel
	width          int            // of the stem
	kernel, stride int            // of the stem
	pool           bool
	project        bool
	stages         [][]netBlock
}

type netBlock struct {
	name        string
	out, stride int // only the first of a stage may have another stride than 1
}

var (
	netName   = regexp.MustCompile(`^resnet([0-9]{1,4})(w[0-9]{1,4})?(p)?$`)
	fastName  = regexp.MustCompile(`^fast([0-9]{1,4})(?:-([0-9]{1,4}))?$`)
	chainName = regexp.MustCompile(`^(conv4|resnet12)(?:w([0-9]{1,4}))?$`)
)

// ParseNet returns a CIFAR ResNet (He et al. 2015, section 4.2): three stages of
// (depth-2)/6 basic blocks of widths w, 2w and 4w. name is resnetD, as in resnet8
// or resnet32, resnetDwW for another width than 16, and ends in p for shortcuts
// with 1x1 convolutions instead of parameter-free ones. resnet18 is that for
// larger images (section 4.1 there): a 7x7 stem of stride 2, max pooling, four
// stages of two blocks of widths 64 to 512, 1x1 shortcuts. conv4 and resnet12, perhaps
// with another width than 64 as in conv4w32, are the nets of few-shot learning: see conv4
// and resNet12.
//
// fastA-B is wide and shallow (after Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a
// Single GPU", there with 2x2 whitening and GELU): a frozen stem that whitens 3x3 patches
// (see Whitening), then three groups of widths A, B and B, each convolution - 2x2 max pooling
// - normalisation - ReLU - convolution - normalisation - ReLU. fastA is fastA-B with B twice A.
//
// The error is that of a name that no net has, or of images that a net cannot have.
func ParseNet(name string, input format.Input) (Net, error) {
	if parts := fastName.FindStringSubmatch(name); parts != nil {
		return parseFast(name, parts[1], parts[2], input)
	}
	if parts := chainName.FindStringSubmatch(name); parts != nil {
		return parseChain(name, parts[1], parts[2])
	}
	parts := netName.FindStringSubmatch(name)
	var depth int
	if parts != nil {
		depth, _ = strconv.Atoi(parts[1])
	}
	if depth == 18 && parts[2]+parts[3] == "" {
		n := Net{width: 64, kernel: 7, stride: 2, pool: true, project: true}
		n.addStages(4, 2)
		return n, nil
	}
	if slices.Contains([]int{34, 50, 101, 152}, depth) {
		return Net{}, fmt.Errorf("net %q: nets of that name are for large images and are not here; did you mean resnet18, or resnet44 or resnet56 for small ones?", name)
	}
	if depth < 8 || (depth-2)%6 != 0 {
		return Net{}, fmt.Errorf("net %q%s: want resnet8, resnet14, resnet20, resnet26, resnet32 ..., perhaps with a width as in resnet8w32, and p for 1x1 shortcuts as in resnet8p; resnet18; fast32, fast64 ..., perhaps with the width of the later groups as in fast64-256; or conv4 and resnet12, perhaps with a width", name, didYouMean(name))
	}
	n := Net{width: 16, kernel: 3, stride: 1, project: parts[3] != ""}
	if parts[2] != "" {
		if n.width, _ = strconv.Atoi(parts[2][1:]); n.width < 8 || n.width > 512 || n.width%8 != 0 {
			return Net{}, fmt.Errorf("net %q: the width must be a multiple of 8 up to 512", name)
		}
	}
	n.addStages(3, (depth-2)/6)
	return n, nil
}

// addStages makes so many stages of so many blocks, each stage but the first
// half the size and twice the width of the one before.
func (n *Net) addStages(stages, size int) {
	for stage := range stages {
		var blocks []netBlock
		for i := range size {
			b := netBlock{fmt.Sprintf("stage%d.%d.", stage+1, i+1), n.width << stage, 1}
			if stage > 0 && i == 0 {
				b.stride = 2
			}
			blocks = append(blocks, b)
		}
		n.stages = append(n.stages, blocks)
	}
}

// border is the width of the border of zeros around the images.
func (n Net) border() int { return (&nhwc.Conv{Kernel: n.kernel}).Border() }

// Whitens says whether the net wants a Whitening.
func (n Net) Whitens() bool { return n.fast != nil }

// Layers returns the net as a slab has it.
func (n Net) Layers() []format.Layer {
	if n.chain != nil {
		return n.chain
	}
	if n.fast != nil {
		return n.fastLayers()
	}
	layers := []format.Layer{conv("stem", 0, 0, n.width, n.kernel, n.stride, true)}
	if n.pool {
		layers = append(layers, pool("pool", 1, n.width))
	}
	in, width := len(layers), n.width // the value that the last layer computed, its channels
	for _, b := range slices.Concat(n.stages...) {
		layers = append(layers, conv(b.name+"conv1", in, 0, b.out, 3, b.stride, true))
		middle, skip := len(layers), in
		if b.stride == 2 || b.out != width {
			if n.project {
				layers = append(layers, conv(b.name+"shortcut", in, 0, b.out, 1, b.stride, false))
			} else {
				layers = append(layers, format.Layer{Name: b.name + "shortcut", Op: format.OpShortcut, Input: in, Out: b.out, Stride: b.stride})
			}
			skip = len(layers)
		}
		layers = append(layers, conv(b.name+"conv2", middle, skip, b.out, 3, 1, true))
		in, width = len(layers), b.out
	}
	return append(layers, format.Layer{Name: "mean", Op: format.OpMean, Input: in})
}

// parseChain returns the net of a kind with a width, which is 64 if it is empty.
func parseChain(name, kind, width string) (Net, error) {
	w := 64
	if width != "" {
		w, _ = strconv.Atoi(width)
	}
	build, step := conv4, 8
	if kind == "resnet12" {
		build, step = resNet12, 16
	}
	if w < step || w > 512 || w%step != 0 {
		return Net{}, fmt.Errorf("net %q: the width must be a multiple of %d up to 512", name, step)
	}
	layers := build(w)
	return Net{kernel: 3, chain: append(layers, format.Layer{Name: "mean", Op: format.OpMean, Input: len(layers)})}, nil
}

// conv4 is the net of prototypical networks (Snell et al. 2017): four times a 3x3
// convolution, normalisation, ReLU and pooling. Windows of pooling are 3x3, not 2x2, and
// the features are means over the pixels, not all pixels: this is what slabs have.
func conv4(width int) (layers []format.Layer) {
	for i := range 4 {
		name := fmt.Sprint("conv", i+1)
		layers = append(layers, conv(name, 2*i, 0, width, 3, 1, true), pool(name+".pool", 2*i+1, width))
	}
	return layers
}

// resNet12 is the net of MetaOptNet (Lee et al. 2019): four blocks of three 3x3
// convolutions with a 1x1 shortcut and pooling, of widths w, 2.5 w, 5 w and 10 w. It has
// ReLU where that has leaky ReLU, pools as conv4 does, and drops no blocks of pixels.
func resNet12(width int) (layers []format.Layer) {
	for i, out := range []int{width, width * 5 / 2, width * 5, width * 10} {
		name := fmt.Sprintf("block%d.", i+1)
		in := len(layers) // the value that the block reads; the four that follow are its layers'
		layers = append(layers,
			conv(name+"conv1", in, 0, out, 3, 1, true),
			conv(name+"conv2", in+1, 0, out, 3, 1, true),
			conv(name+"shortcut", in, 0, out, 1, 1, false),
			conv(name+"conv3", in+2, in+3, out, 3, 1, true),
			pool(name+"pool", in+4, out))
	}
	return layers
}

// conv and pool are layers of a slab; input and residual are values.
func conv(name string, input, residual, out, kernel, stride int, relu bool) format.Layer {
	return format.Layer{Name: name, Op: format.OpConv, Input: input, Residual: residual, Out: out, Kernel: kernel, Stride: stride, ReLU: relu}
}

func pool(name string, input, channels int) format.Layer {
	return format.Layer{Name: name, Op: format.OpMax, Input: input, Out: channels, Kernel: 3, Stride: 2}
}

// didYouMean returns a question about the net whose name differs in one or two letters, or
// nothing.
func didYouMean(name string) string {
	known := []string{"resnet8", "resnet14", "resnet20", "resnet26", "resnet32", "resnet44", "resnet56", "resnet18", "fast32", "fast64", "conv4", "resnet12"}
	best := slices.MinFunc(known, func(a, b string) int { return edits(name, a) - edits(name, b) })
	if edits(name, best) > 2 {
		return ""
	}
	return ", did you mean " + best + "?"
}

// edits counts the letters to insert, delete or replace (Levenshtein 1966).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := corner
			if a[i] != b[j] {
				change++
			}
			corner = row[j+1]
			row[j+1] = min(change, corner+1, row[j]+1)
		}
	}
	return row[len(b)]
}
