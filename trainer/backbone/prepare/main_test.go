package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeFiles writes files into a folder.
func writeFiles(t *testing.T, files map[string][]byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, b := range files {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// cifar100 returns the files of CIFAR-100 with few images: three to train on and two to test with
// of each class, every one of a grey of its own.
func cifar100() map[string][]byte {
	names := make([]string, 100)
	copy(names, strings.Fields("baby bed bicycle chimpanzee fox leopard man pickup_truck plain poppy rocket rose snail "+
		"sweet_pepper table telephone wardrobe whale woman worm"))
	for y := 20; y < 100; y++ {
		names[y] = fmt.Sprintf("class%d", y)
	}
	split := func(each, from int) (b []byte) {
		for k := range each {
			for y := range 100 {
				b = append(b, 0, byte(y))
				b = append(b, bytes.Repeat([]byte{byte(2*y + from + k)}, 3*32*32)...)
			}
		}
		return b
	}
	return map[string][]byte{"fine_label_names.txt": []byte(strings.Join(names, "\n")), "train.bin": split(3, 0), "test.bin": split(2, 3)}
}

func TestPrepare(t *testing.T) {
	cifar := writeFiles(t, cifar100())
	tiny := map[string][]byte{}
	for i := range trained + 1 {
		tiny[fmt.Sprintf("train/goose/%03d.jpg", i)] = nil
	}
	for i := range tested + 1 {
		tiny[fmt.Sprintf("test/goose/%d.jpg", i)] = nil
	}
	for _, class := range unseen {
		tiny["train/"+class+"/1.jpg"], tiny["test/"+class+"/1.jpg"] = nil, nil
	}
	out := t.TempDir()
	if err := prepare(cifar, writeFiles(t, tiny), out); err != nil {
		t.Fatal(err)
	}

	count := func(folder string) (classes, files int) {
		t.Helper()
		dirs, err := os.ReadDir(filepath.Join(out, folder))
		if err != nil {
			t.Fatal(err)
		}
		for _, dir := range dirs {
			f, err := os.ReadDir(filepath.Join(out, folder, dir.Name()))
			if err != nil {
				t.Fatal(err)
			}
			files += len(f)
		}
		return len(dirs), files
	}
	for folder, want := range map[string][2]int{
		"seen/train": {1 + 80, trained + 80*5}, // five of CIFAR-100 are fewer than trained
		"seen/test":  {1, tested},
		"unseen":     {len(unseen), len(unseen)},
	} {
		if classes, files := count(folder); [2]int{classes, files} != want {
			t.Errorf("%s: %d classes and %d files, want %v", folder, classes, files, want)
		}
	}
	// Neither part of the one set shows what the other is tested on.
	dirs, _ := os.ReadDir(filepath.Join(out, "seen", "train"))
	for _, dir := range dirs {
		for _, name := range append([]string{"cifar-baby", "cifar-worm", "cifar-whale"}, unseen...) {
			if dir.Name() == name {
				t.Errorf("%s is among what is seen", name)
			}
		}
	}

	// An image of CIFAR-100 comes back as it was: the second of class 30 has a grey of 61.
	f, err := os.Open(filepath.Join(out, "seen", "train", "cifar-class30", "1.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	picture, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	if size := picture.Bounds().Size(); size != image.Pt(32, 32) {
		t.Errorf("the picture has %v pixels", size)
	}
	if got := color.NRGBAModel.Convert(picture.At(31, 5)); got != (color.NRGBA{61, 61, 61, 255}) {
		t.Errorf("a pixel is %v", got)
	}
}

func TestPrepareRefuses(t *testing.T) {
	cifar := writeFiles(t, cifar100())
	lacks := writeFiles(t, map[string][]byte{"train/snail/1.jpg": nil})
	if err := prepare(cifar, lacks, t.TempDir()); err == nil || !strings.Contains(err.Error(), lacks+" lacks the class bell-pepper") {
		t.Errorf("got %v", err)
	}
	if err := prepare(t.TempDir(), lacks, t.TempDir()); err == nil || !strings.Contains(err.Error(), "fine_label_names.txt") {
		t.Errorf("got %v", err)
	}
}
