package score

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
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/host"
	"github.com/quarterturn/quarterturn/sla/slatest"
)

// pictures makes a folder tree and a tar file with images, some of them broken.
func pictures(t *testing.T) []string {
	t.Chdir(t.TempDir())
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for i := range 60 {
		img := image.NewGray(image.Rect(0, 0, 8+i%5, 9))
		for k := range img.Pix {
			img.Pix[k] = byte(i*k + k*k)
		}
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		data := b.Bytes()
		if i%20 == 7 {
			data = data[:len(data)/2]
		}
		// A quotation mark and a space sort differently in names and in lines.
		name := []string{"a", "a b", `a"b`, "ä", "a<b"}[i%5] + fmt.Sprint(i/5) + ".png"
		if i%2 == 0 {
			if err := w.WriteHeader(&tar.Header{Name: "./in/" + name, Size: int64(len(data)), Mode: 0o644}); err != nil {
				t.Fatal(err)
			}
			w.Write(data)
			continue
		}
		path := filepath.Join("tree", fmt.Sprint(i%3), name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, data, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), os.WriteFile("more.tar", archive.Bytes(), 0o644), os.WriteFile("tree/notes.txt", nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	return []string{"tree", "more.tar"}
}

func job(t *testing.T, paths []string, out string) *Job {
	c, err := host.Open(t.Context(), slatest.Slab(t, formattest.Tiny(1)), host.WithEngine(host.Native))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return &Job{Classifier: c, Settings: "test", Paths: paths, Shard: Shard{1, 1}, Out: out, Progress: func(int, int) {}}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestShardsMakeTheWhole(t *testing.T) {
	paths := pictures(t)
	r, err := Run(t.Context(), job(t, paths, "all"))
	if err != nil || r.Images != 60 || r.Bad != 3 {
		t.Fatalf("%+v %v", r, err)
	}
	whole := read(t, "all")
	lines := strings.SplitAfter(strings.TrimSuffix(whole, "\n"), "\n")
	if len(lines) != 60 || !strings.Contains(whole, `{"image":"more.tar/in/a0.png","mode"`) || !strings.Contains(whole, `"tree/`) {
		t.Fatalf("%d lines: %.300s", len(lines), whole)
	}
	var all []string
	for i := range 3 {
		j := job(t, paths, fmt.Sprint("part", i))
		j.Shard = Shard{i + 1, 3}
		if _, err := Run(t.Context(), j); err != nil {
			t.Fatal(err)
		}
		part := strings.SplitAfter(read(t, j.Out), "\n")
		if len(part) < 5 {
			t.Errorf("shard %d has %d lines", i+1, len(part))
		}
		all = append(all, part...)
	}
	slices.Sort(all)
	if strings.Join(all, "") != whole {
		t.Error("the sorted shards are not the whole")
	}
}

func TestStoppedRunsGoOn(t *testing.T) {
	paths := pictures(t)
	if _, err := Run(t.Context(), job(t, paths, "all")); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	j := job(t, paths, "again")
	j.Progress = func(done, _ int) {
		if done == 20 {
			stop()
		}
	}
	if _, err := Run(ctx, j); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	// The power went in the middle of a line.
	f, err := os.OpenFile("again.part", os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString(`{"image":"half a l`)
	f.Close()
	other := job(t, paths, "again")
	other.Settings = "another slab"
	if _, err := Run(t.Context(), other); err == nil || !strings.Contains(err.Error(), "begun otherwise") {
		t.Errorf("with other settings: %v", err)
	}
	fewer := job(t, paths[1:], "again")
	if _, err := Run(t.Context(), fewer); err == nil || !strings.Contains(err.Error(), "30 images") {
		t.Errorf("with other folders: %v", err)
	}
	r, err := Run(t.Context(), job(t, paths, "again"))
	if err != nil || r.Resumed < 20 || r.Images != 60 || r.Bad != 3 {
		t.Fatalf("%+v %v", r, err)
	}
	if read(t, "again") != read(t, "all") {
		t.Error("the resumed run wrote other bytes")
	}
	for _, name := range []string{"again.part", "again.settings"} {
		if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left over", name)
		}
	}
	if _, err := Run(t.Context(), job(t, paths, "again")); err == nil || !strings.Contains(err.Error(), "there already") {
		t.Errorf("onto a finished file: %v", err)
	}
}

// While a run writes a file no other does; what is read of it is whole, and no lock is left.
func TestOneRunAFile(t *testing.T) {
	paths := pictures(t)
	if _, err := Run(t.Context(), job(t, paths, "alone")); err != nil {
		t.Fatal(err)
	}
	j := job(t, paths, "out")
	var second error
	j.Progress = func(done, _ int) {
		if done == 10 {
			_, second = Run(t.Context(), job(t, paths, "out"))
		}
	}
	if _, err := Run(t.Context(), j); err != nil {
		t.Fatal(err)
	}
	if second == nil || !strings.Contains(second.Error(), "another process is writing out") {
		t.Errorf("a second run on the same file: %v", second)
	}
	if read(t, "out") != read(t, "alone") {
		t.Error("the second run changed what the first wrote")
	}
	for _, name := range []string{"out.lock", "out.part", "out.settings"} {
		if _, err := os.Stat(name); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left over", name)
		}
	}
	// A process that was killed leaves the file of its lock, and no lock.
	write(t, "again.lock", nil)
	if _, err := Run(t.Context(), job(t, paths, "again")); err != nil {
		t.Errorf("after a run that was killed: %v", err)
	}
}

// What a list has need not be there any more, and what comes twice is scored once: neither stops a job.
func TestListsAndRepetitions(t *testing.T) {
	paths := pictures(t)
	if _, err := Run(t.Context(), job(t, paths, "once")); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(read(t, "once"), "\n")
	write(t, "tree/given.png", picture(t, 1))
	if err := errors.Join(os.Symlink("more.tar", "link.tar"), os.Symlink("tree", "link")); err != nil {
		t.Fatal(err)
	}
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	j := job(t, append(paths, "./more.tar", "tree/", "tree", filepath.Join(here, "tree"), "link.tar", "link", "tree/1"), "out")
	j.Listed = []string{"gone.png", "gone/folder", "tree/given.png", "./tree/given.png", "more.tar", "gone.png"}
	r, err := Run(t.Context(), j)
	if err != nil || r.Images != 60+3 || r.Bad != 3+2 {
		t.Fatalf("%+v %v", r, err)
	}
	got := strings.SplitAfter(read(t, "out"), "\n")
	for _, line := range lines {
		if !slices.Contains(got, line) {
			t.Errorf("lacks %s", line)
		}
	}
	if text := read(t, "out"); !strings.Contains(text, `{"image":"gone.png","error":`) || !strings.Contains(text, `{"image":"gone/folder","error":`) || strings.Count(text, "given.png") != 1 {
		t.Error(text)
	}
	for path, reason := range map[string]string{
		"./more.tar": again, "tree/": again, "tree": again, "more.tar": again, "gone.png": again, "./tree/given.png": again, "tree/given.png": again,
		"link.tar": "the same as more.tar", "link": "the same as tree", filepath.Join(here, "tree"): "the same as tree",
	} {
		if !said(r.LeftOut, path, reason) {
			t.Errorf("%s (%s) is not among %v", path, reason, r.LeftOut)
		}
	}
	var all []string // the shards leave out alike
	for i := range 3 {
		part := job(t, j.Paths, fmt.Sprint("part", i))
		part.Listed, part.Shard = j.Listed, Shard{i + 1, 3}
		if _, err := Run(t.Context(), part); err != nil {
			t.Fatal(err)
		}
		all = append(all, strings.SplitAfter(read(t, part.Out), "\n")...)
	}
	slices.Sort(all)
	if strings.Join(all, "") != read(t, "out") {
		t.Error("the sorted shards are not the whole")
	}
}

func TestWrongJobs(t *testing.T) {
	paths := pictures(t)
	for name, x := range map[string]struct {
		paths []string
		says  string
	}{
		"missing": {[]string{"no-such"}, "no-such"},
		"empty":   {[]string{t.TempDir()}, "no images"},
		"nodir/x": {paths, "there is no folder nodir"},
		"x.tsv":   {paths, ".csv or .parquet for a table"},
		"x.csv":   {paths, "no tables"},
		"x.json":  {paths, "end the name in .jsonl"},
	} {
		if _, err := Run(t.Context(), job(t, x.paths, name)); err == nil || !strings.Contains(err.Error(), x.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestParseShard(t *testing.T) {
	for _, c := range []struct {
		text, index string
		want        Shard
		says        string
	}{
		{"2/8", "", Shard{2, 8}, ""}, {"1/1", "5", Shard{1, 1}, ""}, {"job/8", "0", Shard{1, 8}, ""}, {"job/8", "7", Shard{8, 8}, ""},
		{"", "", Shard{}, "want one of N parts"}, {"1", "", Shard{}, "want one of N parts"}, {"0/2", "", Shard{}, "want one of N parts"},
		{"3/2", "", Shard{}, "want one of N parts"}, {"a/b", "", Shard{}, "want one of N parts"}, {"1/2/3", "", Shard{}, "want one of N parts"},
		{"job", "0", Shard{}, "want one of N parts"}, {"job/0", "0", Shard{}, "want one of N parts"}, {"job/x", "0", Shard{}, "want one of N parts"},
		{"job/8", "", Shard{}, "JOB_COMPLETION_INDEX is not set"}, {"job/8", "8", Shard{}, `is "8", and not 0 to 7; give the Job completions: 8`},
		{"job/8", "-1", Shard{}, "not 0 to 7"}, {"job/8", "two", Shard{}, "not 0 to 7"},
	} {
		t.Setenv("JOB_COMPLETION_INDEX", c.index)
		got, ofJob, err := ParseShard(c.text)
		if c.says == "" && (err != nil || got != c.want || ofJob != strings.HasPrefix(c.text, "job")) || c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%q of the index %q: %v, %v, %v", c.text, c.index, got, ofJob, err)
		}
	}
}
