package nets

import (
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
)

// The names of nets for large images are not taken for others, and slips are asked about.
func TestFieldNetNames(t *testing.T) {
	input := format.Input{Channels: 3, Height: 32, Width: 32}
	for name, want := range map[string]string{
		"resnet50":  "did you mean resnet18, or resnet44",
		"resnet34":  "did you mean resnet18",
		"resnet101": "did you mean resnet18",
		"resnet9":   "did you mean resnet8?",
		"restnet20": "did you mean resnet20?",
		"ResNet8":   "did you mean resnet8?",
		"vgg16":     `net "vgg16": want resnet8`,
	} {
		if _, err := Parse(name, input); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

func TestFastNetErrors(t *testing.T) {
	for _, c := range []struct {
		name   string
		side   int
		expect string
	}{{"fast60", 32, "multiples of 8"}, {"fast64-20", 32, "multiples of 8"}, {"fast0", 32, "multiples of 8"}, {"fast64", 7, "7x7 pixels are too few, it needs 8x8"}, {"fast64s2", 8, "halves images 4 times: 8x8 pixels are too few, it needs 16x16"}, {"fast64x", 32, "want resnet8"}} {
		if _, err := Parse(c.name, format.Input{Channels: 3, Height: c.side, Width: c.side}); err == nil || !strings.Contains(err.Error(), c.expect) {
			t.Errorf("%s for %dx%d: %v", c.name, c.side, c.side, err)
		}
	}
	for _, side := range []int{8, 28, 32, 64, 96} {
		for _, channels := range []int{1, 3} {
			input := format.Input{Channels: channels, Height: side, Width: side}
			n, err := Parse("fast16", input)
			if err != nil {
				t.Fatal(err)
			}
			m := format.Manifest{Input: input, Layers: n.Layers()}
			shapes := m.Shapes()
			if got, want := shapes[len(shapes)-2], (format.Shape{Channels: 32, Height: side / 8, Width: side / 8}); got != want {
				t.Errorf("%d pixels end as %v, want %v", side, got, want)
			}
			// Behind the stem it is the net for images half as large.
			if side == 8 {
				continue
			}
			halved, err := Parse("fast16s2", input)
			if err != nil {
				t.Fatal(err)
			}
			of := format.Manifest{Input: input, Layers: halved.Layers()}
			input.Height, input.Width = side/2, side/2
			half := format.Manifest{Input: input, Layers: n.Layers()}
			if got, want := of.Shapes()[1:], half.Shapes()[1:]; !slices.Equal(got, want) {
				t.Errorf("fast16s2 of %d pixels has %v, fast16 of half as many %v", side, got, want)
			}
		}
	}
}
