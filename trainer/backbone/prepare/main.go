// Command prepare makes the folders of pictures that the backbone is trained on and that
// what it is worth to other pictures is measured on:
//
//	go run ./trainer/backbone/prepare CIFAR100 TINY OUT
//
// CIFAR100 is a folder with the binary files of CIFAR-100, TINY one with the pictures of Tiny
// ImageNet, TINY/train/CLASS and TINY/test/CLASS, a class being named after the first word of
// its synset. OUT/seen gets 80 classes of the first, those that CIFAR-FS trains and validates on,
// and 180 of the second; OUT/unseen the 20 others, for tests.
package main

import (
	"context"
	"fmt"
	"image/png"
	"log"
	"os"
	"path/filepath"
	"slices"

	"github.com/quarterturn/quarterturn/trainer/dataset"
)

// unseen are the classes of Tiny ImageNet that the backbone does not see: seven that show what
// one of the classes shows that CIFAR-FS tests on, and thirteen drawn at random.
var unseen = []string{
	"bell-pepper", "chimpanzee", "desk", "dining-table", "pay-phone", "projectile", "snail",
	"Labrador-retriever", "cauliflower", "coral-reef", "fountain", "hog", "kimono", "lampshade", "lifeboat",
	"obelisk", "orange", "picket-fence", "pill-bottle", "school-bus",
}

// How many images of a class are to train on and to test with: in training the test is of no
// use but to see that all went well.
const trained, tested = 500, 8

func main() {
	log.SetFlags(0)
	if len(os.Args) != 4 {
		log.Fatal("usage: prepare CIFAR100 TINY OUT")
	}
	if err := prepare(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func prepare(cifar100, tiny, out string) error {
	if err := writeCIFAR(cifar100, filepath.Join(out, "seen")); err != nil {
		return err
	}
	classes, err := os.ReadDir(filepath.Join(tiny, "train"))
	if err != nil {
		return err
	}
	for _, name := range unseen {
		if !slices.ContainsFunc(classes, func(e os.DirEntry) bool { return e.Name() == name }) {
			return fmt.Errorf("%s lacks the class %s", tiny, name)
		}
	}
	for _, class := range classes {
		if name := class.Name(); slices.Contains(unseen, name) {
			err = copyClass(filepath.Join(tiny, "train", name), filepath.Join(out, "unseen", name), trained)
		} else {
			err = copyClass(filepath.Join(tiny, "train", name), filepath.Join(out, "seen", "train", name), trained)
			if err == nil {
				err = copyClass(filepath.Join(tiny, "test", name), filepath.Join(out, "seen", "test", name), tested)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// copyClass copies the first files of a folder.
func copyClass(from, to string, most int) error {
	files, err := os.ReadDir(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return err
	}
	for _, f := range files[:min(len(files), most)] {
		b, err := os.ReadFile(filepath.Join(from, f.Name()))
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, f.Name()), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// writeCIFAR writes the images of CIFAR-100 as PNG files: of each class the first 500, which are
// its training images, and a few of those behind them, which are its test images.
func writeCIFAR(dir, out string) error {
	d, err := dataset.Load(context.Background(), "cifar-fs:"+dir)
	if err != nil {
		return err
	}
	seen := make([]int, len(d.ClassNames))
	for i, y := range d.Train.Labels {
		k := seen[y]
		seen[y]++
		part := "train"
		if k >= trained {
			part, k = "test", k-trained
		}
		if part == "test" && k >= tested {
			continue
		}
		folder := filepath.Join(out, part, "cifar-"+d.ClassNames[y])
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		f, err := os.Create(filepath.Join(folder, fmt.Sprintf("%d.png", k)))
		if err != nil {
			return err
		}
		if err := png.Encode(f, d.Image(&d.Train, i)); err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}
