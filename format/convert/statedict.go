package convert

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/safetensors"
)

// Epsilon is that of PyTorch's batch normalisation, unless told otherwise.
const Epsilon = 1e-5

// Where a shortcut without weights puts the channels of its input among those of its
// output: at both sides zeros, as in the public ResNets for CIFAR-10; or zeros after them.
const (
	PadBoth = "both"
	PadEnd  = "end"
)

// StateDict returns the model of a ResNet's state dict with torchvision's names: conv1,
// bn1, layer1.0.conv1 ... layer4.1.bn2, downsample or shortcut, fc or linear; basic blocks
// or bottlenecks, any number of layers, blocks and channels. A stem of 7 x 7 has stride 2
// and max pooling behind it, one of 3 x 3 neither; the first block of layer2 and of those
// after it has stride 2, in its 3 x 3 convolution. pad is PadBoth, PadEnd, or empty for nets
// whose shortcuts have weights.
//
// Every tensor must find its place: one that is left over is an error.
func StateDict(tensors map[string]safetensors.Tensor, pad string, o Options) (*format.Model, error) {
	if o.Size < 1 {
		return nil, errors.New("a state dict does not say how large the input is: give its side in pixels")
	}
	s := &stateDict{tensors: map[string]safetensors.Tensor{}, pad: pad}
	prefix := wrapper(tensors)
	for name, t := range tensors {
		s.tensors[strings.TrimPrefix(name, prefix)] = t
	}
	m, err := s.resnet(o)
	if err != nil {
		return nil, fmt.Errorf("the state dict: %w", err)
	}
	var left []string
	for name := range s.tensors {
		if !strings.HasSuffix(name, ".num_batches_tracked") {
			left = append(left, name)
		}
	}
	if len(left) > 0 {
		slices.Sort(left)
		return nil, fmt.Errorf("the state dict: %d tensors have no place in a ResNet, %s the first", len(left), left[0])
	}
	return m, nil
}

// wrapper returns the prefix that DataParallel and the like put before every name.
func wrapper(tensors map[string]safetensors.Tensor) string {
	prefix := ""
	for {
		next := ""
		for name := range tensors {
			first, _, ok := strings.Cut(strings.TrimPrefix(name, prefix), ".")
			if !ok || next != "" && first != next {
				return prefix
			}
			next = first
		}
		if next != "module" && next != "model" && next != "backbone" && next != "encoder" {
			return prefix
		}
		prefix += next + "."
	}
}

type stateDict struct {
	tensors map[string]safetensors.Tensor
	pad     string
	b       *builder
}

// has says whether a tensor is there still.
func (s *stateDict) has(name string) bool {
	_, ok := s.tensors[name]
	return ok
}

// take removes a tensor and returns it.
func (s *stateDict) take(name string) (safetensors.Tensor, error) {
	t, ok := s.tensors[name]
	if !ok {
		return t, fmt.Errorf("there is no tensor %s", name)
	}
	if t.Data == nil {
		return t, fmt.Errorf("%s has the type %s, not one of floating point", name, t.DType)
	}
	delete(s.tensors, name)
	return t, nil
}

// bias takes the bias of a layer, if it has one.
func (s *stateDict) bias(layer string) ([]float32, error) {
	if !s.has(layer + ".bias") {
		return nil, nil
	}
	t, err := s.take(layer + ".bias")
	return t.Data, err
}

// conv adds a convolution and the batch normalisation behind it.
func (s *stateDict) conv(conv, norm string, x *node, stride int) (*node, error) {
	w, err := s.take(conv + ".weight")
	if err != nil {
		return nil, err
	}
	bias, err := s.bias(conv)
	if err != nil {
		return nil, err
	}
	y, err := s.b.conv(conv, x, w.Data, w.Shape, bias, stride)
	if err != nil {
		return nil, err
	}
	var p [4][]float32
	for i, part := range []string{"weight", "bias", "running_mean", "running_var"} {
		t, err := s.take(norm + "." + part)
		if err != nil {
			return nil, err
		}
		p[i] = t.Data
	}
	return s.b.batchNorm(norm, y, p[0], p[1], p[2], p[3], Epsilon)
}

func (s *stateDict) resnet(o Options) (*format.Model, error) {
	stem, ok := s.tensors["conv1.weight"]
	if !ok || len(stem.Shape) != 4 {
		return nil, errors.New("there is no conv1.weight of four dimensions; only ResNets with torchvision's names can be read")
	}
	var err error
	if s.b, err = newBuilder(stem.Shape[1], o.Size, o.Size); err != nil {
		return nil, err
	}
	large := stem.Shape[2] == 7
	stride := 1
	if large {
		stride = 2
	}
	x, err := s.conv("conv1", "bn1", s.b.image, stride)
	if err != nil {
		return nil, err
	}
	if x, err = s.b.relu("relu", x); err != nil {
		return nil, err
	}
	if large {
		if x, err = s.b.max("maxpool", x, 3, 2); err != nil {
			return nil, err
		}
	}
	layers, blocks := 0, 0
	for ; s.has(fmt.Sprintf("layer%d.0.conv1.weight", layers+1)); layers++ {
		for i := 0; s.has(fmt.Sprintf("layer%d.%d.conv1.weight", layers+1, i)); i++ {
			stride := 1
			if layers > 0 && i == 0 {
				stride = 2
			}
			if x, err = s.block(fmt.Sprintf("layer%d.%d", layers+1, i), x, stride); err != nil {
				return nil, err
			}
			blocks++
		}
	}
	if blocks == 0 {
		return nil, errors.New("there is no layer1.0.conv1.weight; only ResNets with torchvision's names can be read")
	}
	for _, name := range []string{"fc", "linear", "classifier"} {
		if !s.has(name + ".weight") {
			continue
		}
		w, err := s.take(name + ".weight")
		if err != nil {
			return nil, err
		}
		bias, err := s.bias(name)
		if err != nil {
			return nil, err
		}
		return s.b.model(x, w.Data, w.Shape, bias, o, format.Provenance{Tool: "PyTorch", Data: "unknown", Method: "imported",
			Net: fmt.Sprintf("ResNet of %d layers, %d blocks", layers, blocks)})
	}
	return nil, errors.New("there is no classifier fc, linear or classifier")
}

// block adds a basic block, or a bottleneck if there is a third convolution.
func (s *stateDict) block(name string, x *node, stride int) (*node, error) {
	part := func(p string) string { return name + "." + p }
	strides := []int{stride, 1}
	if s.has(part("conv3.weight")) {
		strides = []int{1, stride, 1}
	}
	y, err := x, error(nil)
	for i, st := range strides {
		if y, err = s.conv(part(fmt.Sprintf("conv%d", i+1)), part(fmt.Sprintf("bn%d", i+1)), y, st); err != nil {
			return nil, err
		}
		if i < len(strides)-1 {
			if y, err = s.b.relu(part("relu"), y); err != nil {
				return nil, err
			}
		}
	}
	short, err := s.shortcut(part, x, y, stride)
	if err != nil {
		return nil, err
	}
	if y, err = s.b.sum(part("sum"), y, short); err != nil {
		return nil, err
	}
	return s.b.relu(part("relu"), y)
}

// shortcut returns what is added to a block's output y: its input, with the shape of y.
func (s *stateDict) shortcut(part func(string) string, x, y *node, stride int) (*node, error) {
	for _, name := range []string{"downsample", "shortcut"} {
		if s.has(part(name + ".0.weight")) {
			return s.conv(part(name+".0"), part(name+".1"), x, stride)
		}
	}
	if x.out == y.out && stride == 1 {
		return x, nil
	}
	if x.out > y.out {
		return nil, fmt.Errorf("%s has no weights, but channels fall from %d to %d", part("downsample"), x.out, y.out)
	}
	switch extra := y.out - x.out; s.pad {
	case PadEnd:
		return s.b.padded(part("shortcut"), x, 0, extra, stride)
	case PadBoth:
		return s.b.padded(part("shortcut"), x, extra/2, extra-extra/2, stride)
	}
	return nil, fmt.Errorf("%s: its shortcut has no weights, so new channels are zero, but the file does not say where: on %s sides of the old ones, or after them, at the %s", part("downsample"), PadBoth, PadEnd)
}
