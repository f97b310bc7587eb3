package dataset

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
)

var cifar10Names = []string{"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"}

func loadCIFAR100(dir fs.FS) (*Dataset, error) {
	names, err := fs.ReadFile(dir, "fine_label_names.txt")
	if err != nil {
		return nil, err
	}
	labels := strings.Fields(string(names))
	if len(labels) != 100 {
		return nil, fmt.Errorf("fine_label_names.txt has %d names, want 100", len(labels))
	}
	return loadCIFAR(dir, "train.bin", "test.bin", 1, labels)
}

// cifarFSNew are the classes of CIFAR-100 that CIFAR-FS (Bertinetto et al. 2019) tests on.
// The list is that of torchmeta's copy of the split, torchmeta/datasets/assets/cifar100/cifar-fs/test.json.
var cifarFSNew = []string{"baby", "bed", "bicycle", "chimpanzee", "fox", "leopard", "man", "pickup_truck", "plain", "poppy",
	"rocket", "rose", "snail", "sweet_pepper", "table", "telephone", "wardrobe", "whale", "woman", "worm"}

// loadCIFARFS returns all images of the classes of CIFAR-100 that CIFAR-FS trains and
// validates on, or of those that it tests on, as test images.
func loadCIFARFS(dir fs.FS, new bool) (*Dataset, error) {
	all, err := loadCIFAR100(dir)
	if err != nil {
		return nil, err
	}
	for _, name := range cifarFSNew {
		if !slices.Contains(all.ClassNames, name) {
			return nil, fmt.Errorf("fine_label_names.txt lacks the class %s", name)
		}
	}
	d := &Dataset{Height: all.Height, Width: all.Width, Channels: all.Channels}
	class := map[int]int{} // of a class of CIFAR-100, its number here
	for y, name := range all.ClassNames {
		if slices.Contains(cifarFSNew, name) == new {
			class[y] = len(d.ClassNames)
			d.ClassNames = append(d.ClassNames, name)
		}
	}
	part := &d.Train
	if new {
		part = &d.Test
	}
	for _, s := range []*Split{&all.Train, &all.Test} {
		var indices []int
		for i, y := range s.Labels {
			if _, ok := class[y]; ok {
				indices = append(indices, i)
			}
		}
		some := all.Subset(s, indices)
		for _, y := range some.Labels {
			part.Labels = append(part.Labels, class[y])
		}
		part.Pixels = append(part.Pixels, some.Pixels...)
	}
	return d, nil
}

// loadCIFAR reads the binary layout of CIFAR: records of skip bytes, a label and
// 3 planes of 32x32.
func loadCIFAR(dir fs.FS, train, test string, skip int, labels []string) (*Dataset, error) {
	const side = 32
	record := skip + 1 + 3*side*side
	d := &Dataset{ClassNames: labels, Height: side, Width: side, Channels: 3}
	for _, part := range []struct {
		pattern string
		*Split
	}{{train, &d.Train}, {test, &d.Test}} {
		split := part.Split
		files, err := fs.Glob(dir, part.pattern)
		if err != nil {
			return nil, err
		}
		if len(files) == 0 {
			return nil, fmt.Errorf("no %s is there", part.pattern)
		}
		for _, name := range files {
			b, err := fs.ReadFile(dir, name)
			if err != nil {
				return nil, err
			}
			if len(b) == 0 || len(b)%record != 0 {
				return nil, fmt.Errorf("%s has %d bytes, not a multiple of its record's %d", filepath.Base(name), len(b), record)
			}
			for ; len(b) > 0; b = b[record:] {
				y, err := checkClasses(b[skip:skip+1], len(labels))
				if err != nil {
					return nil, fmt.Errorf("%s: %w", name, err)
				}
				split.Labels = append(split.Labels, y[0])
				planes := b[skip+1 : record]
				for i := range side * side {
					split.Pixels = append(split.Pixels, planes[i], planes[side*side+i], planes[2*side*side+i])
				}
			}
		}
	}
	return d, nil
}
