package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

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
			Src     string
			Samples []struct{ Src, Label string }
		}
		if err := json.Unmarshal(b, &list); err != nil || len(list) != 1 {
			t.Fatal(err, len(list))
		}
		files := []string{list[0].Src}
		for _, s := range list[0].Samples {
			files = append(files, s.Src)
		}
		return files
	}
	if code, stderr := export(); code != 0 {
		t.Fatal(stderr)
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
