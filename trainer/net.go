package trainer

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/quarterturn/quarterturn/format"
)

// resNet gives the layers of a post-activation CIFAR ResNet (He et al. 2015,
// section 4.2): a 3x3 stem, three stages of (depth-2)/6 basic blocks of widths
// w, 2w and 4w, parameter-free shortcuts, global average pooling. name is
// resnetD, as in resnet8 or resnet32, or resnetDwW for another width than 16.
func resNet(name string) ([]format.Layer, error) {
	digits, isNet := strings.CutPrefix(name, "resnet")
	depthText, widthText, wide := strings.Cut(digits, "w")
	depth, err := strconv.Atoi(depthText)
	if !isNet || err != nil || depth < 8 || (depth-2)%6 != 0 {
		return nil, fmt.Errorf("net %q: want resnet8, resnet14, resnet20, resnet26, resnet32 ..., perhaps with a width as in resnet8w32", name)
	}
	width := 16
	if wide {
		if width, err = strconv.Atoi(widthText); err != nil || width < 8 || width > 512 || width%8 != 0 {
			return nil, fmt.Errorf("net %q: the width must be a multiple of 8 up to 512", name)
		}
	}
	layers := []format.Layer{{Name: "stem", Op: format.OpConv, Out: width, Kernel: 3, Stride: 1, ReLU: true}}
	last := 1 // the value that the last layer computed
	for stage := range 3 {
		out := width << stage
		for block := range (depth - 2) / 6 {
			stride := 1
			if stage > 0 && block == 0 {
				stride = 2
			}
			input, skip := last, last
			base := fmt.Sprintf("stage%d.%d.", stage+1, block+1)
			layers = append(layers, format.Layer{Name: base + "conv1", Op: format.OpConv, Input: input, Out: out, Kernel: 3, Stride: stride, ReLU: true})
			middle := len(layers)
			if stride == 2 {
				layers = append(layers, format.Layer{Name: base + "shortcut", Op: format.OpShortcut, Input: input, Out: out, Stride: 2})
				skip = len(layers)
			}
			layers = append(layers, format.Layer{Name: base + "conv2", Op: format.OpConv, Input: middle, Residual: skip, Out: out, Kernel: 3, Stride: 1, ReLU: true})
			last = len(layers)
		}
	}
	return append(layers, format.Layer{Name: "mean", Op: format.OpMean, Input: last}), nil
}
