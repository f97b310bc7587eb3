package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/sla/slatest"
)

// python finds a Python with a module; without one the test is skipped, with a word on how to install it.
func python(t *testing.T, module, install string) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(name, "-c", "import "+module).Run() == nil {
			return name
		}
	}
	t.Skipf("there is no Python with %s: %s", module, install)
	return ""
}

// pythonReport runs docs/examples/python/slab.py on a picture of raw RGBA.
const pythonReport = `
import json, sys
import numpy as np
sys.path.insert(0, '../../docs/examples/python')
import slab
s = slab.read(sys.argv[1])
pixels = np.fromfile(sys.argv[2], np.uint8).reshape(int(sys.argv[3]), -1, 4)
x = s.preprocess(pixels)
out = {'hash': s.hash, 'labels': s.labels, 'input': np.ascontiguousarray(x).view(np.uint32).ravel().tolist(), 'modes': {}}
for mode in s.modes:
    a = s.run(x, mode)
    out['modes'][mode] = {'logits': a.logits.tolist(), 'probabilities': a.probabilities.tolist(), 'passes': a.passes}
try:
    import torch
    z, want = s.torch()(torch.tensor(x[None])).detach().numpy()[0], s.features(x)
    out['torch'] = float(abs(z - want).max() / abs(want).max())
except ModuleNotFoundError:
    pass
json.dump(out, sys.stdout)
`

// The reader in Python computes the same input to the bit, and the logits to rounding.
func TestPythonReader(t *testing.T) {
	t.Parallel()
	interpreter := python(t, "numpy", "apt-get install python3-numpy on Debian")
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	shipped, err := os.ReadFile("../../www/models/cifar10.slab")
	if err != nil {
		t.Fatal(err)
	}
	scaled := formattest.Tiny(3)
	scaled.Heads[1].Scale, scaled.Transforms[3].Channels = 12, []int{1, 2, 0}
	for name, slab := range map[string][]byte{"tiny": slatest.Slab(t, formattest.Tiny(3)), "grey": slatest.Slab(t, formattest.Tiny(1)),
		"odd": slatest.Slab(t, formattest.Odd()), "scaled": slatest.Slab(t, scaled), "shipped": shipped} {
		if testing.Short() && name != "scaled" {
			continue
		}
		m, err := format.Decode(slab)
		if err != nil {
			t.Fatal(err)
		}
		c, err := sla.New(m)
		if err != nil {
			t.Fatal(err)
		}
		width, height := 30+len(name), 37
		rgba := make([]byte, width*height*4)
		for i, v := range formattest.LCG(uint32(len(name)), len(rgba)) {
			rgba[i] = byte(128 + 127*v)
		}
		if err := errors.Join(c.Begin(width, height), c.Rows(rgba)); err != nil {
			t.Fatal(err)
		}
		input, err := c.Input()
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at("slab"), slab, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at("rgba"), rgba, 0o644); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), interpreter, "-B", "-c", pythonReport, at("slab"), at("rgba"), "37")
		var errs bytes.Buffer
		cmd.Stderr = &errs
		b, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v: %s", name, err, errs.Bytes())
		}
		var got struct {
			Hash   string
			Labels []string
			Input  []uint32
			Torch  float64
			Modes  map[string]struct {
				Logits, Probabilities []float64
				Passes                int
			}
		}
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		if got.Hash != format.Hex(m.Hash[:]) || strings.Join(got.Labels, " ") != strings.Join(m.Labels, " ") || len(got.Modes) != len(m.Modes()) || got.Torch > 1e-5 {
			t.Errorf("%s: hash %s, labels %v, %d modes, torch %v", name, got.Hash, got.Labels, len(got.Modes), got.Torch)
		}
		for i, v := range input {
			if len(got.Input) != len(input) || got.Input[i] != math.Float32bits(v) {
				t.Errorf("%s: input %d of %d differs", name, i, len(got.Input))
				break
			}
		}
		for _, name := range m.Modes() {
			mode, err := sla.ParseMode(name)
			if err != nil {
				t.Fatal(err)
			}
			r, err := c.Run(mode)
			if err != nil {
				t.Fatal(err)
			}
			g := got.Modes[name]
			if g.Passes != r.Passes || !near(g.Logits, r.Logits) || !near(g.Probabilities, r.Probabilities) {
				t.Errorf("%s, %s: %+v, want %v, %v, %d passes", m.Name, name, g, r.Logits, r.Probabilities, r.Passes)
			}
		}
		slab[len(slab)-3] ^= 1
		if err := os.WriteFile(at("slab"), slab, 0o644); err != nil {
			t.Fatal(err)
		}
		if b, err := exec.CommandContext(t.Context(), interpreter, "-B", "-c", pythonReport, at("slab"), at("rgba"), "37").CombinedOutput(); err == nil || !bytes.Contains(b, []byte("SlabError: the slab is damaged")) {
			t.Errorf("%s: a flipped bit: %v, %s", name, err, b)
		}
	}
}

// near says whether numbers agree to 1e-4 of the largest.
func near(got []float64, want []float32) bool {
	largest := 1.0
	for _, v := range want {
		largest = max(largest, math.Abs(float64(v)))
	}
	for i, v := range want {
		if len(got) != len(want) || !(math.Abs(got[i]-float64(v)) <= 1e-4*largest) {
			return false
		}
	}
	return true
}

// Triton's own client asks the service, by the example that does so.
func TestTritonClient(t *testing.T) {
	t.Parallel()
	interpreter := python(t, "tritonclient.http", "pip install tritonclient[http]")
	at := folder(t)
	s := startServe(t, nil, at("tiny.slab"))
	var info struct{ Name string }
	if _, body := s.ask(http.MethodGet, "v1/model", "", nil); json.Unmarshal([]byte(body), &info) != nil {
		t.Fatal(body)
	}
	address := strings.TrimSuffix(strings.TrimPrefix(s.base, "http://"), "/")
	b, err := exec.CommandContext(t.Context(), interpreter, "../../docs/examples/python/kserve.py", address, info.Name, at("picture.png"), at("picture.png")).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, b)
	}
	stdout, _, _ := runCommand(t, "predict", at("tiny.slab"), at("picture.png"), "--json")
	var want struct {
		Top []struct {
			Label       string
			Probability float64
		}
	}
	if err := json.Unmarshal([]byte(stdout), &want); err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf("%s %.4f %s\n", want.Top[0].Label, want.Top[0].Probability, at("picture.png"))
	if string(b) != line+line {
		t.Errorf("%s, want twice %s", b, line)
	}
	answer, err := exec.CommandContext(t.Context(), interpreter, "../../docs/examples/python/kserve.py", address, info.Name, at("letter.txt")).CombinedOutput()
	if err == nil || !strings.Contains(string(answer), "[400] not an image of a known kind") {
		t.Errorf("a letter: %v, %s", err, answer)
	}
}
