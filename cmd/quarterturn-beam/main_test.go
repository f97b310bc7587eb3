package main

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem/memfs"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/testing/ptest"

	"github.com/quarterturn/quarterturn/cmd/internal/score"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/host"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/sla/slatest"
)

func TestMain(m *testing.M) { ptest.Main(m) }

// pictures makes, in a new working folder, a slab, a folder and a tar file with images
// of which one is broken.
func pictures(t *testing.T, slab []byte) []string {
	t.Helper()
	t.Chdir(t.TempDir())
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := errors.Join(os.WriteFile("model.slab", slab, 0o644), os.Mkdir("folder", 0o755)); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		data := picture(t, i)
		if i == 11 {
			data = data[:len(data)/2]
		}
		name := fmt.Sprintf("%s %d.png", []string{"a", "ä", "\"", "\xff"}[i%4], i)
		err := os.WriteFile(filepath.Join("folder", name), data, 0o644)
		if i%2 == 0 {
			err = w.WriteHeader(&tar.Header{Name: name, Size: int64(len(data)), Mode: 0o644})
			w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), os.WriteFile("more.tar", archive.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
	return []string{"folder", "more.tar"}
}

func picture(t *testing.T, i int) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 9, 8))
	for k := range img.Pix {
		img.Pix[k] = byte(i*k + k*k)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// scored is what quarterturn score writes.
func scored(t *testing.T, slab []byte, paths []string, shard score.Shard) []byte {
	t.Helper()
	c, err := host.Open(t.Context(), slab, host.WithEngine(host.Native))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(context.Background())
	out := filepath.Join(t.TempDir(), "lines")
	_, err = score.Run(t.Context(), &score.Job{Classifier: c, Call: []host.CallOption{host.WithMode(sla.Aggregated), host.WithTopK(2)},
		Paths: paths, Shard: shard, Out: out, Progress: func(int, int) {}})
	if err != nil {
		t.Fatal(err)
	}
	return contents(t, out)
}

func contents(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGivesWhatScoreGives(t *testing.T) {
	slab := slatest.Slab(t, formattest.Tiny(1))
	paths := pictures(t, slab)
	// More shards than some images have names for: empty ones have files too.
	for _, shards := range []int{1, 100} {
		j := &job{Model: "model.slab", Mode: "aggregated", Top: 2, Out: fmt.Sprint("lines", shards), Shards: shards}
		if err := run(t.Context(), j, paths); err != nil {
			t.Fatal(err)
		}
		for i := range shards {
			want := scored(t, slab, paths, score.Shard{Index: i + 1, Of: shards})
			if got := contents(t, j.name(i+1)); !bytes.Equal(got, want) {
				t.Fatalf("shard %d of %d:\n%s\nwant\n%s", i+1, shards, got, want)
			}
		}
	}
	all := string(contents(t, "lines1"))
	if strings.Count(all, "\n") != 45 || strings.Count(all, `"error":`) != 1 {
		t.Errorf("lines:\n%s", all)
	}
}

// At the end it says how fast it went, with core-hours where it ran here.
func TestSpeed(t *testing.T) {
	pictures(t, slatest.Slab(t, formattest.Tiny(1)))
	said := func(out string) string {
		t.Helper()
		f, err := os.Create(out + ".txt")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		before := os.Stderr
		os.Stderr = f
		defer func() { os.Stderr = before }()
		if err := run(t.Context(), &job{Model: "model.slab", Mode: "single", Out: out, Shards: 1}, []string{"folder"}); err != nil {
			t.Fatal(err)
		}
		return string(contents(t, f.Name()))
	}
	*jobopts.Endpoint = ""
	here := fmt.Sprintf(`30 images, \d+ of them bad\n\d+ images/s on %d cores: [0-9.]+ core-hours a million images\n`, runtime.GOMAXPROCS(0))
	if text := said("here"); !regexp.MustCompile(here).MatchString(text) {
		t.Errorf("%s", text)
	}
	// Now prism has an address, as one on another computer has.
	if text := said("elsewhere"); !regexp.MustCompile(`\d+ images/s\n`).MatchString(text) {
		t.Errorf("%s", text)
	}
}

func TestRemoteFiles(t *testing.T) {
	slab := slatest.Slab(t, formattest.Tiny(1))
	pictures(t, slab)
	var names []string
	for i := range 5 {
		name := fmt.Sprintf("memfs://pictures/%d.png", i)
		memfs.Write(name, picture(t, i))
		names = append(names, name)
	}
	memfs.Write("memfs://pictures/notes.txt", []byte("no picture"))
	memfs.Write("memfs://models/model.slab", slab)
	j := &job{Model: "memfs://models/model.slab", Mode: "aggregated", Top: 2, Out: "lines", Shards: 1}
	if err := run(t.Context(), j, []string{"memfs://pictures/*"}); err != nil {
		t.Fatal(err)
	}
	// The same pictures, as files of these names.
	var want []string
	for i, name := range names {
		if err := os.WriteFile("p.png", picture(t, i), 0o644); err != nil {
			t.Fatal(err)
		}
		want = append(want, strings.Replace(string(scored(t, slab, []string{"p.png"}, score.Shard{Index: 1, Of: 1})), "p.png", name, 1))
	}
	slices.Sort(want)
	if got := string(contents(t, "lines")); got != strings.Join(want, "") {
		t.Errorf("%s\nwant\n%s", got, strings.Join(want, ""))
	}
}

func TestBadJobs(t *testing.T) {
	slab := slatest.Slab(t, formattest.Tiny(1))
	paths := pictures(t, slab)
	if err := errors.Join(os.WriteFile("there", nil, 0o644), os.WriteFile("packed.tar.gz", []byte("\x1f\x8b\x08"), 0o644), os.Mkdir("empty", 0o755), os.WriteFile("broken.slab", slab[:99], 0o644)); err != nil {
		t.Fatal(err)
	}
	good := job{Model: "model.slab", Mode: "auto", Out: "lines", Shards: 1}
	for want, change := range map[string]func(j *job) []string{
		"want --model":          func(j *job) []string { j.Model = ""; return paths },
		"at least one path":     func(j *job) []string { return nil },
		"at least 1":            func(j *job) []string { j.Shards = 0; return paths },
		"none.slab: no such":    func(j *job) []string { j.Model = "none.slab"; return paths },
		"broken.slab: corrupt":  func(j *job) []string { j.Model = "broken.slab"; return paths },
		`no mode "fastest"`:     func(j *job) []string { j.Mode = "fastest"; return paths },
		"not have the mode ada": func(j *job) []string { j.Mode = "adaptive"; return paths },
		"there is there":        func(j *job) []string { j.Out = "there"; return paths },
		"for a table":           func(j *job) []string { j.Out = "lines.tsv"; return paths },
		"and no tables":         func(j *job) []string { j.Out = "lines.csv"; return paths },
		"unpack it first":       func(j *job) []string { return []string{"packed.tar.gz"} },
		"none of the 1 images":  func(j *job) []string { j.Out = "bad"; return []string{"broken.slab"} },
		"there are no images":   func(j *job) []string { return []string{"empty"} },
		"nowhere: no such":      func(j *job) []string { return []string{"nowhere"} },
		"nothing://x":           func(j *job) []string { return []string{"nothing://x/*"} },
	} {
		j := good
		if err := run(t.Context(), &j, change(&j)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, have %v", want, err)
		}
	}
}
