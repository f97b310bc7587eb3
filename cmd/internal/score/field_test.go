package score

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/png"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/host/imagefile"
)

// picture is a PNG of its own for each number.
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

func write(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, data, 0o644)); err != nil {
		t.Fatal(err)
	}
}

// A scored line, as a reader of the file sees it.
type scored struct {
	Image, Error, Digest string
	Bytes                string `json:"image_base64"`
}

// exact is the name of the file, whatever its bytes.
func (s *scored) exact() string {
	if b, err := base64.StdEncoding.DecodeString(s.Bytes); err == nil && s.Bytes != "" {
		return string(b)
	}
	return s.Image
}

// run scores paths into a new file and returns its lines by exact name.
func run(t *testing.T, paths ...string) (map[string]scored, Report) {
	t.Helper()
	out := filepath.Join(t.TempDir(), "lines.jsonl")
	r, err := Run(t.Context(), job(t, paths, out))
	if err != nil {
		t.Fatal(err)
	}
	lines := map[string]scored{}
	d := json.NewDecoder(strings.NewReader(read(t, out)))
	for {
		var s scored
		if err := d.Decode(&s); errors.Is(err, io.EOF) {
			return lines, r
		} else if err != nil {
			t.Fatal(err)
		}
		lines[s.exact()] = s
	}
}

// digest is what a picture's line has.
func digest(t *testing.T, i int) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "one.png")
	write(t, name, picture(t, i))
	lines, _ := run(t, name)
	return lines[name].Digest
}

func said(l imagefile.LeftOuts, path, reason string) bool {
	return slices.ContainsFunc(l, func(x imagefile.LeftOut) bool { return x.Path == path && strings.Contains(x.Reason, reason) })
}

// B18: names of any bytes survive the way through a file of lines, and a run resumes over
// them.
func TestFieldB18NamesThatAreNotUnicode(t *testing.T) {
	t.Chdir(t.TempDir())
	names := []string{"in/caf\xe9.png", "in/caf\xe8.png", "in/\xff\xfe.png", "in/caf\ufffd.png", "in/plain.png", "in/new\nline.png"}
	for i, name := range names {
		write(t, name, picture(t, i))
	}
	lines, _ := run(t, "in")
	for i, name := range names {
		if s, ok := lines[name]; !ok || s.Digest != digest(t, i) {
			t.Errorf("%q: %+v", name, s)
		}
	}
	whole := job(t, []string{"in"}, "whole")
	if _, err := Run(t.Context(), whole); err != nil {
		t.Fatal(err)
	}
	want := read(t, "whole")
	sorted := strings.SplitAfter(want, "\n")
	if !slices.IsSorted(sorted[:len(names)]) {
		t.Errorf("the lines are not sorted:\n%s", want)
	}
	for stop := 1; stop < len(names); stop++ {
		out := fmt.Sprint("out", stop)
		ctx, cancel := context.WithCancel(t.Context())
		j := job(t, []string{"in"}, out)
		j.Progress = func(done, _ int) {
			if done == stop {
				cancel()
			}
		}
		if _, err := Run(ctx, j); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		r, err := Run(t.Context(), job(t, []string{"in"}, out))
		if err != nil || r.Resumed < stop || read(t, out) != want {
			t.Errorf("resumed after %d: %+v %v", stop, r, err)
		}
	}
}

// tarOf writes an archive by the program tar.
func tarOf(t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.Command("tar", args...).CombinedOutput(); err != nil {
		t.Fatalf("tar %v: %v\n%s", args, err, out)
	}
}

// writeSparse writes a file with holes for its zeros.
func writeSparse(t *testing.T, name string, data []byte) {
	t.Helper()
	write(t, name, nil)
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err == nil {
		err = f.Truncate(int64(len(data)))
	}
	const block = 4096
	for at := 0; at < len(data) && err == nil; at += block {
		part := data[at:min(at+block, len(data))]
		if bytes.Count(part, []byte{0}) < len(part) {
			_, err = f.WriteAt(part, int64(at))
		}
	}
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// B19: sparse files, in every form that tar has for them.
func TestFieldB19SparseArchives(t *testing.T) {
	t.Chdir(t.TempDir())
	var b bytes.Buffer
	// Uncompressed black is zeros for long stretches.
	if err := (&png.Encoder{CompressionLevel: png.NoCompression}).Encode(&b, image.NewGray(image.Rect(0, 0, 700, 300))); err != nil {
		t.Fatal(err)
	}
	writeSparse(t, "in/black.png", b.Bytes())
	write(t, "in/a.png", picture(t, 1))
	write(t, "in/z.png", picture(t, 2))
	want, _ := run(t, "in")
	for name, args := range map[string][]string{
		"gnu.tar": {"--format=gnu"}, "posix.tar": {"--format=posix"},
		"v00.tar": {"--format=posix", "--sparse-version=0.0"}, "v01.tar": {"--format=posix", "--sparse-version=0.1"},
	} {
		tarOf(t, append(args, "--sparse", "-cf", name, "in")...)
		if info, err := os.Stat(name); err != nil || info.Size() > 100_000 {
			t.Fatalf("%s is not sparse: %v %v", name, info, err)
		}
		lines, r := run(t, name)
		if r.Bad != 0 || len(lines) != 3 {
			t.Errorf("%s: %+v", name, r)
		}
		for path, s := range want {
			if got := lines[name+"/"+path]; got.Digest != s.Digest || s.Digest == "" {
				t.Errorf("%s: %s is %+v, want %+v", name, path, got, s)
			}
		}
	}
}

// B19: links in archives, names that come twice, and what is left out.
func TestFieldB19LinksAndTwiceInArchives(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "in/a.png", picture(t, 1))
	if err := errors.Join(os.Link("in/a.png", "in/hard.png"), os.Symlink("a.png", "in/soft.png"), os.Symlink("../elsewhere.png", "in/gone.png")); err != nil {
		t.Fatal(err)
	}
	write(t, "in/b.png", picture(t, 2))
	write(t, "in/notes.txt", nil)
	write(t, "in/._b.png", nil)
	write(t, "in/photo.heic", nil)
	write(t, "in/@eaDir/b.png", picture(t, 9))
	tarOf(t, "--sort=name", "-cf", "x.tar", "in")
	write(t, "in/b.png", picture(t, 3))
	tarOf(t, "-rf", "x.tar", "in/b.png")
	lines, r := run(t, "x.tar")
	for name, i := range map[string]int{"a": 1, "hard": 1, "soft": 1, "b": 3} {
		if got := lines["x.tar/in/"+name+".png"].Digest; got != digest(t, i) {
			t.Errorf("%s: %q", name, got)
		}
	}
	if len(lines) != 4 || r.Bad != 0 {
		t.Errorf("%d lines, %d bad", len(lines), r.Bad)
	}
	for path, reason := range map[string]string{
		"x.tar/in/b.png": "replaced by a later", "x.tar/in/gone.png": "link to what is not", "x.tar/in/notes.txt": "not named",
		"x.tar/in/._b.png": "macOS", "x.tar/in/photo.heic": "not read", "x.tar/in/@eaDir/b.png": "NAS",
	} {
		if !said(r.LeftOut, path, reason) {
			t.Errorf("%s (%s) is not among %v", path, reason, r.LeftOut)
		}
	}
	if len(r.LeftOut) != 6 {
		t.Errorf("left out %v", r.LeftOut)
	}
}

// B19: compressed archives are told by their content; those that are not read are named.
func TestFieldB19CompressedArchives(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "in/a.png", picture(t, 1))
	write(t, "in/deep/b.png", picture(t, 2))
	write(t, "in/notes.txt", nil)
	tarOf(t, "-czf", "x.tar.gz", "in")
	tarOf(t, "-czf", "archive", "in")
	archive := zipWith(t, zip.FileHeader{Name: "in/a.png", Method: zip.Store}, zip.FileHeader{Name: "in/deep/b.png", Method: zip.Deflate}, zip.FileHeader{Name: "in/notes.txt"},
		zip.FileHeader{Name: "in/c.png", Method: unknownMethod}, zip.FileHeader{Name: "__MACOSX/in/._a.png"})
	write(t, "x.zip", archive)
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	for _, name := range []string{"x.tar.gz", "archive", "x.zip"} {
		lines, r := run(t, name)
		if len(lines) != 2 || lines[name+"/in/a.png"].Digest != digest(t, 1) || lines[name+"/in/deep/b.png"].Digest != digest(t, 2) || !said(r.LeftOut, name+"/in/notes.txt", "not named") {
			t.Errorf("%s: %v %+v", name, lines, r)
		}
		if name == "x.zip" && (!said(r.LeftOut, "x.zip/in/c.png", "method 93") || !said(r.LeftOut, "x.zip/__MACOSX/in/._a.png", "macOS")) {
			t.Errorf("left out %v", r.LeftOut)
		}
	}
	if left, err := filepath.Glob(filepath.Join(temporary, "quarterturn-score-*")); err != nil || len(left) > 0 {
		t.Errorf("left in the temporary folder: %v %v", left, err)
	}
	for _, name := range []string{"page.zip", "page.TGZ"} {
		write(t, name, []byte("<!doctype html><title>Not found</title>"))
		if _, err := List(t.Context(), []string{name}, nil, Shard{1, 1}, nil, true); err == nil || !strings.Contains(err.Error(), name+" is no archive") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := List(t.Context(), []string{"x.tar.gz"}, nil, Shard{1, 1}, nil, false); err == nil || !strings.Contains(err.Error(), "unpack it first") {
		t.Errorf("where nothing can be unpacked: %v", err)
	}
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	z.Write([]byte("just a text"))
	z.Close()
	write(t, "letter.gz", packed.Bytes())
	write(t, "x.tar.zst", []byte("\x28\xb5\x2f\xfd rest"))
	write(t, "x.rar", []byte("Rar!\x1a\x07"))
	whole := read(t, "x.tar.gz")
	write(t, "cut.tar.gz", []byte(whole[:len(whole)-20]))
	for name, says := range map[string]string{"letter.gz": "no tar archive", "x.tar.zst": "zstd", "x.rar": "RAR", "cut.tar.gz": "cut.tar.gz: the archive was cut off"} {
		if _, err := Run(t.Context(), job(t, []string{name}, "out")); err == nil || !strings.Contains(err.Error(), name+": ") || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

// B19: what an archive holds is the same in shards, and a damaged member has its line.
func TestFieldB19DamagedMembers(t *testing.T) {
	t.Chdir(t.TempDir())
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := range 6 {
		data := picture(t, i)
		if i == 4 {
			data = data[:20]
		}
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("%d.png", i), Size: int64(len(data)), Mode: 0o600}); err != nil {
			t.Fatal(err)
		}
		w.Write(data)
	}
	w.Close()
	write(t, "x.tar", b.Bytes())
	lines, r := run(t, "x.tar")
	if len(lines) != 6 || r.Bad != 1 || !strings.Contains(lines["x.tar/4.png"].Error, "broken") {
		t.Errorf("%+v %v", r, lines)
	}
	write(t, "cut.tar", b.Bytes()[:3*1024+700])
	if _, err := Run(t.Context(), job(t, []string{"cut.tar"}, "cut")); err == nil || !strings.Contains(err.Error(), "cut.tar: ") || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("an archive that was cut off: %v", err)
	}
	write(t, "between.tar", b.Bytes()[:3*1024])
	if lines, r := run(t, "between.tar"); len(lines) != 3 || !said(r.LeftOut, "between.tar", "may have been cut off") {
		t.Errorf("an archive that was cut off between files: %d lines, %v", len(lines), r.LeftOut)
	}
}

// B20: links are followed to folders and files, and their loops end.
func TestFieldB20Links(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "store/a.png", picture(t, 1))
	write(t, "store/deep/b.png", picture(t, 2))
	if err := errors.Join(os.Symlink("store", "photos"), os.Symlink("..", "store/deep/up"), os.MkdirAll("other", 0o755), os.Symlink("../store/a.png", "other/linked.png"), os.Symlink("../store/deep", "other/folder")); err != nil {
		t.Fatal(err)
	}
	lines, r := run(t, "photos", "other")
	for _, name := range []string{"photos/a.png", "photos/deep/b.png", "other/linked.png", "other/folder/b.png"} {
		if lines[name].Digest == "" {
			t.Errorf("%s is missing", name)
		}
	}
	if !said(r.LeftOut, "photos/deep/up", "leads back") {
		t.Errorf("left out %v", r.LeftOut)
	}
}

// C21: lists on standard input, in the two forms that programs write.
func TestFieldC21ListsOfFiles(t *testing.T) {
	for in, want := range map[string][]string{
		"a.png\nb c.png\r\n\n": {"a.png", "b c.png"}, "a\nb.png\x00c.png\x00": {"a\nb.png", "c.png"}, "last.png": {"last.png"},
		"\xef\xbb\xbfa.png\r\nb.png": {"a.png", "b.png"},
	} {
		given, listed, err := Expand([]string{"first", "-", "end"}, strings.NewReader(in))
		if err != nil || !slices.Equal(listed, want) || !slices.Equal(given, []string{"first", "end"}) {
			t.Errorf("%q: %q, %q, %v", in, given, listed, err)
		}
	}
	if _, _, err := Expand([]string{"-"}, strings.NewReader("\xff\xfea\x00/\x00b\x00")); err == nil || !strings.Contains(err.Error(), "standard input: the text is UTF-16") {
		t.Errorf("UTF-16: %v", err)
	}
	for says, paths := range map[string][]string{"lists no files": {"-"}, "once only": {"-", "-"}} {
		if _, _, err := Expand(paths, strings.NewReader("\n"+strings.Repeat("x\n", len(paths)-1))); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", paths, err)
		}
	}
}

// C21: where nothing could be scored the run fails, with its lines written; settings that
// were cut off do not stand in the way.
func TestFieldC21NothingScored(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "bad/a.png", []byte("no"))
	write(t, "bad/b.jpg", []byte("nor this"))
	if _, err := Run(t.Context(), job(t, []string{"bad"}, "out")); err == nil || !strings.Contains(err.Error(), "none of the 2 images") {
		t.Errorf("all bad: %v", err)
	}
	if n := strings.Count(read(t, "out"), `"error":`); n != 2 {
		t.Errorf("%d lines", n)
	}
	write(t, "empty/notes.txt", nil)
	if _, err := Run(t.Context(), job(t, []string{"empty"}, "none")); err == nil || !strings.Contains(err.Error(), "notes.txt") {
		t.Errorf("without images: %v", err)
	}
	write(t, "in/a.png", picture(t, 1))
	write(t, "again.settings", nil)
	if _, err := Run(t.Context(), job(t, []string{"in"}, "again")); err != nil {
		t.Errorf("empty settings: %v", err)
	}
	write(t, "third.settings", nil)
	write(t, "third.part", []byte("whose?\n"))
	if _, err := Run(t.Context(), job(t, []string{"in"}, "third")); err == nil || !strings.Contains(err.Error(), "who made it is unknown") {
		t.Errorf("lines without settings: %v", err)
	}
}
