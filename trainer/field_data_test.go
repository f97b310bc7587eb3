package trainer

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/trainer/dataset"
)

// addPictures writes pictures of one colour each into a folder of a class.
func addPictures(t *testing.T, dir string, from, to int) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for i := from; i < to; i++ {
		img := image.NewNRGBA(image.Rect(0, 0, 8, 8))
		for k := range 64 {
			img.SetNRGBA(k%8, k/8, color.NRGBA{uint8(7 * i), uint8(40 * len(dir)), uint8(i), 255})
		}
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%d.png", i)))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(png.Encode(f, img), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// A run whose pictures have become more or fewer since says so when it is resumed, whatever else
// no longer fits.
func TestFieldPicturesThatChange(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	for name, c := range map[string]struct {
		steps  int // as a plan makes them; 0: whole epochs
		change func(photos string)
	}{
		"more, of whole epochs":  {0, func(photos string) { addPictures(t, filepath.Join(photos, "b"), 20, 25) }},
		"fewer, of whole epochs": {0, func(photos string) { os.Remove(filepath.Join(photos, "a", "3.png")) }},
		"more, of a plan":        {23, func(photos string) { addPictures(t, filepath.Join(photos, "b"), 20, 60) }},
		"fewer, of a plan":       {23, func(photos string) { os.RemoveAll(filepath.Join(photos, "c")) }},
		"others, of a plan": {23, func(photos string) {
			addPictures(t, filepath.Join(photos, "b"), 100, 101)
			os.Remove(filepath.Join(photos, "b", "2.png"))
		}},
	} {
		photos := t.TempDir()
		for _, class := range []string{"a", "b", "c"} {
			addPictures(t, filepath.Join(photos, class), 0, 20)
		}
		config := smallConfig()
		config.Method, config.BatchSize, config.Epochs, config.Steps = "baseline", 4, 3, c.steps
		run := stoppedOn(t, dataset.Source{Data: "folder:" + photos, Size: 8}, config, 11)
		c.change(photos)
		if _, err := Resume(t.Context(), run, 0, nil); err == nil || !strings.Contains(err.Error(), "the training images have changed since the run began") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A class that has fewer images than are used of each at most keeps what it has.
func TestTrainPerClassIsAtMost(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	photos := t.TempDir()
	addPictures(t, filepath.Join(photos, "a"), 0, 30)
	addPictures(t, filepath.Join(photos, "b"), 0, 10)
	c := smallConfig()
	c.Method, c.BatchSize, c.TrainPerClass = "baseline", 4, 12
	f, err := Start(t.Context(), filepath.Join(t.TempDir(), "run"), dataset.Source{Data: "folder:" + photos, Size: 8}, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n := f.Counts(); n[0] != 11 || n[1] > 8 || n[1] < 5 { // of 12 and about 8, less what is held out
		t.Errorf("%v images of the classes", n)
	}
}

// A folder is read in the size of the slab that the net starts from, and grey images, which have
// none, in that which goes with them.
func TestLoadFolder(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	coloured, grey := t.TempDir(), t.TempDir()
	for y, class := range []string{"a", "b"} {
		addPictures(t, filepath.Join(coloured, class), 10*y, 10*y+4)
		if err := os.Mkdir(filepath.Join(grey, class), 0o755); err != nil {
			t.Fatal(err)
		}
		for i := range 4 {
			var b bytes.Buffer
			if err := png.Encode(&b, &image.Gray{Pix: bytes.Repeat([]byte{byte(50*y + 10*i)}, 70*70), Stride: 70, Rect: image.Rect(0, 0, 70, 70)}); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(grey, class, fmt.Sprintf("%d.png", i)), b.Bytes(), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	m, _, err := OpenFrom(FromBackbone)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		source   dataset.Source
		from     string
		given    string
		size     int
		channels int
	}{
		"coloured":        {dataset.Source{Data: coloured}, "", "", m.Input.Width, 3},
		"from nothing":    {dataset.Source{Data: coloured}, NoSlab, "from", dataset.SmallSide, 3},
		"a net":           {dataset.Source{Data: coloured}, "", "net", dataset.SmallSide, 3},
		"a size":          {dataset.Source{Data: grey, Size: 16}, "", "size", 16, 1},
		"grey":            {dataset.Source{Data: grey}, "", "", dataset.LargeSide, 1},
		"grey, backbone":  {dataset.Source{Data: grey}, FromBackbone, "from", m.Input.Width, 1},
		"coloured, sized": {dataset.Source{Data: coloured, Size: 24}, "", "size", 24, 3},
	} {
		source := c.source
		d, err := LoadFolder(t.Context(), &source, c.from, func(flag string) bool { return flag == c.given })
		if err != nil || d.Width != c.size || source.Size != c.size || d.Channels != c.channels {
			t.Errorf("%s: %+v, %v", name, source, err)
		}
	}
	large, err := Untrained("resnet8w8", 3, dataset.MaxSize+1, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "large.slab")
	if err := os.WriteFile(file, large, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadFolder(t.Context(), &dataset.Source{Data: coloured}, file, func(flag string) bool { return flag == "from" }); err == nil || !strings.Contains(err.Error(), "large.slab, is for images of 513 pixels a side") {
		t.Errorf("a slab of large images: %v", err)
	}
}
