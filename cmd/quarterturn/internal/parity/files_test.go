package parity

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/www"
)

// Every kind of file gets the same digest from predict, over HTTP and in two browsers. What
// does not is listed here, and in the README.
func TestFieldFilesAreTheSameEverywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("needs browsers")
	}
	dir := filepath.Join("..", "..", "..", "..", "host", "imagefile", "testdata")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if ext := filepath.Ext(e.Name()); ext != ".json" && ext != ".py" {
			names = append(names, e.Name())
		}
	}
	targets, ways := FileTargets, 8
	if testing.Short() {
		targets, ways = targets[:2], 2
	}
	r, err := Files(t.Context(), www.Model, dir, names, targets, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	differs := func(name, way string) bool {
		has := func(parts ...string) bool {
			return slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(name, p) })
		}
		switch {
		case way == "predict" || way == "http":
			return false
		case has("cmyk"): // browsers convert CMYK in a way of their own
			return true
		case has("flaw-trns-before-palette", "flaw-trns-behind-pixels"): // it counts where files are shown, not in bitmaps
			return strings.HasSuffix(way, "ImageBitmap")
		case has("flaw-trns-too-long"):
			return way == "firefox ImageBitmap"
		case has("flaw-trns-twice"): // of which Firefox takes the last
			return way == "firefox File" || way == "firefox <img>"
		}
		// Firefox's bitmaps round 16 bits, and of a GIF they are the frame.
		return way == "firefox ImageBitmap" && has("16.png", "-screen.gif")
	}
	for _, f := range r.Files {
		for _, a := range f.Answers {
			if a.Digest == "" {
				t.Errorf("%s by %s: %s", f.Name, a.Way, a.Error)
			}
			if same := a.Digest == f.Answers[0].Digest; same == differs(f.Name, a.Way) {
				t.Errorf("%s by %s: equal to predict's: %v", f.Name, a.Way, same)
			}
		}
		if len(f.Answers) != ways {
			t.Errorf("%s has %d answers", f.Name, len(f.Answers))
		}
	}
	if len(r.Files) < 80 || r.Equal != testing.Short() {
		t.Errorf("%d files, all equal: %v", len(r.Files), r.Equal)
	}
}

func TestFilesThatCannotBeCompared(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "letter.png"), []byte("Dear reader"), 0o644); err != nil {
		t.Fatal(err)
	}
	quiet := func(string) {}
	// What nobody reads is the same everywhere, and said.
	r, err := Files(t.Context(), www.Model, dir, []string{"letter.png"}, []string{"predict", "http"}, quiet)
	if err != nil || !r.Equal || !strings.Contains(r.Files[0].Answers[1].Error, "not an image") {
		t.Errorf("a letter: %+v %v", r, err)
	}
	for says, try := range map[string]func() (*FilesReport, error){
		"no place": func() (*FilesReport, error) {
			return Files(t.Context(), www.Model, dir, nil, []string{"safari"}, quiet)
		},
		"none.png": func() (*FilesReport, error) {
			return Files(t.Context(), www.Model, dir, []string{"none.png"}, nil, quiet)
		},
		"not a slab": func() (*FilesReport, error) { return Files(t.Context(), []byte("x"), dir, nil, nil, quiet) },
	} {
		if _, err := try(); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("want %q, have %v", says, err)
		}
	}
}
