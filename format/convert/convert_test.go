package convert

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/format/onnx"
	"github.com/quarterturn/quarterturn/format/safetensors"
	"github.com/quarterturn/quarterturn/sla"
)

// fixtures are what testdata/make.py wrote, by name.
type fixtures map[string]struct {
	Size, Channels int
	Pad            string
	Softmax        bool // of the graph's output
	Logits         []float64
}

func readFixtures(t *testing.T) fixtures {
	t.Helper()
	b, err := os.ReadFile("testdata/logits.json")
	if err != nil {
		t.Fatal(err)
	}
	var f fixtures
	if err := json.Unmarshal(b, &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// answer runs a model's mode baseline on the bytes that make.py made, as RGBA.
func answer(t *testing.T, m *format.Model, size int) (logits, probabilities []float32) {
	t.Helper()
	c, err := sla.New(m)
	if err != nil {
		t.Fatal(err)
	}
	rgba := formattest.Noise(5, size*size*4)
	for i := 3; i < len(rgba); i += 4 {
		rgba[i] = 255
	}
	if err := errors.Join(c.Begin(size, size), c.Rows(rgba)); err != nil {
		t.Fatal(err)
	}
	r, err := c.Run(sla.Baseline)
	if err != nil {
		t.Fatal(err)
	}
	return r.Logits, r.Probabilities
}

func options(channels, size int) Options {
	return Options{Name: "test", Size: size, Mean: []float32{.485, .456, .406}[:channels], Std: []float32{.229, .224, .225}[:channels]}
}

// Imported nets compute PyTorch's logits, from state dicts and from graphs.
func TestPyTorchsLogits(t *testing.T) {
	for name, f := range readFixtures(t) {
		models := map[string]*format.Model{}
		if !f.Softmax {
			file, err := safetensors.Decode(read(t, name+".safetensors"))
			if err != nil {
				t.Fatal(name, err)
			}
			if models["state dict"], err = StateDict(file.Tensors, f.Pad, options(f.Channels, f.Size)); err != nil {
				t.Error(name, err)
				continue
			}
		}
		if f.Pad == "" {
			var err error
			if models["ONNX"], err = ONNX(read(t, name+".onnx"), options(f.Channels, 0)); err != nil {
				t.Error(name, err)
				continue
			}
		}
		for kind, m := range models {
			got, probabilities := answer(t, m, f.Size)
			if f.Softmax {
				got = probabilities
			}
			if len(got) != len(f.Logits) {
				t.Errorf("%s, %s: %d logits, want %d", name, kind, len(got), len(f.Logits))
				continue
			}
			for k, want := range f.Logits {
				if d := math.Abs(float64(got[k]) - want); !(d <= 2e-5*max(1, math.Abs(want))) {
					t.Errorf("%s, %s: logit %d is %v, want %v", name, kind, k, got[k], want)
				}
			}
		}
	}
}

// What this program exports as ONNX comes back as a net with the same logits, to the bit
// where the order of sums is the same.
func TestOwnExportComesBack(t *testing.T) {
	for _, channels := range []int{1, 3} {
		m := formattest.Tiny(channels)
		b, err := onnx.Encode(m, onnx.Options{Mode: format.ModeBaseline})
		if err != nil {
			t.Fatal(err)
		}
		o := Options{Name: "again", Labels: m.Labels, Mean: m.Input.Mean, Std: m.Input.Std}
		back, err := ONNX(b, o)
		if err != nil {
			t.Fatal(err)
		}
		if len(back.Layers) != len(m.Layers) || back.MACs() != m.MACs() {
			t.Errorf("%d layers and %d multiply-adds, want %d and %d", len(back.Layers), back.MACs(), len(m.Layers), m.MACs())
		}
		got, _ := answer(t, back, 8)
		want, _ := answer(t, m, 8)
		for k := range want {
			if got[k] != want[k] {
				t.Errorf("logit %d is %v, want %v", k, got[k], want[k])
			}
		}
		if b, err = onnx.Encode(m, onnx.Options{Mode: format.ModeAggregated}); err != nil {
			t.Fatal(err)
		}
		if _, err := ONNX(b, o); err == nil || !strings.Contains(err.Error(), "a slab that was exported in the mode aggregated") {
			t.Errorf("aggregated: %v", err)
		}
	}
}

// What a slab cannot say is refused, with the name of the culprit.
func TestRefuses(t *testing.T) {
	tensor := func(shape ...int) safetensors.Tensor {
		n := 1
		for _, d := range shape {
			n *= d
		}
		return safetensors.Tensor{DType: "F32", Shape: shape, Data: make([]float32, n)}
	}
	good := func() map[string]safetensors.Tensor {
		f, err := safetensors.Decode(read(t, "other.safetensors"))
		if err != nil {
			t.Fatal(err)
		}
		return f.Tensors
	}
	for want, change := range map[string]func(map[string]safetensors.Tensor, *Options){
		"there is no tensor layer1.0.bn2.bias":                     func(m map[string]safetensors.Tensor, _ *Options) { delete(m, "module.layer1.0.bn2.bias") },
		"1 tensors have no place in a ResNet, se.weight the first": func(m map[string]safetensors.Tensor, _ *Options) { m["module.se.weight"] = tensor(2, 2) },
		"convolutions in groups cannot be put into a slab": func(m map[string]safetensors.Tensor, _ *Options) {
			m["module.layer1.0.conv2.weight"] = tensor(4, 1, 3, 3)
		},
		"there is no classifier":                     func(m map[string]safetensors.Tensor, _ *Options) { delete(m, "module.linear.weight") },
		"there is no conv1.weight":                   func(m map[string]safetensors.Tensor, _ *Options) { delete(m, "module.conv1.weight") },
		"the file does not say where":                func(m map[string]safetensors.Tensor, _ *Options) { delete(m, "module.layer2.0.shortcut.0.weight") },
		"it does not say how large":                  nil,
		"3 labels were given, the net has 4 outputs": func(_ map[string]safetensors.Tensor, o *Options) { o.Labels = []string{"a", "b", "c"} },
		"give as many means":                         func(_ map[string]safetensors.Tensor, o *Options) { o.Mean = nil },
		"a kernel of shape [4 3 4 4]":                func(m map[string]safetensors.Tensor, _ *Options) { m["module.conv1.weight"] = tensor(4, 3, 4, 4) },
		"layer1.0.conv1.weight holds a number that is not finite": func(m map[string]safetensors.Tensor, _ *Options) {
			m["module.layer1.0.conv1.weight"].Data[3] = float32(math.NaN())
		},
		"conv1.weight has the type I64, not one of floating point": func(m map[string]safetensors.Tensor, _ *Options) {
			m["module.conv1.weight"] = safetensors.Tensor{DType: "I64", Shape: []int{4, 3, 3, 3}}
		},
	} {
		tensors, o := good(), options(3, 12)
		if change == nil {
			o.Size, want = 0, "does not say how large the input is"
		} else {
			change(tensors, &o)
		}
		if _, err := StateDict(tensors, "", o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if _, err := ONNX([]byte("not a model"), options(3, 12)); err == nil || !strings.Contains(err.Error(), "not an ONNX model") {
		t.Error(err)
	}
	if _, err := ONNX(read(t, "basic.onnx"), options(3, 12)); err == nil || !strings.Contains(err.Error(), "takes images of 40 x 40, not 12 x 12") {
		t.Error(err)
	}
}

// Whatever the bytes, there is an error or a model that runs.
func FuzzONNX(f *testing.F) {
	for _, name := range []string{"other.onnx", "preact.onnx"} {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ONNX(b, Options{Name: "fuzz", Mean: []float32{.5, .5, .5}, Std: []float32{1, 1, 1}})
		if err != nil {
			return
		}
		if m.MACs() > 1<<24 {
			return
		}
		if _, err := sla.New(m); err != nil {
			t.Log(err)
		}
	})
}
