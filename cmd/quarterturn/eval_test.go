package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/format/pack"
	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/trainer/dataset"
)

// copies makes a folder data with pictures of classes, all alike.
func copies(t *testing.T, at func(string) string, classes ...string) {
	t.Helper()
	picture, err := os.ReadFile(at("picture.png"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 12 * len(classes) {
		name := filepath.Join(at("data"), classes[i%len(classes)], fmt.Sprint(i, ".png"))
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, picture, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
}

// Images of other classes are refused before it is said that they are few.
func TestFieldCalibrateChecksClassesFirst(t *testing.T) {
	t.Parallel()
	at := folder(t)
	copies(t, at, "a", "b")
	_, stderr, code := runCommand(t, "calibrate", at("tiny.slab"), "--data", at("data"), "--split", "train", "--out", at("new.slab"))
	if code != 1 || !strings.Contains(stderr, at("tiny.slab")+": the slab and the data set data do not have the same classes") || strings.Contains(stderr, "adaptive") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

// What is left out of a folder is told by reason, what somebody will miss first; -v and JSON tell all.
func TestFieldEvalTellsWhatIsLeftOut(t *testing.T) {
	t.Parallel()
	at := folder(t)
	copies(t, at, "cat", "dog", "été")
	for i := range 10 {
		for _, name := range []string{"Thumbs%d/Thumbs.db", "._%d.png", "notes%d.txt", "IMG_%d.HEIC", "broken%d.png"} {
			file := filepath.Join(at("data"), "cat", fmt.Sprintf(name, i))
			if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o644)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Mkdir(filepath.Join(at("data"), "empty"), 0o755); err != nil {
		t.Fatal(err)
	}
	args := []string{"eval", at("tiny.slab"), "--data", at("data"), "--split", "train", "--skip-broken", "--json"}
	stdout, stderr, code := runCommand(t, args...)
	_, told, _ := strings.Cut(stderr, "left out 51 (-v lists each):\n")
	lines := strings.Split(told, "\n")
	want := []string{"IMG_0.HEIC, ", "empty (the folder holds no", "broken0.png, ", "notes0.txt, ", "._0.png, ", "Thumbs.db, "}
	if code != 0 || len(lines) < len(want) {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	for i, name := range want {
		if !strings.Contains(lines[i], name) || strings.HasSuffix(name, ", ") && !strings.Contains(lines[i], " and 5 more (") {
			t.Errorf("line %d is %q, want one of %s", i, lines[i], name)
		}
	}
	var r struct {
		N       int
		LeftOut imagefile.LeftOuts `json:"left_out"`
	}
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || r.N == 0 || len(r.LeftOut) != 51 || r.LeftOut[0].Path == "" || r.LeftOut[0].Reason == "" {
		t.Errorf("%v, %s", err, stdout)
	}
	if _, stderr, _ := runCommand(t, append(args, "-v")...); strings.Count(stderr, "left behind by ") != 20 || strings.Count(stderr, ".HEIC: ") != 10 {
		t.Errorf("with -v: %s", stderr)
	}
}

// The images of a folder get the size that a slab takes, however the folder is named.
func TestFolderHasTheSizeOfTheSlab(t *testing.T) {
	at := folder(t)
	copies(t, at, "a", "b")
	m := formattest.Tiny(3)
	for _, side := range []int{16, 48} {
		m.Input.Width, m.Input.Height = side, side
		for _, data := range []string{at("data"), "folder:" + at("data")} {
			d, images, err := loadSplit(t.Context(), dataset.Source{Data: data}, "train", m)
			if err != nil {
				t.Fatal(err)
			}
			if d.Width != side || d.Height != side || images.Len() == 0 {
				t.Errorf("%s for %d pixels: %d images of %dx%d", data, side, images.Len(), d.Width, d.Height)
			}
		}
	}
}

// B31: an answer that is not finite is a failure in words, in JSON and without.
func TestFieldB31Predict(t *testing.T) {
	t.Parallel()
	at := folder(t)
	m := formattest.Tiny(3)
	for h := len(m.Weights) - 6; h < len(m.Weights); h += 2 {
		for i := range m.Weights[h] {
			m.Weights[h][i] = 3e38
		}
	}
	slab, err := pack.Encode(m)
	if err := errors.Join(err, os.WriteFile(at("huge.slab"), slab, 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{at("picture.png")}, {"--json", at("picture.png"), at("picture.png")}} {
		stdout, stderr, code := runCommand(t, append([]string{"predict", at("huge.slab")}, args...)...)
		if code != 1 || stdout != "" || !strings.Contains(stderr, "picture.png: the slab's answer is not finite") {
			t.Errorf("%v: exit code %d, %q, %q", args, code, stdout, stderr)
		}
	}
}

// A reader like standard input while Ctrl-C is pressed.
type interrupting struct{ interrupt context.CancelFunc }

func (r interrupting) Read([]byte) (int, error) {
	r.interrupt()
	return 0, io.EOF
}

// An interruption ends predict as it is, and no image is called bad for it.
func TestFieldPredictInterrupted(t *testing.T) {
	at := folder(t)
	for _, images := range [][]string{{"-"}, {"-", at("picture.png"), at("picture.png")}} {
		ctx, cancel := context.WithCancel(t.Context())
		cmd := predictCommand()
		cmd.SilenceErrors, cmd.SilenceUsage = true, true
		cmd.SetIn(interrupting{cancel})
		cmd.SetArgs(append([]string{at("tiny.slab")}, images...))
		if err := cmd.ExecuteContext(ctx); !errors.Is(err, context.Canceled) || err.Error() != context.Canceled.Error() {
			t.Errorf("%q: %v", images, err)
		}
	}
}
