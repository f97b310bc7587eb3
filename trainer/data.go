package trainer

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quarterturn/quarterturn/trainer/fashionmini"
)

// A Dataset is a set of labelled images of one size.
type Dataset struct {
	Name                    string
	Labels                  []string
	Height, Width, Channels int
	Train, Test             Split
}

// A Split is a part of a Dataset.
type Split struct {
	Pixels   []byte // (n, Height, Width, Channels)
	Classes  []int  // (n)
	Balanced bool   // scores are to count every class alike, however many images it has
}

// Len is the number of images.
func (s *Split) Len() int { return len(s.Classes) }

// counts is the number of images of each class.
func (s *Split) counts(classes int) []int {
	n := make([]int, classes)
	for _, y := range s.Classes {
		n[y]++
	}
	return n
}

// hash is a fingerprint of the images and their classes.
func (s *Split) hash() [32]byte {
	h := sha256.New()
	h.Write(s.Pixels)
	for _, y := range s.Classes {
		h.Write([]byte{byte(y), byte(y >> 8)})
	}
	return [32]byte(h.Sum(nil))
}

// DataHelp says how data sets are named.
const DataHelp = "fashion-mini (built in), fashion:DIR (the four IDX files of Fashion-MNIST), cifar10:DIR or cifar100:DIR (the binary files), " +
	"cifar-fs:DIR or cifar-fs-new:DIR (80 classes of cifar100 to train on, and the 20 others, test images alone), " +
	"omniglot:DIR (the archives images_background_small1.zip and 2: 136 characters) or omniglot-new:DIR (106 others, test images alone), " +
	"folder:DIR (DIR/train/CLASS/*.png, jpg, gif or webp, and DIR/test/CLASS/...)"

// A Source says where a data set is, what to call it and, for image folders, how
// to read it.
type Source struct {
	Data       string `json:"data"`                  // see DataHelp
	Name       string `json:"name,omitempty"`        // what slabs call it; empty: its kind, or its folder
	Size       int    `json:"size,omitempty"`        // side to which a folder's images are resized; 0: 32
	SkipBroken bool   `json:"skip_broken,omitempty"` // leave out images of a folder that cannot be read
}

// Load reads the data set.
func (source Source) Load() (*Dataset, error) {
	name := source.Data
	kind, dir, hasDir := strings.Cut(name, ":")
	var d *Dataset
	var err error
	switch {
	case name == "fashion-mini":
		d, err = loadFashion(fashionmini.Files)
	case !hasDir || dir == "":
		return nil, fmt.Errorf("data %q: want %s", name, DataHelp)
	case kind == "fashion":
		d, err = loadFashion(os.DirFS(dir))
	case kind == "cifar10":
		d, err = loadCIFAR(os.DirFS(dir), "data_batch_[0-9]*.bin", "test_batch.bin", 0, cifar10Labels)
	case kind == "cifar100":
		d, err = loadCIFAR100(os.DirFS(dir))
	case kind == "cifar-fs" || kind == "cifar-fs-new":
		d, err = loadCIFARFS(os.DirFS(dir), kind == "cifar-fs-new")
	case kind == "omniglot" || kind == "omniglot-new":
		d, err = loadOmniglot(dir, kind == "omniglot-new")
	case kind == "folder":
		size := source.Size
		if size == 0 {
			size = 32
		}
		d, err = loadFolder(dir, size, source.SkipBroken)
	default:
		return nil, fmt.Errorf("data %q: want %s", name, DataHelp)
	}
	if err == nil && kind != "folder" && (source.Size != 0 || source.SkipBroken) {
		err = errors.New("only the images of a folder can be resized or skipped")
	}
	if err != nil {
		return nil, fmt.Errorf("data %s: %w", name, err)
	}
	switch d.Name = kind; {
	case source.Name != "":
		d.Name = source.Name
	case kind == "folder":
		d.Name = filepath.Base(filepath.Clean(dir))
	}
	return d, nil
}

// Load reads a data set by its name alone.
func Load(name string) (*Dataset, error) { return Source{Data: name}.Load() }

// Image gives image i of a split, for people and for Classify.
func (d *Dataset) Image(s *Split, i int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, d.Width, d.Height))
	size := d.Height * d.Width
	for k := range size {
		px := s.Pixels[(i*size+k)*d.Channels:][:d.Channels]
		for c := range 3 {
			img.Pix[4*k+c] = px[min(c, d.Channels-1)]
		}
		img.Pix[4*k+3] = 255
	}
	return img
}

// subset copies the images with the given indices.
func (d *Dataset) subset(s *Split, indices []int) Split {
	size := d.Height * d.Width * d.Channels
	var out Split
	for _, i := range indices {
		out.Pixels = append(out.Pixels, s.Pixels[i*size:(i+1)*size]...)
		out.Classes = append(out.Classes, s.Classes[i])
	}
	return out
}

// limit keeps n random training images of each class, or all if n is 0; with an
// imbalance r, of class c of C only r^(-c/(C-1)) of them: an exponential long tail
// (Cui et al. 2019).
func (d *Dataset) limit(n int, imbalance float64, rng *rand.Rand) error {
	if n == 0 && imbalance == 0 {
		return nil
	}
	byClass := make([][]int, len(d.Labels))
	for i, y := range d.Train.Classes {
		byClass[y] = append(byClass[y], i)
	}
	if n == 0 {
		n = len(byClass[0])
		for _, indices := range byClass {
			n = min(n, len(indices))
		}
	}
	var keep []int
	for y, indices := range byClass {
		if len(indices) < n {
			return fmt.Errorf("class %s has %d training images, %d are wanted", d.Labels[y], len(indices), n)
		}
		rng.Shuffle(len(indices), func(a, b int) { indices[a], indices[b] = indices[b], indices[a] })
		k := n
		if imbalance > 0 && len(byClass) > 1 {
			k = int(float64(n) * math.Pow(imbalance, -float64(y)/float64(len(byClass)-1)))
		}
		if k == 0 {
			return fmt.Errorf("an imbalance of %v leaves no training image of class %s", imbalance, d.Labels[y])
		}
		keep = append(keep, indices[:k]...)
	}
	slices.Sort(keep)
	d.Train = d.subset(&d.Train, keep)
	return nil
}

// divide makes what a run trains on and what it holds out, with the first numbers of
// its random source; d.Train becomes both together, and d.Labels those of what is trained on.
func (d *Dataset) divide(c Config, rng *rand.Rand) (train, held Split, err error) {
	if err := d.limit(c.TrainPerClass, c.Imbalance, rng); err != nil {
		return Split{}, Split{}, err
	}
	if c.inEpisodes() {
		return d.holdOutClasses(c.Episode.Way, rng)
	}
	train, held = d.holdOut(rng)
	// Where rare classes matter, the epoch and the mode are chosen by their scores too.
	held.Balanced = c.Imbalance > 1 || c.Loss != "" && c.Loss != "ce" || c.Deferred
	return train, held, nil
}

// holdOut splits a tenth of each class, at random, off the training images.
func (d *Dataset) holdOut(rng *rand.Rand) (train, validation Split) {
	var keep, held []int
	for y := range d.Labels {
		var indices []int
		for i, c := range d.Train.Classes {
			if c == y {
				indices = append(indices, i)
			}
		}
		rng.Shuffle(len(indices), func(a, b int) { indices[a], indices[b] = indices[b], indices[a] })
		n := len(indices) / 10
		held, keep = append(held, indices[:n]...), append(keep, indices[n:]...)
	}
	slices.Sort(keep)
	slices.Sort(held)
	return d.subset(&d.Train, keep), d.subset(&d.Train, held)
}

var fashionLabels = []string{"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"}

func loadFashion(dir fs.FS) (*Dataset, error) {
	d := &Dataset{Labels: fashionLabels, Channels: 1}
	for _, part := range []struct {
		name  string
		split *Split
	}{{"train", &d.Train}, {"t10k", &d.Test}} {
		images, err := readFile(dir, part.name+"-images-idx3-ubyte")
		if err != nil {
			return nil, err
		}
		labels, err := readFile(dir, part.name+"-labels-idx1-ubyte")
		if err != nil {
			return nil, err
		}
		pixels, shape, err := parseIDX(images, 3)
		if err != nil {
			return nil, fmt.Errorf("%s-images: %w", part.name, err)
		}
		classes, n, err := parseIDX(labels, 1)
		if err != nil {
			return nil, fmt.Errorf("%s-labels: %w", part.name, err)
		}
		if n[0] != shape[0] {
			return nil, fmt.Errorf("%s: %d images but %d labels", part.name, shape[0], n[0])
		}
		if d.Height != 0 && (d.Height != shape[1] || d.Width != shape[2]) {
			return nil, fmt.Errorf("%s: images of %dx%d, the others are %dx%d", part.name, shape[2], shape[1], d.Width, d.Height)
		}
		d.Height, d.Width = shape[1], shape[2]
		part.split.Pixels = pixels
		if part.split.Classes, err = checkClasses(classes, len(d.Labels)); err != nil {
			return nil, fmt.Errorf("%s-labels: %w", part.name, err)
		}
	}
	return d, nil
}

// parseIDX reads an IDX file of bytes (LeCun's format, as of MNIST).
func parseIDX(b []byte, dims int) (data []byte, shape []int, err error) {
	head := 4 + 4*dims
	if len(b) < head || b[0] != 0 || b[1] != 0 || b[2] != 8 || int(b[3]) != dims {
		return nil, nil, fmt.Errorf("not an IDX file of bytes in %d dimensions", dims)
	}
	size := 1
	for i := range dims {
		n := int(binary.BigEndian.Uint32(b[4+4*i:]))
		shape = append(shape, n)
		if n == 0 || size > len(b)/n {
			return nil, nil, fmt.Errorf("its header announces the shape %v, but the file has %d bytes", shape, len(b))
		}
		size *= n
	}
	if len(b)-head != size {
		return nil, nil, fmt.Errorf("its header announces %d bytes of data, the file has %d", size, len(b)-head)
	}
	return b[head:], shape, nil
}

func checkClasses(labels []byte, n int) ([]int, error) {
	classes := make([]int, len(labels))
	for i, y := range labels {
		if int(y) >= n {
			return nil, fmt.Errorf("label %d is %d, but there are %d classes", i, y, n)
		}
		classes[i] = int(y)
	}
	return classes, nil
}

// readFile reads a file that may be there as it is or gzipped.
func readFile(dir fs.FS, name string) ([]byte, error) {
	b, err := fs.ReadFile(dir, name)
	if err == nil {
		return b, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	z, err := fs.ReadFile(dir, name+".gz")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("neither %s nor %s.gz is there", name, name)
	}
	if err != nil {
		return nil, err
	}
	r, err := gzip.NewReader(bytes.NewReader(z))
	if err == nil {
		b, err = io.ReadAll(r)
	}
	if err != nil {
		return nil, fmt.Errorf("%s.gz: %w", name, err)
	}
	return b, nil
}
