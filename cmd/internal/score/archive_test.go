package score

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// zipWith packs pictures 1, 2, ... behind headers.
func zipWith(t *testing.T, headers ...zip.FileHeader) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	w.RegisterCompressor(unknownMethod, func(w io.Writer) (io.WriteCloser, error) { return nopCloser{w}, nil })
	for i := range headers {
		f, err := w.CreateHeader(&headers[i])
		if err == nil {
			_, err = f.Write(picture(t, i+1))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unknownMethod is a method of compression that is not read.
const unknownMethod = 93

// zipOf packs pictures 1, 2, ... under names, and returns where the bytes of each lie.
func zipOf(t *testing.T, method uint16, names ...string) (packed []byte, at []int64) {
	t.Helper()
	var headers []zip.FileHeader
	for _, name := range names {
		headers = append(headers, zip.FileHeader{Name: name, Method: method})
	}
	packed = zipWith(t, headers...)
	r, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range r.File {
		offset, err := f.DataOffset()
		if err != nil {
			t.Fatal(err)
		}
		at = append(at, offset)
	}
	return packed, at
}

// A byte that changed in a zip archive is found, however its file was packed, also where the picture
// could be decoded all the same.
func TestZipChecksums(t *testing.T) {
	t.Chdir(t.TempDir())
	want := digest(t, 2)
	for method, name := range map[uint16]string{zip.Store: "stored.zip", zip.Deflate: "deflated.zip"} {
		packed, at := zipOf(t, method, "a.png", "b.png", "empty.png")
		write(t, name, packed)
		if lines, r := run(t, name); r.Bad != 0 || lines[name+"/b.png"].Digest != want {
			t.Errorf("%s: %+v", name, lines)
		}
		// The CRC of the directory: nothing of the picture differs.
		i := bytes.LastIndex(packed, []byte("PK\x01\x02")) + 16
		other := bytes.Clone(packed)
		other[i] ^= 1
		write(t, name, other)
		if lines, _ := run(t, name); !strings.Contains(lines[name+"/empty.png"].Error, "checksum") || lines[name+"/b.png"].Digest == "" {
			t.Errorf("%s with another checksum: %+v", name, lines)
		}
		for k := range 20 {
			other := bytes.Clone(packed)
			other[at[1]+int64(k)] ^= 0x10
			write(t, name, other)
			lines, _ := run(t, name)
			same := method == zip.Deflate && lines[name+"/b.png"].Digest == want // such as the lengths of codes that are not used
			if !same && lines[name+"/b.png"].Error == "" || lines[name+"/a.png"].Digest == "" {
				t.Errorf("%s with byte %d changed: %+v", name, k, lines)
			}
		}
	}
}

// Archives with something in front: a program that unpacks them, or another archive.
func TestZipBehindSomething(t *testing.T) {
	t.Chdir(t.TempDir())
	first, _ := zipOf(t, zip.Deflate, "x.png")
	second, _ := zipOf(t, zip.Store, "a.png", "b.png")
	write(t, "program.zip", append([]byte("MZ, a program that unpacks what follows"), second...))
	lines, r := run(t, "program.zip")
	if len(lines) != 2 || r.Bad != 0 || lines["program.zip/b.png"].Digest != digest(t, 2) || len(r.LeftOut) != 0 {
		t.Errorf("%+v %v", lines, r.LeftOut)
	}
	write(t, "two.zip", append(first, second...))
	lines, r = run(t, "two.zip")
	if len(lines) != 2 || r.Bad != 0 || !said(r.LeftOut, "two.zip", "begins with files that its directory does not list") {
		t.Errorf("%+v %v", lines, r.LeftOut)
	}
}

// Symbolic links in a tar archive lead to what they lead to once it is unpacked.
func TestTarLinks(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "in/real/x.png", picture(t, 1))
	write(t, "in/real/data", picture(t, 2))
	write(t, "outside.png", picture(t, 3))
	for name, to := range map[string]string{
		"link.png": "real/x.png", "chain.png": "link.png", "longer.png": "./deeper/../chain.png", "folder": "real", "through.png": "folder/x.png",
		"data.png": "real/data", "self.png": "self.png", "round.png": "trip.png", "trip.png": "round.png", "gone.png": "real/none.png",
		"out.png": "../../outside.png", "absolute.png": "/real/x.png", "folder2": "folder", "here": "..",
	} {
		if err := os.Symlink(to, "in/"+name); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(os.Mkdir("in/deeper", 0o755), os.Link("in/link.png", "in/hard.png")); err != nil {
		t.Fatal(err)
	}
	for _, order := range []string{"--sort=name", "--sort=none"} {
		tarOf(t, order, "-cf", "x.tar", "in", "outside.png")
		if err := errors.Join(os.Mkdir("unpacked", 0o755), exec.Command("tar", "-xf", "x.tar", "-C", "unpacked").Run()); err != nil {
			t.Fatal(err)
		}
		lines, r := run(t, "x.tar")
		unpacked, _ := run(t, "unpacked")
		for _, name := range []string{"real/x", "link", "chain", "longer", "through", "data", "hard"} {
			got, want := lines["x.tar/in/"+name+".png"], unpacked["unpacked/in/"+name+".png"]
			if got.Digest == "" || got.Digest != want.Digest {
				t.Errorf("%s: %+v, on disk %+v", name, got, want)
			}
		}
		if len(lines) != 8 || r.Bad != 0 {
			t.Errorf("%d lines, %d bad: %v", len(lines), r.Bad, lines)
		}
		for name, reason := range map[string]string{
			"folder": "link to a folder of the archive", "folder2": "link to a folder of the archive", "here": "link to a folder of the archive",
			"self.png": "back to itself", "round.png": "back to itself", "trip.png": "back to itself", "gone.png": "not in the archive",
			"out.png": "not in the archive", "absolute.png": "not in the archive", "real/data": "not named",
		} {
			if !said(r.LeftOut, "x.tar/in/"+name, reason) {
				t.Errorf("%s (%s) is not among %v", name, reason, r.LeftOut)
			}
		}
		if err := os.RemoveAll("unpacked"); err != nil {
			t.Fatal(err)
		}
	}
}

// Archives one behind the other, as cat makes them, and what tapes leave behind their end.
func TestTarsBehindEachOther(t *testing.T) {
	t.Chdir(t.TempDir())
	write(t, "one/a.png", picture(t, 1))
	write(t, "two/b.png", picture(t, 2))
	sparse := append(picture(t, 3), make([]byte, 1<<17)...)
	writeSparse(t, "two/c.png", sparse)
	tarOf(t, "-cf", "a.tar", "one")
	tarOf(t, "-czf", "a.tgz", "one")
	tarOf(t, "--sparse", "-cf", "b.tar", "two")
	tarOf(t, "--sparse", "-czf", "b.tgz", "two")
	write(t, "ab.tar", []byte(read(t, "a.tar")+read(t, "b.tar")))
	write(t, "ab.tgz", []byte(read(t, "a.tgz")+read(t, "b.tgz")))
	write(t, "zeros.tgz", append([]byte(read(t, "ab.tgz")), make([]byte, 3000)...))
	if out, err := exec.Command("tar", "-xzif", "zeros.tgz", "-C", t.TempDir()).CombinedOutput(); err != nil {
		t.Fatalf("tar itself: %v, %s", err, out)
	}
	for _, name := range []string{"ab.tar", "ab.tgz", "zeros.tgz"} {
		lines, r := run(t, name)
		if len(lines) != 3 || r.Bad != 0 || len(r.LeftOut) != 0 || lines[name+"/one/a.png"].Digest != digest(t, 1) ||
			lines[name+"/two/b.png"].Digest != digest(t, 2) || lines[name+"/two/c.png"].Digest != digest(t, 3) {
			t.Errorf("%s: %+v, %+v", name, lines, r)
		}
	}
	write(t, "junk.tar", append([]byte(read(t, "a.tar")), bytes.Repeat([]byte("junk"), 256)...))
	if lines, r := run(t, "junk.tar"); len(lines) != 1 || !said(r.LeftOut, "junk.tar", "what follows is no tar archive") {
		t.Errorf("%+v %v", lines, r.LeftOut)
	}
	write(t, "junk.tgz", []byte(read(t, "a.tgz")+"junk that is long enough"))
	if _, err := Run(t.Context(), job(t, []string{"junk.tgz"}, "out")); err == nil || !strings.Contains(err.Error(), "behind the end of what gzip compressed") {
		t.Errorf("%v", err)
	}
}

// Hard links to what comes behind them are not followed, and it is not said that it is not there.
func TestFieldHardLinksToLaterFiles(t *testing.T) {
	t.Chdir(t.TempDir())
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	member := func(h tar.Header, data []byte) {
		h.Mode, h.Size = 0o600, int64(len(data))
		err := w.WriteHeader(&h)
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"chain.png": "early.png", "early.png": "a.png", "gone.png": "none.png", "round.png": "trip.png", "trip.png": "round.png"} {
		member(tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to}, nil)
	}
	member(tar.Header{Name: "a.png", Typeflag: tar.TypeReg}, picture(t, 1))
	member(tar.Header{Name: "late.png", Typeflag: tar.TypeLink, Linkname: "a.png"}, nil)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, "x.tar", b.Bytes())
	lines, r := run(t, "x.tar")
	if len(lines) != 2 || lines["x.tar/late.png"].Digest != digest(t, 1) || len(r.LeftOut) != 5 {
		t.Errorf("%+v %v", lines, r.LeftOut)
	}
	for name, reason := range map[string]string{"chain": "comes later", "early": "comes later", "gone": nowhere, "round": nowhere, "trip": nowhere} {
		if !said(r.LeftOut, "x.tar/"+name+".png", reason) {
			t.Errorf("%s (%s) is not among %v", name, reason, r.LeftOut)
		}
	}
}
