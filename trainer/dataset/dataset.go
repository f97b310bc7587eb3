// Package dataset reads labelled images and divides them.
//
// A Source says where they are: the built-in pictures, the files of a known data set, or
// a folder of pictures. Its Load returns a Dataset, two Splits of images of one size, in
// memory. Limit, HoldOut and HoldOutClasses take parts of the training images, with a
// random source that the caller seeds.
package dataset

import (
	"crypto/sha256"
	"fmt"
	"image"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/quarterturn/quarterturn/format/plain"
	"github.com/quarterturn/quarterturn/host/imagefile"
)

// A Dataset is a set of labelled images of one size.
type Dataset struct {
	Name                    string
	ClassNames              []string
	Height, Width, Channels int
	Train, Test             Split
	Notes                   []string           // what people should know of how an image folder was read
	LeftOut                 imagefile.LeftOuts // of an image folder
}

// Order returns which class of the data set each of the names is. A name that the data set
// lacks, or a class that is not named, is an error that shows both lists: classes are never
// matched by their numbers.
func (d *Dataset) Order(names []string) ([]int, error) {
	index := map[string]int{}
	for y, name := range d.ClassNames {
		index[norm.NFC.String(name)] = y
	}
	order := make([]int, len(names))
	for k, name := range names {
		y, ok := index[norm.NFC.String(name)]
		if !ok || slices.Contains(order[:k], y) || len(names) != len(d.ClassNames) {
			called := plain.Name(d.Name)
			return nil, fmt.Errorf("the slab and the data set %s do not have the same classes: the slab has %s; %s has %s%s%s", called, named(names), called,
				named(d.ClassNames), missing("the slab", names, d.ClassNames), missing(called, d.ClassNames, names))
		}
		order[k] = y
	}
	return order, nil
}

// missing says which names only one side has.
func missing(side string, names, others []string) string {
	only := slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(others, name) })
	if len(only) == 0 {
		return ""
	}
	return "; only " + side + " has " + named(only)
}

// named lists names, quoted where one would not see how they differ.
func named(names []string) string { return strings.Join(plain.Names(names), ", ") }

// A Split is a part of a Dataset.
type Split struct {
	// Pixels are the images, (n, Height, Width, Channels): levels of 0 to 255, one byte a
	// channel, rows from the top, channels red, green, blue or grey alone.
	Pixels   []byte
	Labels   []int    // (n), each an index of Dataset.ClassNames
	Files    []string // (n), where each image of an image folder comes from; else nil
	Balanced bool     // scores are to count every class alike, however many images it has
}

// Len is the number of images.
func (s *Split) Len() int { return len(s.Labels) }

// Counts returns the number of images of each class, of so many.
func (s *Split) Counts(classes int) []int {
	n := make([]int, classes)
	for _, y := range s.Labels {
		n[y]++
	}
	return n
}

// Hash returns a fingerprint, SHA-256, of the images and their labels.
func (s *Split) Hash() [32]byte {
	h := sha256.New()
	h.Write(s.Pixels)
	for _, y := range s.Labels {
		h.Write([]byte{byte(y), byte(y >> 8)})
	}
	return [32]byte(h.Sum(nil))
}

// Colour makes grey images coloured ones, which show the same.
func (d *Dataset) Colour() {
	if d.Channels == 3 {
		return
	}
	d.Channels = 3
	for _, s := range []*Split{&d.Train, &d.Test} {
		pixels := make([]byte, 0, 3*len(s.Pixels))
		for _, v := range s.Pixels {
			pixels = append(pixels, v, v, v)
		}
		s.Pixels = pixels
	}
}

// Image returns image i of a split, for people and for Classify.
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
