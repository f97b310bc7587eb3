package dataset

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// writePicture writes a w x h picture of one colour, PNG or JPEG by its name.
func writePicture(t *testing.T, name string, w, h int, c color.Color) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	var img interface {
		image.Image
		Set(x, y int, c color.Color)
	} = image.NewNRGBA(image.Rect(0, 0, w, h))
	if _, grey := c.(color.Gray); grey {
		img = image.NewGray(image.Rect(0, 0, w, h))
	}
	for y := range h {
		for x := range w {
			img.Set(x, y, c)
		}
	}
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if strings.HasSuffix(name, ".jpg") {
		err = jpeg.Encode(f, img, &jpeg.Options{Quality: 100})
	} else {
		err = png.Encode(f, img)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestImageFolder(t *testing.T) {
	cache := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", cache)
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	red, blue := color.NRGBA{200, 10, 10, 255}, color.NRGBA{10, 10, 200, 255}
	writePicture(t, at("train/red/a.png"), 40, 30, red)
	writePicture(t, at("train/red/b.jpg"), 17, 60, red)
	writePicture(t, at("train/blue/a.png"), 9, 9, blue)
	writePicture(t, at("test/blue/c.png"), 12, 9, blue)
	writePicture(t, at("test/red/c.png"), 100, 9, red)
	if err := os.WriteFile(at("train/red/notes.txt"), []byte("not a picture"), 0o644); err != nil {
		t.Fatal(err)
	}
	load := func() (*Dataset, error) { return Source{Data: "folder:" + dir, Size: 16}.Load(t.Context()) }
	const cut = "read, the cache being cut short"
	for _, try := range []string{"read", "cached", cut} {
		if try == cut {
			files, err := filepath.Glob(filepath.Join(cache, "quarterturn", "folders", "*"))
			if err != nil || len(files) != 1 {
				t.Fatal(files, err)
			}
			if err := os.Truncate(files[0], 16*16*3); err != nil {
				t.Fatal(err)
			}
		}
		d, err := load()
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(d.ClassNames, []string{"blue", "red"}) || d.Channels != 3 || d.Width != 16 ||
			!slices.Equal(d.Train.Labels, []int{0, 1, 1}) || !slices.Equal(d.Test.Labels, []int{0, 1}) {
			t.Fatalf("%s: %+v", try, d)
		}
		for i, y := range d.Train.Labels {
			px := d.Train.Pixels[i*16*16*3:][:3]
			if want := [][]byte{{10, 10, 200}, {200, 10, 10}}[y]; max(px[0], want[0])-min(px[0], want[0]) > 3 || max(px[2], want[2])-min(px[2], want[2]) > 3 {
				t.Errorf("%s: image %d has the pixel %v, want about %v", try, i, px, want)
			}
		}
	}
	// A file that changes is read again.
	writePicture(t, at("train/blue/a.png"), 9, 9, color.NRGBA{10, 10, 100, 255})
	if err := os.Chtimes(at("train/blue/a.png"), time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if d, err := load(); err != nil || d.Train.Pixels[2] != 100 {
		t.Errorf("after a change: %v, pixel %v", err, d.Train.Pixels[:3])
	}
	// A broken file is named, and left out on request.
	if err := os.WriteFile(at("train/red/z.png"), []byte("\x89PNG\r\n\x1a\nand then nothing"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := load(); err == nil || !strings.Contains(err.Error(), "1 of 6 images cannot be read") || !strings.Contains(err.Error(), "train/red/z.png") {
		t.Errorf("a broken file: %v", err)
	}
	if d, err := (Source{Data: "folder:" + dir, SkipBroken: true}).Load(t.Context()); err != nil || d.Train.Len() != 3 || d.Width != 32 {
		t.Errorf("skipping a broken file: %v", err)
	}
}

// A data set says its files as its folder was named, also when it comes from the cache.
func TestFolderCacheAndPaths(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := t.TempDir()
	writePicture(t, filepath.Join(dir, "photos/train/a/1.png"), 9, 9, color.Gray{50})
	writePicture(t, filepath.Join(dir, "photos/train/b/1.png"), 9, 9, color.Gray{90})
	writePicture(t, filepath.Join(dir, "photos/test/a/1.png"), 9, 9, color.Gray{70})
	t.Chdir(dir)
	for _, name := range []string{"photos", filepath.Join(dir, "photos"), "photos"} {
		d, err := Load(t.Context(), "folder:"+name)
		if err != nil {
			t.Fatal(err)
		}
		if want := filepath.Join(name, "test/a/1.png"); d.Test.Files[0] != want {
			t.Errorf("%s, want %s", d.Test.Files[0], want)
		}
	}
}

// A cache of which any byte has changed is none, nor is one that was cut off or goes on.
func TestFieldB30DamagedCaches(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	dir := t.TempDir()
	for i, name := range []string{"train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png"} {
		writePicture(t, filepath.Join(dir, name), 9, 9, color.Gray{uint8(10 * i)})
	}
	want, err := Source{Data: dir, Size: 8}.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(os.Getenv("XDG_CACHE_HOME"), "quarterturn/folders/*"))
	if err != nil || len(names) != 1 {
		t.Fatalf("caches %q, %v", names, err)
	}
	key := filepath.Base(names[0])
	whole, err := os.ReadFile(names[0])
	if err != nil {
		t.Fatal(err)
	}
	put := func(b []byte) *Dataset {
		if err := os.WriteFile(names[0], b, 0o644); err != nil {
			t.Fatal(err)
		}
		return readCache(key)
	}
	if d := put(whole); d == nil || !bytes.Equal(d.Train.Pixels, want.Train.Pixels) || !bytes.Equal(d.Test.Pixels, want.Test.Pixels) {
		t.Fatal("a sound cache is not read")
	}
	for i := range whole {
		b := bytes.Clone(whole)
		if b[i] ^= 16; put(b) != nil {
			t.Errorf("byte %d of %d may change", i, len(whole))
		}
	}
	if put(whole[:len(whole)-1]) != nil || put(whole[:40]) != nil || put(append(bytes.Clone(whole), 0)) != nil || put(nil) != nil {
		t.Error("a cache of another length is read")
	}
}

// Pictures of 64 pixels or more are worth more than 32 of them.
func TestFolderChoosesTheSize(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for _, c := range []struct{ large, small, size, want int }{{3, 2, 0, 64}, {2, 3, 0, 32}, {3, 2, 16, 16}, {150, 140, 0, 64}, {140, 150, 0, 32}} {
		dir := t.TempDir()
		for i := range c.large + c.small {
			w, h := 64, 90
			if i%2 == 0 && i/2 < c.small || i/2 >= c.large {
				w, h = 90, 63
			}
			writePicture(t, filepath.Join(dir, "ab"[i%3%2:][:1], strconv.Itoa(i)+".png"), w, h, color.Gray{uint8(i)})
		}
		d, err := Source{Data: dir, Size: c.size}.Load(t.Context())
		if err != nil || d.Width != c.want || d.Height != c.want {
			t.Errorf("%+v: %dx%d, %v", c, d.Width, d.Height, err)
		}
	}
}

func TestBadImageFolders(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	grey, red := color.Gray{50}, color.NRGBA{200, 10, 10, 255}
	for _, c := range []struct {
		pictures map[string]color.Color
		folders  []string
		size     int
		want     string
	}{
		{nil, nil, 0, "has 0 folders with images, want one for each of at least 2 classes"},
		{map[string]color.Color{"train/a/1.png": red}, nil, 0, "has 1 folders with images, want one for each of at least 2 classes"},
		{map[string]color.Color{"train/a/1.png": red, "test/a/1.png": red}, []string{"train/b"}, 0, "has 1 folders with images"},
		{map[string]color.Color{"1.png": red, "2.png": grey}, nil, 0, "holds 2 pictures outside of folders; put those of each class in a folder"},
		{map[string]color.Color{"train/a/1.png": red, "train/b/1.png": red, "test/c/1.png": red}, nil, 0, "class c is in test but not in train, which has a, b"},
		{map[string]color.Color{"train/a/1.png": red, "train/b/1.png": red, "test/A/1.png": red}, nil, 0, "class A is in test but not in train"},
		{map[string]color.Color{"train/a/1.png": red, "train/b/1.png": red}, []string{"test/a"}, 0, "test holds no PNG, JPEG, GIF or WebP images"},
		{map[string]color.Color{"a/1.png": red, "b/1.png": red}, nil, 4, "want 8 to 512"},
	} {
		dir := t.TempDir()
		for name, colour := range c.pictures {
			writePicture(t, filepath.Join(dir, name), 8, 8, colour)
		}
		for _, name := range c.folders {
			if err := os.MkdirAll(filepath.Join(dir, name), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := (Source{Data: "folder:" + dir, Size: c.size}).Load(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	if d, err := (Source{Data: "fashion-mini", Name: "clothes"}).Load(t.Context()); err != nil || d.Name != "clothes" {
		t.Errorf("a name of one's own: %v", err)
	}
	if _, err := (Source{Data: "fashion-mini", Size: 64}).Load(t.Context()); err == nil || !strings.Contains(err.Error(), "only the images of a folder") {
		t.Errorf("resizing fashion-mini: %v", err)
	}
}
