package nets

import (
	"fmt"
	"strconv"

	"github.com/quarterturn/quarterturn/format"
)

// fastGroups is how many groups of layers a fast net has; each halves the image.
const fastGroups = 3

// Halved ends the name of a fast net whose stem has a stride of 2.
const Halved = "s2"

// IsFast says whether a name is that of a fast net.
func IsFast(name string) bool { return fastName.MatchString(name) }

// parseFast returns the net of fastA or fastA-B, halved if its stem has a stride of 2: see Parse.
func parseFast(name, first, rest string, halved bool, input format.Input) (Net, error) {
	a, err := strconv.Atoi(first)
	b := 2 * a
	if err == nil && rest != "" {
		b, err = strconv.Atoi(rest)
	}
	if err != nil || a < 8 || a > 512 || a%8 != 0 || b < 8 || b > 1024 || b%8 != 0 {
		return Net{}, fmt.Errorf("net %q: the widths must be multiples of 8, the first up to 512, the second up to 1024", name)
	}
	halvings, stride := fastGroups, 1
	if halved {
		halvings, stride = fastGroups+1, 2
	}
	if least := 1 << halvings; input.Height < least || input.Width < least {
		return Net{}, fmt.Errorf("net %q halves images %d times: %dx%d pixels are too few, it needs %dx%d", name, halvings, input.Width, input.Height, least, least)
	}
	return Net{Stem: Stem{Width: StemWidth(input.Channels), Kernel: 3, Stride: stride}, Fast: []int{a, b, b}}, nil
}

// StemWidth is twice the components that a whitening stem keeps: 16 of the 27 of a coloured
// patch, 8 of the 9 of a grey one.
func StemWidth(channels int) int {
	if channels == 1 {
		return 16
	}
	return 32
}

// fastLayers returns a fast net as a slab has it. There pooling is behind the ReLU, in
// training before the normalisation, which is the same since neither changes the order.
func (n Net) fastLayers() []format.Layer {
	layers := []format.Layer{n.Stem.layer()}
	for i, width := range n.Fast {
		stage := fmt.Sprintf("stage%d.", i+1)
		in := len(layers)
		layers = append(layers,
			conv(stage+"conv1", in, 0, width, 3, 1, true),
			format.Layer{Name: stage + "pool", Op: format.OpMax, Input: in + 1, Out: width, Kernel: 2, Stride: 2},
			conv(stage+"conv2", in+2, 0, width, 3, 1, true))
	}
	return append(layers, format.Layer{Name: "mean", Op: format.OpMean, Input: len(layers)})
}
