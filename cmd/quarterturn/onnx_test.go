package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/sla/slatest"
	"github.com/quarterturn/quarterturn/trainer/backbone"
)

// An ortJob is one run of ONNX Runtime: see testdata/ort/run.js.
type ortJob struct {
	Model string `json:"model"`
	Input string `json:"input"`
	Type  string `json:"type"`
	Dims  []int  `json:"dims"`
	Data  string `json:"data"`
}

type ortResult map[string]struct {
	Dims []int
	Data []float64
}

// runORT runs jobs in ONNX Runtime for Node; without it the test is skipped.
func runORT(t *testing.T, jobs []ortJob) []ortResult {
	t.Helper()
	const dir = "testdata/ort"
	if _, err := os.Stat(filepath.Join(dir, "node_modules")); err != nil {
		t.Skip("ONNX Runtime is not installed; run: npm ci --ignore-scripts --prefix cmd/quarterturn/" + dir)
	}
	in, err := json.Marshal(jobs)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", "run.js")
	cmd.Dir, cmd.Stdin = dir, bytes.NewReader(in)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, errs.Bytes())
	}
	var results []ortResult
	if err := json.Unmarshal(out, &results); err != nil {
		t.Fatal(err)
	}
	return results
}

// ONNX Runtime computes the logits of every mode of every kind of net and of every shipped one, from the normalised
// image and from pixels, to 1e-4 of the largest.
func TestONNXRuntimeAgrees(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	slabs := map[string][]byte{"tiny": slatest.Slab(t, formattest.Tiny(3)), "grey": slatest.Slab(t, formattest.Tiny(1)), "odd": slatest.Slab(t, formattest.Odd())}
	scaled := formattest.Tiny(3)
	for i := range scaled.Heads {
		scaled.Heads[i].Scale = 12
	}
	scaled.Exits = []format.Exit{{Margin: 2.3, Temperature: 2, Share: .5}, {Margin: 3, Temperature: .5}, {Margin: .3, Temperature: 1.5}, {Temperature: 1, Share: .5}}
	scaled.Transforms[3].Channels = []int{1, 2, 0}
	slabs["scaled"] = slatest.Slab(t, scaled)
	shipped, err := os.ReadFile("../../www/models/cifar10.slab")
	if err != nil {
		t.Fatal(err)
	}
	slabs["shipped"], slabs["backbone"] = shipped, backbone.Slab
	nets := []string{"resnet8", "fast16", "resnet20", "resnet8w8p", "resnet12w16", "conv4w16", "resnet18", "fast16"}
	if testing.Short() {
		nets = nets[:1]
	}
	for _, net := range nets {
		if _, stderr, code := runCommand(t, "new", "--net", net, "--size", "32", "--classes", "7", "--out", at(net+".slab")); code != 0 {
			t.Fatalf("%s: %s", net, stderr)
		}
		if slabs[net], err = os.ReadFile(at(net + ".slab")); err != nil {
			t.Fatal(err)
		}
	}

	const images = 3
	type check struct {
		what string
		want map[string]*[images][]float32 // by output
	}
	var jobs []ortJob
	var checks []check
	for name, slab := range slabs {
		m, err := format.Decode(slab)
		if err != nil {
			t.Fatal(err)
		}
		c, err := sla.New(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at(name+".slab"), slab, 0o644); err != nil {
			t.Fatal(err)
		}
		// RGB pictures wider than the input is, RGBA ones that are higher.
		rng := rand.New(rand.NewPCG(7, uint64(len(name))))
		width, height, channels := 61, 40, 3
		if len(name)%2 == 0 {
			width, height, channels = 19, 47, 4
		}
		pixels, normalised := make([]byte, images*width*height*channels), []byte(nil)
		for i := range pixels {
			pixels[i] = byte(rng.Uint32())
		}
		wants := map[string]*[images][]float32{}
		for i := range images {
			rgba := bytes.Repeat([]byte{255}, width*height*4)
			for p := range width * height {
				copy(rgba[4*p:], pixels[(i*width*height+p)*channels:][:channels])
			}
			if err := errors.Join(c.Begin(width, height), c.Rows(rgba)); err != nil {
				t.Fatal(err)
			}
			x, err := c.Input()
			if err != nil {
				t.Fatal(err)
			}
			for _, v := range x {
				normalised = binary.LittleEndian.AppendUint32(normalised, math.Float32bits(v))
			}
			for _, mode := range m.Modes() {
				parsed, err := sla.ParseMode(mode)
				if err != nil {
					t.Fatal(err)
				}
				r, err := c.Run(parsed)
				if err != nil {
					t.Fatal(err)
				}
				for output, v := range map[string][]float32{"logits": r.Logits, "probabilities": r.Probabilities, "passes": {float32(r.Passes)}} {
					if wants[mode+" "+output] == nil {
						wants[mode+" "+output] = new([images][]float32)
					}
					wants[mode+" "+output][i] = append([]float32(nil), v...)
				}
			}
		}
		if err := os.WriteFile(at(name+".u8"), pixels, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at(name+".f32"), normalised, 0o644); err != nil {
			t.Fatal(err)
		}
		for _, mode := range m.Modes() {
			for _, pre := range []bool{false, true} {
				file := at(name + "-" + mode + map[bool]string{true: "-pixels"}[pre] + ".onnx")
				args := []string{"export", at(name + ".slab"), "--out", file, "--mode", mode}
				job := ortJob{Model: file, Input: "image", Type: "float32", Data: at(name + ".f32"), Dims: []int{images, m.Input.Channels, m.Input.Height, m.Input.Width}}
				if pre {
					args = append(args, "--preprocess")
					job = ortJob{Model: file, Input: "pixels", Type: "uint8", Data: at(name + ".u8"), Dims: []int{images, height, width, channels}}
				}
				if _, stderr, code := runCommand(t, args...); code != 0 {
					t.Fatalf("%v: %s", args, stderr)
				}
				want := map[string]*[images][]float32{"logits": wants[mode+" logits"], "probabilities": wants[mode+" probabilities"]}
				if mode == format.ModeAdaptive {
					want["passes"] = wants[mode+" passes"]
				}
				jobs = append(jobs, job)
				checks = append(checks, check{filepath.Base(file), want})
			}
		}
	}
	exits := map[float64]bool{}
	for i, r := range runORT(t, jobs) {
		if len(r) != len(checks[i].want) {
			t.Errorf("%s: %d outputs", checks[i].what, len(r))
		}
		for output, wanted := range checks[i].want {
			got, largest := r[output].Data, 1.0
			want := slices.Concat(wanted[:]...)
			for _, v := range want {
				largest = max(largest, math.Abs(float64(v)))
			}
			if len(got) != len(want) {
				t.Errorf("%s: %d values of %s, want %d", checks[i].what, len(got), output, len(want))
				continue
			}
			for k, v := range want {
				if d := math.Abs(got[k] - float64(v)); !(d <= 1e-4*largest) {
					t.Errorf("%s: %s %d is %v, want %v", checks[i].what, output, k, got[k], v)
				}
			}
			if output == "passes" {
				for _, p := range got {
					exits[p] = true
				}
			}
		}
	}
	if len(exits) < 2 {
		t.Errorf("only the exits %v were taken", exits)
	}
}
