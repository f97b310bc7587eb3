package dataset

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
)

var fashionNames = []string{"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"}

func loadFashion(dir fs.FS) (*Dataset, error) {
	d := &Dataset{ClassNames: fashionNames, Channels: 1}
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
		if part.split.Labels, err = checkClasses(classes, len(d.ClassNames)); err != nil {
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
