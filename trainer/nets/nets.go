// Package nets describes the nets that are trained.
//
// Parse returns the Net of a name, Of that of a slab. A Net says which layers there are, with
// Layers as a slab has them; package graph makes them Ops.
package nets

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/plain"
)

// common are the names that somebody may have meant.
var common = []string{"resnet8", "resnet14", "resnet20", "resnet26", "resnet32", "resnet44", "resnet56", "resnet18", "fast32", "fast64", "conv4", "resnet12"}

// Examples are names of nets of every kind.
var Examples = []string{"fast32", "fast64", "fast64-256", "fast64s2", "resnet8", "resnet8p", "resnet8w32", "resnet14", "resnet20", "resnet32", "resnet18", "conv4", "conv4w32", "resnet12"}

// A Net is a post-activation residual network, a stem, perhaps max pooling, basic
// blocks and global average pooling, or any chain of layers, or a fast net.
type Net struct {
	Stem    Stem
	Fast    []int          // the widths of the groups of a fast net, which is these behind the stem
	Chain   []format.Layer // of a chain, all layers
	Pool    bool           // max pooling behind the stem
	Project bool           // shortcuts are 1x1 convolutions where they are not the identity
	Stages  [][]Block
}

// A Stem is a net's first convolution.
type Stem struct{ Width, Kernel, Stride int }

// A Block is two 3x3 convolutions and a shortcut.
type Block struct {
	Name        string // of its layers, in front
	Out, Stride int    // only the first of a stage may have another stride than 1
}

var (
	netName   = regexp.MustCompile(`^resnet([0-9]{1,4})(w[0-9]{1,4})?(p)?$`)
	fastName  = regexp.MustCompile(`^fast([0-9]{1,4})(?:-([0-9]{1,4}))?(` + Halved + `)?$`)
	chainName = regexp.MustCompile(`^(conv4|resnet12)(?:w([0-9]{1,4}))?$`)
)

// Parse returns the net of a name: a CIFAR ResNet (He et al. 2015, section 4.2): three stages of
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
// (see package start), then three groups of widths A, B and B, each convolution - 2x2 max pooling
// - normalisation - ReLU - convolution - normalisation - ReLU. fastA is fastA-B with B twice A. A name
// that ends in Halved is that of the net for images twice as large: its stem has a stride of 2, and the
// layers behind it the computations of the other net.
//
// The error is that of a name that no net has, or of images that a net cannot have.
func Parse(name string, input format.Input) (Net, error) {
	if parts := fastName.FindStringSubmatch(name); parts != nil {
		return parseFast(name, parts[1], parts[2], parts[3] != "", input)
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
		n := Net{Stem: Stem{Width: 64, Kernel: 7, Stride: 2}, Pool: true, Project: true}
		n.addStages(4, 2)
		return n, nil
	}
	if slices.Contains([]int{34, 50, 101, 152}, depth) {
		return Net{}, fmt.Errorf("net %q: nets of that name are for large images and are not here; did you mean resnet18, or resnet44 or resnet56 for small ones?", name)
	}
	if depth < 8 || (depth-2)%6 != 0 {
		return Net{}, fmt.Errorf("net %q%s: want resnet8, resnet14, resnet20, resnet26, resnet32 ..., perhaps with a width as in resnet8w32, and p for 1x1 shortcuts as in resnet8p; resnet18; fast32, fast64 ..., perhaps with the width of the later groups as in fast64-256, and s2 for images twice as large as in fast64s2; or conv4 and resnet12, perhaps with a width", name, plain.DidYouMean(name, common))
	}
	n := Net{Stem: Stem{Width: 16, Kernel: 3, Stride: 1}, Project: parts[3] != ""}
	if parts[2] != "" {
		if n.Stem.Width, _ = strconv.Atoi(parts[2][1:]); n.Stem.Width < 8 || n.Stem.Width > 512 || n.Stem.Width%8 != 0 {
			return Net{}, fmt.Errorf("net %q: the width must be a multiple of 8 up to 512", name)
		}
	}
	n.addStages(3, (depth-2)/6)
	return n, nil
}

// Of returns the net of a slab for such an input: that of its name, or if it has none, or
// layers of its own, a chain of those. The error is that of layers that cannot be trained.
func Of(m *format.Model, input format.Input) (Net, error) {
	if n, err := Parse(m.Provenance.Net, input); err == nil && slices.Equal(n.Layers(), m.Layers) {
		return n, nil
	}
	stem := m.Layers[0]
	if stem.Op != format.OpConv {
		return Net{}, fmt.Errorf("the slab begins with the layer %s, not with a convolution: its net cannot be trained", stem.Op)
	}
	for _, l := range m.Layers {
		if l.Op == format.OpMax && l.Kernel == 2 {
			return Net{}, fmt.Errorf("layer %s pools windows of 2x2, which is trained in the nets fast32, fast64 ... alone", l.Name)
		}
	}
	return Net{Stem: Stem{Kernel: stem.Kernel}, Chain: m.Layers}, nil
}

// addStages makes so many stages of so many blocks, each stage but the first
// half the size and twice the width of the one before.
func (n *Net) addStages(stages, size int) {
	for stage := range stages {
		var blocks []Block
		for i := range size {
			b := Block{fmt.Sprintf("stage%d.%d.", stage+1, i+1), n.Stem.Width << stage, 1}
			if stage > 0 && i == 0 {
				b.Stride = 2
			}
			blocks = append(blocks, b)
		}
		n.Stages = append(n.Stages, blocks)
	}
}

// IsFast says whether this is a fast net, whose stem is a whitening.
func (n Net) IsFast() bool { return n.Fast != nil }

// Layers returns the net as a slab has it.
func (n Net) Layers() []format.Layer {
	if n.Chain != nil {
		return n.Chain
	}
	if n.IsFast() {
		return n.fastLayers()
	}
	layers := []format.Layer{n.Stem.layer()}
	if n.Pool {
		layers = append(layers, pool("pool", 1, n.Stem.Width))
	}
	in, width := len(layers), n.Stem.Width // the value that the last layer computed, its channels
	for _, b := range slices.Concat(n.Stages...) {
		layers = append(layers, conv(b.Name+"conv1", in, 0, b.Out, 3, b.Stride, true))
		middle, skip := len(layers), in
		if b.Stride == 2 || b.Out != width {
			if n.Project {
				layers = append(layers, conv(b.Name+"shortcut", in, 0, b.Out, 1, b.Stride, false))
			} else {
				layers = append(layers, format.Layer{Name: b.Name + "shortcut", Op: format.OpShortcut, Input: in, Out: b.Out, Stride: b.Stride})
			}
			skip = len(layers)
		}
		layers = append(layers, conv(b.Name+"conv2", middle, skip, b.Out, 3, 1, true))
		in, width = len(layers), b.Out
	}
	return append(layers, format.Layer{Name: "mean", Op: format.OpMean, Input: in})
}

func (s Stem) layer() format.Layer { return conv("stem", 0, 0, s.Width, s.Kernel, s.Stride, true) }

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
	return Net{Stem: Stem{Kernel: 3}, Chain: append(layers, format.Layer{Name: "mean", Op: format.OpMean, Input: len(layers)})}, nil
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
