package dataset

import (
	"bytes"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"fmt"
	"image/color"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/internal/parallel"
)

// loadFolder reads DIR/train/CLASS/* and DIR/test/CLASS/*. Every image is
// cropped to a square and resized to size x size by the very code that classifies
// later. The result is cached: another run over the same files reads it back.
func loadFolder(dir string, size int, skipBroken bool) (*Dataset, error) {
	if size < 8 || size > 512 {
		return nil, fmt.Errorf("images of %d pixels a side: want 8 to 512", size)
	}
	d := &Dataset{Height: size, Width: size}
	var err error
	if d.ClassNames, err = subfolders(filepath.Join(dir, "train")); err != nil {
		return nil, err
	}
	if len(d.ClassNames) < 2 {
		return nil, fmt.Errorf("%s has %d folders, want one for each of at least 2 classes", filepath.Join(dir, "train"), len(d.ClassNames))
	}
	testLabels, err := subfolders(filepath.Join(dir, "test"))
	if err != nil {
		return nil, err
	}
	for _, l := range testLabels {
		if !slices.Contains(d.ClassNames, l) {
			return nil, fmt.Errorf("class %s is in test but not in train", l)
		}
	}
	train, err := imageFiles(filepath.Join(dir, "train"), d.ClassNames)
	if err != nil {
		return nil, err
	}
	test, err := imageFiles(filepath.Join(dir, "test"), testLabels)
	if err != nil {
		return nil, err
	}
	key, err := cacheKey(size, skipBroken, append(slices.Clone(train), test...))
	if err != nil {
		return nil, err
	}
	if cached := readCache(key); cached != nil {
		return cached, nil
	}
	if err := d.decode(train, test, skipBroken); err != nil {
		return nil, err
	}
	writeCache(key, d)
	return d, nil
}

// subfolders lists the folders in a folder, by name.
func subfolders(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// A labelledFile is an image file of a class.
type labelledFile struct {
	path  string
	label string
	info  fs.FileInfo
}

// imageFiles lists the images of each class; one without any is an error.
func imageFiles(dir string, labels []string) ([]labelledFile, error) {
	var files []labelledFile
	for _, label := range labels {
		entries, err := os.ReadDir(filepath.Join(dir, label))
		if err != nil {
			return nil, err
		}
		before := len(files)
		for _, e := range entries {
			if !IsImage(e.Name()) {
				continue
			}
			info, err := e.Info()
			if err != nil {
				return nil, err
			}
			files = append(files, labelledFile{filepath.Join(dir, label, e.Name()), label, info})
		}
		if len(files) == before {
			return nil, fmt.Errorf("%s holds no PNG, JPEG, GIF or WebP images", filepath.Join(dir, label))
		}
	}
	return files, nil
}

// decode reads the images, on all processors, and decides whether the set is
// grey or in colour: it must be one of them throughout.
func (d *Dataset) decode(train, test []labelledFile, skipBroken bool) error {
	files := append(slices.Clone(train), test...)
	type decoded struct {
		rgb  []byte // (size, size, 3)
		grey bool
		err  error
	}
	images := make([]decoded, len(files))
	parallel.For(len(files), func(_, i int) {
		images[i].rgb, images[i].grey, images[i].err = readSquare(files[i].path, d.Width)
	})
	var broken []string
	grey, colour := "", ""
	for i, img := range images {
		switch {
		case img.err != nil:
			broken = append(broken, img.err.Error())
		case img.grey:
			grey = files[i].path
		default:
			colour = files[i].path
		}
	}
	if len(broken) > 0 && !skipBroken {
		shown := broken[:min(len(broken), 10)]
		return fmt.Errorf("%d of %d images cannot be read; mend them or pass --skip-broken: %s", len(broken), len(files), strings.Join(shown, "; "))
	}
	if grey != "" && colour != "" {
		return fmt.Errorf("the images must all be grey or all be in colour: %s is grey, %s is not", grey, colour)
	}
	d.Channels = 3
	if colour == "" {
		d.Channels = 1
	}
	for i, img := range images {
		if img.err != nil {
			continue
		}
		s := &d.Train
		if i >= len(train) {
			s = &d.Test
		}
		s.Labels = append(s.Labels, slices.Index(d.ClassNames, files[i].label))
		for k := 0; k < len(img.rgb); k += 3 {
			s.Pixels = append(s.Pixels, img.rgb[k:k+d.Channels]...)
		}
	}
	for y, label := range d.ClassNames {
		if !slices.Contains(d.Train.Labels, y) {
			return fmt.Errorf("no training image of class %s can be read", label)
		}
	}
	return nil
}

// readSquare decodes an image file and resamples it to size x size x 3.
func readSquare(path string, size int) (rgb []byte, grey bool, err error) {
	img, err := ReadImage(path)
	if err != nil {
		return nil, false, err
	}
	grey = img.ColorModel() == color.GrayModel || img.ColorModel() == color.Gray16Model
	straight := Straight(img)
	in := format.Input{Channels: 3, Height: size, Width: size, Mean: []float32{0, 0, 0}, Std: []float32{1, 1, 1}}
	rgb, err = sla.Resample(in, straight.Rect.Dx(), straight.Rect.Dy(), straight.Pix)
	return rgb, grey, err
}

// cacheKey names a set of files by their paths, sizes and times.
func cacheKey(size int, skipBroken bool, files []labelledFile) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, "folder cache 1", size, skipBroken)
	for _, f := range files {
		path, err := filepath.Abs(f.path)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, path, f.info.Size(), f.info.ModTime().UnixNano())
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func cacheFile(key string) (string, error) {
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "quarterturn", "folders", key), err
}

// readCache gives a data set that was cached, or nil. A cache that cannot be
// read is no cache.
func readCache(key string) *Dataset {
	name, err := cacheFile(key)
	if err != nil {
		return nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	d := new(Dataset)
	if gob.NewDecoder(f).Decode(d) != nil {
		return nil
	}
	return d
}

// writeCache caches a data set if it can; training does not depend on it.
func writeCache(key string, d *Dataset) {
	name, err := cacheFile(key)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(name), 0o755)
	}
	if err != nil {
		return
	}
	var b bytes.Buffer
	if gob.NewEncoder(&b).Encode(d) == nil {
		_ = WriteFile(name, b.Bytes())
	}
}
