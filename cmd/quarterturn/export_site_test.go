package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	_ "image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/trainer/backbone"
	"github.com/quarterturn/quarterturn/trainer/dataset"
)

// The pictures to try are those of the files, as large as a screen needs them, and not what the net sees of them.
func TestSampleImage(t *testing.T) {
	dir := t.TempDir()
	red, blue := color.RGBA{200, 30, 30, 255}, color.RGBA{20, 40, 210, 255}
	for _, x := range []struct {
		class         string
		width, height int
	}{{"large", 1600, 900}, {"small", 50, 40}} {
		img := image.NewRGBA(image.Rect(0, 0, x.width, x.height))
		for i := range 10 { // of each class, so that some are kept for the test
			draw.Draw(img, img.Rect, image.NewUniform(red), image.Point{}, draw.Src)
			draw.Draw(img, image.Rect(x.width/2, 0, x.width, x.height-i), image.NewUniform(blue), image.Point{}, draw.Src)
			var b bytes.Buffer
			if err := png.Encode(&b, img); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(os.MkdirAll(filepath.Join(dir, x.class), 0o755),
				os.WriteFile(filepath.Join(dir, x.class, fmt.Sprintf("%d.png", i)), b.Bytes(), 0o644)); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	d, err := dataset.Load(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	samples, err := samplesOf(t.Context(), d, []string{"small", "large"}, 1)
	if err != nil || len(samples) != 2 {
		t.Fatal(err, len(samples))
	}
	for i, want := range []struct {
		kind string
		size image.Point
	}{{"png", image.Pt(50, 40)}, {"jpeg", image.Pt(640, 360)}} {
		img, kind, err := image.Decode(bytes.NewReader(samples[i].Image))
		if err != nil || kind != want.kind || img.Bounds().Size() != want.size {
			t.Errorf("%s: %s of %v, %v", samples[i].Label, kind, img.Bounds(), err)
			continue
		}
		for x, c := range map[int]color.RGBA{want.size.X / 4: red, want.size.X * 3 / 4: blue} {
			r, g, b, _ := img.At(x, want.size.Y/4).RGBA()
			if max(math.Abs(float64(r>>8)-float64(c.R)), math.Abs(float64(g>>8)-float64(c.G)), math.Abs(float64(b>>8)-float64(c.B))) > 4 {
				t.Errorf("%s at %d: %d %d %d", samples[i].Label, x, r>>8, g>>8, b>>8)
			}
		}
	}
}

// However many are asked for, a page has mostSamples pictures, of all classes alike, and a stop is heeded before they are encoded.
func TestSamplesAreBounded(t *testing.T) {
	d, err := dataset.Load(t.Context(), "fashion-mini")
	if err != nil {
		t.Fatal(err)
	}
	samples, err := samplesOf(t.Context(), d, d.ClassNames, math.MaxInt)
	if err != nil || len(samples) != mostSamples {
		t.Fatal(len(samples), err)
	}
	for i, s := range samples {
		if want := d.ClassNames[i%len(d.ClassNames)]; s.Label != want {
			t.Errorf("picture %d is of %s, not of %s", i, s.Label, want)
		}
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err := samplesOf(stopped, d, d.ClassNames, 1); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
}

func TestExportSite(t *testing.T) {
	const slab = "../../www/models/cifar10.slab"
	dir := filepath.Join(t.TempDir(), "page")
	export := func(args ...string) (int, string) {
		_, stderr, code := runCommand(t, append([]string{"export", slab, "--site", dir}, args...)...)
		return code, stderr
	}
	samples := func() []string {
		b, err := os.ReadFile(filepath.Join(dir, "models.json"))
		if err != nil {
			t.Fatal(err)
		}
		var list []struct {
			Src             string
			Samples         []struct{ Src, Label string }
			Teach, Unlisted bool
		}
		if err := json.Unmarshal(b, &list); err != nil || len(list) != 2 {
			t.Fatal(err, len(list))
		}
		if list[0].Teach || !list[1].Teach || !list[1].Unlisted {
			t.Errorf("%+v", list)
		}
		if teach, err := os.ReadFile(filepath.Join(dir, list[1].Src)); err != nil || !bytes.Equal(teach, backbone.Slab) {
			t.Errorf("the net for teaching: %v", err)
		}
		files := []string{list[0].Src}
		for _, s := range list[0].Samples {
			files = append(files, s.Src)
		}
		return files
	}
	code, stderr := export()
	if code != 0 {
		t.Fatal(stderr)
	}
	if !strings.Contains(stderr, "python3 -m http.server -d "+dir) {
		t.Error(stderr)
	}
	files := samples()
	if len(files) != 11 {
		t.Errorf("%v", files)
	}
	for _, name := range append(files, "index.html", "offline.js", "quarterturn/quarterturn.js", "quarterturn/quarterturn.wasm", "quarterturn/quarterturn-simd.wasm") {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	// Again, with fewer pictures: those of before are gone.
	if code, stderr := export("--samples", "0"); code != 0 {
		t.Fatal(stderr)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "samples", "*")); len(left) > 0 || !slices.Equal(samples(), []string{"model.slab"}) {
		t.Errorf("%v", left)
	}
	for _, bad := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"export", slab}, 2, "want one of --out and --site"},
		{[]string{"export", slab, "--site", dir, "--out", "x.onnx"}, 2, "want one of"},
		{[]string{"export", slab, "--site", dir, "--mode", "single"}, 2, "--mode is for ONNX"},
		{[]string{"export", slab, "--out", filepath.Join(dir, "x.onnx"), "--samples", "3"}, 2, "--samples is for --site"},
		{[]string{"export", slab, "--site", dir, "--samples", "-1"}, 2, "want a number from 0"},
		{[]string{"export", slab, "--site", dir, "--data", "fashion-mini"}, 1, "do not have the same classes"},
		{[]string{"export", slab, "--site", "testdata"}, 1, "testdata is not empty"},
	} {
		_, stderr, code := runCommand(t, bad.args...)
		if code != bad.code || !strings.Contains(stderr, bad.says) {
			t.Errorf("%v: %d, %s", bad.args, code, stderr)
		}
	}
}
