package trainer

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
)

// A net is a post-activation residual network: a stem, perhaps max pooling, basic
// blocks and global average pooling.
type net struct {
	width          int // of the stem
	kernel, stride int // of the stem
	pool           bool
	project        bool
	stages         [][]netBlock
}

type netBlock struct {
	name        string
	out, stride int // only the first of a stage may have another stride than 1
}

var netName = regexp.MustCompile(`^resnet([0-9]{1,4})(w[0-9]{1,4})?(p)?$`)

// parseNet gives a CIFAR ResNet (He et al. 2015, section 4.2): three stages of
// (depth-2)/6 basic blocks of widths w, 2w and 4w. name is resnetD, as in resnet8
// or resnet32, resnetDwW for another width than 16, and ends in p for shortcuts
// with 1x1 convolutions instead of parameter-free ones. resnet18 is that for
// larger images (section 4.1 there): a 7x7 stem of stride 2, max pooling, four
// stages of two blocks of widths 64 to 512, 1x1 shortcuts.
func parseNet(name string) (net, error) {
	parts := netName.FindStringSubmatch(name)
	var depth int
	if parts != nil {
		depth, _ = strconv.Atoi(parts[1])
	}
	if depth == 18 && parts[2]+parts[3] == "" {
		n := net{width: 64, kernel: 7, stride: 2, pool: true, project: true}
		n.addStages(4, 2)
		return n, nil
	}
	if depth < 8 || (depth-2)%6 != 0 {
		return net{}, fmt.Errorf("net %q: want resnet8, resnet14, resnet20, resnet26, resnet32 ..., perhaps with a width as in resnet8w32, and p for 1x1 shortcuts as in resnet8p; or resnet18", name)
	}
	n := net{width: 16, kernel: 3, stride: 1, project: parts[3] != ""}
	if parts[2] != "" {
		if n.width, _ = strconv.Atoi(parts[2][1:]); n.width < 8 || n.width > 512 || n.width%8 != 0 {
			return net{}, fmt.Errorf("net %q: the width must be a multiple of 8 up to 512", name)
		}
	}
	n.addStages(3, (depth-2)/6)
	return n, nil
}

// addStages makes so many stages of so many blocks, each stage but the first
// half the size and twice the width of the one before.
func (n *net) addStages(stages, size int) {
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
func (n net) border() int { return (&nhwc.Conv{Kernel: n.kernel}).Border() }

// layers gives the net as a slab has it.
func (n net) layers() []format.Layer {
	conv := func(name string, input, residual, out, kernel, stride int, relu bool) format.Layer {
		return format.Layer{Name: name, Op: format.OpConv, Input: input, Residual: residual, Out: out, Kernel: kernel, Stride: stride, ReLU: relu}
	}
	layers := []format.Layer{conv("stem", 0, 0, n.width, n.kernel, n.stride, true)}
	if n.pool {
		layers = append(layers, format.Layer{Name: "pool", Op: format.OpMax, Input: 1, Out: n.width, Kernel: 3, Stride: 2})
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
