package dataset

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"slices"
)

// testShare is how many of the images of a class become test images where a folder has none.
const testShare = 0.2

// mostTests is how many become test images in all, about: more say little more.
const mostTests = 5000

// splitSeed is the seed of that choice. It is not a run's: whoever evaluates a slab on the
// folder later must get the same test images.
const splitSeed = 1

// imageHash is a fingerprint of image i of a split.
func (d *Dataset) imageHash(s *Split, i int) [32]byte {
	size := d.Height * d.Width * d.Channels
	return sha256.Sum256(append([]byte{splitSeed}, s.Pixels[i*size:(i+1)*size]...))
}

// splitByContent makes a fifth of the training images of each class, but never all and never
// more than make mostTests of all classes, test images. Which ones depends on what they show and on nothing else, so that neither names
// nor an order matter; images that are equal stay on one side, whatever their classes.
func (d *Dataset) splitByContent() {
	var isTest = map[[32]byte]bool{}
	hashes := make([][32]byte, d.Train.Len())
	classes := make([][]int, len(d.ClassNames))
	for i, y := range d.Train.Labels {
		hashes[i] = d.imageHash(&d.Train, i)
		classes[y] = append(classes[y], i)
	}
	for _, images := range classes {
		slices.SortFunc(images, func(a, b int) int { return bytes.Compare(hashes[a][:], hashes[b][:]) })
		var groups [][]int // of equal images
		for _, i := range images {
			if n := len(groups); n > 0 && hashes[groups[n-1][0]] == hashes[i] {
				groups[n-1] = append(groups[n-1], i)
			} else {
				groups = append(groups, []int{i})
			}
		}
		if len(groups) < 2 {
			continue
		}
		wanted := max(1, min(int(testShare*float64(len(images))+0.5), mostTests/len(classes)))
		for _, g := range groups[:len(groups)-1] {
			if _, decided := isTest[hashes[g[0]]]; !decided {
				isTest[hashes[g[0]]] = wanted > 0
			}
			if isTest[hashes[g[0]]] {
				wanted -= len(g)
			}
		}
		for _, g := range groups {
			if _, decided := isTest[hashes[g[0]]]; !decided {
				isTest[hashes[g[0]]] = false
			}
		}
	}
	var keep, test []int
	for i := range hashes {
		if isTest[hashes[i]] {
			test = append(test, i)
		} else {
			keep = append(keep, i)
		}
	}
	d.Test = d.Subset(&d.Train, test)
	d.Train = d.Subset(&d.Train, keep)
	d.Notes = append(d.Notes, fmt.Sprintf("there are no test images: %d of %d were split off, chosen by their content", len(test), len(hashes)))
}

// noteDuplicates notes images that are there more than once where that is harmful: in
// training and test, or in two classes.
func (d *Dataset) noteDuplicates() {
	type place struct {
		label int
		file  string
	}
	seen := map[[32]byte]place{}
	var classes, sides []string
	for i, y := range d.Train.Labels {
		h := d.imageHash(&d.Train, i)
		if p, ok := seen[h]; ok && p.label != y {
			classes = append(classes, p.file+" and "+d.Train.Files[i])
		} else if !ok {
			seen[h] = place{y, d.Train.Files[i]}
		}
	}
	for i := range d.Test.Labels {
		if p, ok := seen[d.imageHash(&d.Test, i)]; ok {
			sides = append(sides, p.file+" and "+d.Test.Files[i])
		}
	}
	if len(classes) > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("%d images are in two classes: %s", len(classes), listed(classes)))
	}
	if len(sides) > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("%d test images are among the training images, so that the test is too kind: %s", len(sides), listed(sides)))
	}
}
