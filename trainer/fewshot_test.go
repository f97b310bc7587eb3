package trainer

import (
	"archive/zip"
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Directions that say the class in the second view alone, and noise in the first: with
// both the answers are right, with the first a matter of chance.
func TestFewShot(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	const classes, images, width = 8, 12, 8
	var directions [][]float32
	var truth []int
	for y := range classes {
		for range images {
			z := make([]float32, 2*width)
			var square float64
			for k := range width {
				v := rng.NormFloat64()
				z[k], square = float32(v), square+v*v
			}
			for k := range width {
				z[k] /= float32(math.Sqrt(square) * 1e3) // so that it decides nothing beside the other
			}
			z[width+y] = 1
			directions, truth = append(directions, z), append(truth, y)
		}
	}
	f := FewShot{Episode{"proto", 4, 2, 3}, 400, 5}
	got, err := f.Estimate(directions, 2, truth)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].Views != 1 || got[1] != (Estimate{2, 1, 0}) || math.Abs(got[0].Accuracy-.25) > 3*got[0].Interval || got[0].Interval < .005 || got[0].Interval > .03 {
		t.Errorf("%+v", got)
	}
	if again, _ := f.Estimate(directions, 2, truth); !slices.Equal(again, got) {
		t.Errorf("the second time %+v, the first %+v", again, got)
	}
	for want, f := range map[string]FewShot{
		"8 classes have the 5 images":  {Episode{"proto", 9, 2, 3}, 5, 0},
		"0 classes have the 13 images": {Episode{"proto", 2, 10, 3}, 5, 0},
		"at least 2 classes":           {Episode{"proto", 1, 1, 1}, 5, 0},
	} {
		if _, err := f.Estimate(directions, 2, truth); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, have %v", want, err)
		}
	}
}

// The directions of a dataset's images are those of package sla, and separate pictures
// that are alike from others.
func TestDirections(t *testing.T) {
	d := small(t)
	model, _, err := Train(t.Context(), d, smallConfig(), nil)
	if err != nil {
		t.Fatal(err)
	}
	z, err := Directions(t.Context(), model, d, &d.Test)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range z {
		width := len(v) / model.Views()
		for j := range model.Views() {
			var square float64
			for _, x := range v[j*width : (j+1)*width] {
				square += float64(x) * float64(x)
			}
			if math.Abs(square-1) > 1e-5 {
				t.Fatalf("image %d, view %d: length² %v", i, j, square)
			}
		}
	}
}

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
	d, err := Load("omniglot:" + dir)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(d.Labels) != "[Greek/character01 Greek/character02 Latin/character01]" || fmt.Sprint(d.Train.Classes, d.Test.Classes) != "[0 0 1 1 2 2] [0 0 1 1 2 2]" ||
		len(d.Train.Pixels) != 6*28*28 || d.Channels != 1 || d.Name != "omniglot" {
		t.Errorf("%v, %v, %v, %d", d.Labels, d.Train.Classes, d.Test.Classes, len(d.Train.Pixels))
	}
	middle := d.Train.Pixels[14*28+13 : 14*28+15]
	if d.Train.Pixels[0] != 255 || slices.Min(middle) == 255 {
		t.Errorf("a corner of %d, a middle of %v", d.Train.Pixels[0], middle)
	}
	if d, err = Load("omniglot-new:" + dir); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(d.Labels) != "[Sanskrit/character01 Sanskrit/character02]" || d.Train.Len() != 0 || d.Test.Len() != 8 {
		t.Errorf("%v, %d, %d", d.Labels, d.Train.Len(), d.Test.Len())
	}
	archive("images_background_small1", "Greek")
	if _, err := Load("omniglot:" + dir); err == nil || !strings.Contains(err.Error(), "Greek/0000_01.png is not named as") {
		t.Error(err)
	}
	if _, err := Load("omniglot:" + t.TempDir()); err == nil || !strings.Contains(err.Error(), "images_background_small1.zip") {
		t.Error(err)
	}
}
