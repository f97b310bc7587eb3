package dataset

import (
	"archive/zip"
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Archives made as Omniglot's are: the new classes are those of alphabets that the
// first archive lacks, and the last drawers are the test.
func TestOmniglot(t *testing.T) {
	dir := t.TempDir()
	archive := func(name string, characters ...string) {
		var b bytes.Buffer
		w := zip.NewWriter(&b)
		for k, c := range characters {
			for _, drawer := range []string{"01", "16", "17", "20"} {
				f, err := w.Create(fmt.Sprintf("%s/%s/%04d_%s.png", name, c, k, drawer))
				if err != nil {
					t.Fatal(err)
				}
				img := image.NewPaletted(image.Rect(0, 0, 105, 105), color.Palette{color.Black, color.White})
				for i := range img.Pix {
					img.Pix[i] = 1
				}
				img.Pix[105*52+52] = uint8(k % 2)
				if err := png.Encode(f, img); err != nil {
					t.Fatal(err)
				}
			}
		}
		if _, err := w.Create(name + "/readme.txt"); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".zip"), b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	archive("images_background_small1", "Greek/character01", "Greek/character02", "Latin/character01")
	archive("images_background_small2", "Greek/character01", "Sanskrit/character01", "Sanskrit/character02")
	d, err := Load(t.Context(), "omniglot:"+dir)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(d.ClassNames) != "[Greek/character01 Greek/character02 Latin/character01]" || fmt.Sprint(d.Train.Labels, d.Test.Labels) != "[0 0 1 1 2 2] [0 0 1 1 2 2]" ||
		len(d.Train.Pixels) != 6*28*28 || d.Channels != 1 || d.Name != "omniglot" {
		t.Errorf("%v, %v, %v, %d", d.ClassNames, d.Train.Labels, d.Test.Labels, len(d.Train.Pixels))
	}
	middle := d.Train.Pixels[14*28+13 : 14*28+15]
	if d.Train.Pixels[0] != 255 || slices.Min(middle) == 255 {
		t.Errorf("a corner of %d, a middle of %v", d.Train.Pixels[0], middle)
	}
	if d, err = Load(t.Context(), "omniglot-new:"+dir); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(d.ClassNames) != "[Sanskrit/character01 Sanskrit/character02]" || d.Train.Len() != 0 || d.Test.Len() != 8 {
		t.Errorf("%v, %d, %d", d.ClassNames, d.Train.Len(), d.Test.Len())
	}
	archive("images_background_small1", "Greek")
	if _, err := Load(t.Context(), "omniglot:"+dir); err == nil || !strings.Contains(err.Error(), "Greek/0000_01.png is not named as") {
		t.Error(err)
	}
	if _, err := Load(t.Context(), "omniglot:"+t.TempDir()); err == nil || !strings.Contains(err.Error(), "images_background_small1.zip") {
		t.Error(err)
	}
}
