package graph

import (
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
		if _, err := ParseNet(name, input); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}
