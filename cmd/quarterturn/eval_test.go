package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/trainer/dataset"
)

// The images of a folder get the size that a slab takes, however the folder is named.
func TestFolderHasTheSizeOfTheSlab(t *testing.T) {
	at := folder(t)
	picture, err := os.ReadFile(at("picture.png"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range 24 {
		name := filepath.Join(at("data"), []string{"a", "b"}[i%2], fmt.Sprint(i, ".png"))
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, picture, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
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
