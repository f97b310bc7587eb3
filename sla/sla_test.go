//go:build !wasm

package sla

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
)

// fixture reads a file that testdata/fixtures.py wrote.
func fixture(t testing.TB, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestJointLabelsAreClassMajor(t *testing.T) {
	s := Joint{Classes: 10, Views: 4}
	if s.Size() != 40 || s.Index(3, 2) != 14 {
		t.Fatalf("size %d, index of (3, 2) %d; want 40 and 14", s.Size(), s.Index(3, 2))
	}
	for k := range s.Size() {
		if y, j := s.Split(k); s.Index(y, j) != k || y != k/4 || j != k%4 {
			t.Fatalf("label %d splits into %d, %d", k, y, j)
		}
	}
}

// resnet8 is the net of testdata/fixtures.py, with what PyTorch computes in
// float64.
func resnet8(t testing.TB) (m *format.Model, want map[string][]float64) {
	var f struct {
		Layers                                         []format.Layer
		Classes                                        int
		Scales                                         []float32
		Baseline, Single, Views, Aggregated, Distilled []float64
		Probabilities                                  []float64
	}
	fixture(t, "resnet8.json", &f)
	m = &format.Model{Manifest: format.Manifest{
		Layers: f.Layers,
		Input:  format.Input{Channels: 3, Height: 32, Width: 32, Mean: []float32{.5, .5, .5}, Std: []float32{.5, .5, .5}},
		Heads:  []format.Head{{Kind: format.HeadClass}, {Kind: format.HeadJoint}, {Kind: format.HeadDistilled}},

		Recommended: format.ModeAggregated, SelfTest: format.SelfTest{Digest: make([]byte, 32)},
	}}
	for i := range f.Classes {
		m.Labels = append(m.Labels, itoa(i))
	}
	var err error
	if m.Transforms, err = ParseTransforms("rotation", 3); err != nil {
		t.Fatal(err)
	}
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	for i, tensor := range m.TensorShapes() {
		w := formattest.LCG(uint32(100+i), tensor.Elements())
		for k := range w {
			w[k] *= f.Scales[i]
		}
		m.Weights = append(m.Weights, w)
	}
	return m, map[string][]float64{"baseline": f.Baseline, "single": f.Single, "views": f.Views,
		"aggregated": f.Aggregated, "distilled": f.Distilled, "probabilities": f.Probabilities}
}

func open(t testing.TB, m *format.Model) *Classifier {
	t.Helper()
	c, err := New(m)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHugeActivationsAreRefused(t *testing.T) {
	m := formattest.Tiny(1)
	m.Input.Width, m.Input.Height = 4096, 4096
	if _, err := New(m); !errors.Is(err, format.ErrUnsupported) {
		t.Errorf("a slab that asks for 0.7 GB: %v", err)
	}
}

// setInput puts a ready input, (C, H, W), in place of an image.
func (c *Classifier) setInput(x []float32) {
	copy(c.input, planes(x, len(x)/c.manifest.Input.Channels)) // the way back
	c.restart()
	c.pre.width, c.pre.height, c.pre.y = -1, -1, -1 // no image, but complete
	c.inputRows = c.manifest.Input.Height
}

func TestResNetForwardAgainstPyTorch(t *testing.T) {
	m, want := resnet8(t)
	c := open(t, m)
	c.setInput(formattest.LCG(7, 3*32*32))
	const tolerance = 2e-6 // measured: 4.4e-7, on logits up to 0.6
	for _, mode := range []Mode{Baseline, Single, Aggregated, Distilled} {
		r, err := c.Run(mode)
		if err != nil {
			t.Fatal(err)
		}
		e := maxError(r.Logits, want[mode.String()])
		t.Logf("%s: max abs error against float64 %.2g", mode, e)
		if e > tolerance {
			t.Errorf("%s: logits differ from PyTorch's by %g", mode, e)
		}
		if mode == Aggregated {
			if e := maxError(r.Views, want["views"]); e > tolerance || r.Passes != 4 {
				t.Errorf("%d views' logits differ from PyTorch's by %g", r.Passes, e)
			}
			if e := maxError(r.Probabilities, want["probabilities"]); e > 1e-7 {
				t.Errorf("probabilities differ from PyTorch's by %g", e)
			}
		}
	}
	// Auto is what the slab recommends.
	if r, _ := c.Run(Auto); r.Mode != Aggregated {
		t.Errorf("auto ran %s", r.Mode)
	}
}

func TestRunsDoNotDependOnEachOther(t *testing.T) {
	m, _ := resnet8(t)
	c := open(t, m)
	x, other := formattest.LCG(7, 3*32*32), formattest.LCG(8, 3*32*32)
	logits := func(x []float32, modes ...Mode) []float32 {
		c.setInput(x)
		var out []float32
		for _, mode := range modes {
			r, err := c.Run(mode)
			if err != nil {
				t.Fatal(err)
			}
			out = slices.Clone(r.Logits)
		}
		return out
	}
	want := logits(x, Aggregated)
	logits(other, Distilled)
	for _, modes := range [][]Mode{{Aggregated}, {Distilled, Single, Aggregated}, {Aggregated, Aggregated}} {
		if !slices.Equal(logits(x, modes...), want) {
			t.Errorf("%v: the aggregated logits changed", modes)
		}
	}
	if n := testing.AllocsPerRun(3, func() {
		c.restart()
		if _, err := c.Run(Aggregated); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("a run allocates %v times", n)
	}
}

func TestModeErrors(t *testing.T) {
	m := formattest.Tiny(1)
	m.Heads = m.Heads[:1]
	m.Weights = m.Weights[:len(m.Weights)-4]
	m.Recommended = format.ModeBaseline
	m.Metrics = nil
	c := open(t, m)
	c.setInput(make([]float32, 64))
	if _, err := c.Run(Aggregated); !errors.Is(err, ErrMode) || !strings.Contains(err.Error(), "it has baseline") {
		t.Errorf("a mode without a head: %v", err)
	}
	if _, err := ParseMode("fastest"); !errors.Is(err, ErrMode) || !strings.Contains(err.Error(), "distilled") {
		t.Errorf("an unknown mode: %v", err)
	}
}

func TestSoftmax(t *testing.T) {
	for x := -699.0; x <= 0; x += 0.37 {
		if got, want := expNeg(x), math.Exp(x); math.Abs(got-want) > 4e-16*want {
			t.Fatalf("exp(%v) = %v, want %v", x, got, want)
		}
	}
	if expNeg(0) != 1 || expNeg(-1e6) != 0 || expNeg(math.Inf(-1)) != 0 {
		t.Error("exp is wrong at its ends")
	}
	p := make([]float32, 3)
	softmax(p, []float32{1000, 1000, -1000}, 1)
	if p[0] != 0.5 || p[1] != 0.5 || p[2] != 0 {
		t.Errorf("softmax of large logits: %v", p)
	}
	softmax(p, []float32{float32(math.NaN()), 0, 0}, 1)
	if math.Float32bits(p[1]) != 0x7fc00000 {
		t.Errorf("softmax of NaN: %v", p)
	}
}

// Probabilities are those of the logits over the mode's temperature, which changes no logit.
func TestTemperatures(t *testing.T) {
	m := formattest.Odd()
	plain := formattest.Odd()
	plain.Metrics = nil
	for _, mode := range []Mode{Baseline, Single, Aggregated} {
		tempered, cold := runOn(t, m, mode), runOn(t, plain, mode)
		temperature := map[Mode]float64{Baseline: 2.5, Single: 1, Aggregated: .25}[mode]
		var sum float64
		for _, v := range tempered.Logits {
			sum += math.Exp(float64(v) / temperature)
		}
		for i, v := range tempered.Logits {
			if want := math.Exp(float64(v)/temperature) / sum; math.Abs(float64(tempered.Probabilities[i])-want) > 1e-7 {
				t.Errorf("%s: probability %v, want %v", mode, tempered.Probabilities[i], want)
			}
			if math.Float32bits(v) != math.Float32bits(cold.Logits[i]) {
				t.Errorf("%s: logit %v, without a temperature %v", mode, v, cold.Logits[i])
			}
		}
	}
}

// runOn classifies an image.
func runOn(t *testing.T, m *format.Model, mode Mode) Result {
	t.Helper()
	c, err := New(m)
	if err != nil {
		t.Fatal(err)
	}
	pixels := make([]byte, 4*20*13)
	for i := range pixels {
		pixels[i] = byte(i*i + i/3)
	}
	if err := errors.Join(c.Begin(20, 13), c.Rows(pixels)); err != nil {
		t.Fatal(err)
	}
	r, err := c.Run(mode)
	if err != nil {
		t.Fatal(err)
	}
	out := *r
	out.Logits, out.Probabilities = slices.Clone(r.Logits), slices.Clone(r.Probabilities)
	return out
}

func TestSelfTestAndTrace(t *testing.T) {
	m := formattest.Tiny(3)
	digest, err := open(t, m).SelfTestDigest()
	if err != nil {
		t.Fatal(err)
	}
	m.SelfTest.Digest = digest[:]
	good := open(t, m)
	if err := good.SelfTest(); err != nil {
		t.Fatal(err)
	}
	// The weights of layer b move a little.
	damaged := formattest.Tiny(3)
	damaged.SelfTest = m.SelfTest
	b := slices.IndexFunc(damaged.TensorShapes(), func(t format.Tensor) bool { return t.Name == "b.weight" })
	for i := range damaged.Weights[b] {
		damaged.Weights[b][i] += 1. / 1024
	}
	bad := open(t, damaged)
	if err := bad.SelfTest(); !errors.Is(err, ErrSelfTest) {
		t.Fatalf("a changed weight: %v", err)
	}
	one, err1 := good.Trace(Aggregated)
	two, err2 := bad.Trace(Aggregated)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	if len(one) != 4*len(m.Layers)+1 {
		t.Fatalf("the trace has %d entries", len(one))
	}
	first := 0
	for one[first] == two[first] {
		first++
	}
	if name := TraceName(&m.Manifest, len(one), first); name != "view 0, layer b" {
		t.Errorf("the traces part at %q", name)
	}
	if TraceName(&m.Manifest, len(m.Layers)+1, len(m.Layers)) != "logits" {
		t.Error("the last entry of a trace is the logits")
	}
}

func BenchmarkResNet8(b *testing.B) {
	m, _ := resnet8(b)
	c := open(b, m)
	x := formattest.LCG(7, 3*32*32)
	for b.Loop() {
		c.setInput(x)
		if _, err := c.Run(Single); err != nil {
			b.Fatal(err)
		}
	}
}

// The digests that every target must give: run this test on another processor
// to see whether its bits are the same.
func TestBitsAreThoseOfEveryTarget(t *testing.T) {
	for _, c := range []struct {
		model *format.Model
		want  string
	}{
		{formattest.Tiny(1), "683a1bbda664fe89b62fd62100064b4be8f77e6353a941c5309844ef87c2d581"},
		{formattest.Tiny(3), "5dcd62e9be6a390619fe62e7c23c84f9d78ec4c7cec6fec16ed528509b090d00"},
		{formattest.Odd(), "d03ae91e5526d2ecdea9febb44418dca9c56e140d44a52907d38bfd3fafac1e4"},
	} {
		digest, err := open(t, c.model).SelfTestDigest()
		if err != nil {
			t.Fatal(err)
		}
		if got := format.Hex(digest[:]); got != c.want {
			t.Errorf("%s, %d channels: digest %s, want %s", c.model.Name, c.model.Input.Channels, got, c.want)
		}
	}
}
