package dataset

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Subset copies the images of a split with the given indices.
func (d *Dataset) Subset(s *Split, indices []int) Split {
	size := d.Height * d.Width * d.Channels
	out := Split{Pixels: make([]byte, 0, len(indices)*size)}
	for _, i := range indices {
		out.Pixels = append(out.Pixels, s.Pixels[i*size:(i+1)*size]...)
		out.Labels = append(out.Labels, s.Labels[i])
		if s.Files != nil {
			out.Files = append(out.Files, s.Files[i])
		}
	}
	return out
}

// Limit keeps n random training images of each class, or all of a class that has fewer, or of
// every one if n is 0; with an imbalance r, of class c of C only r^(-c/(C-1)) of n: an
// exponential long tail (Cui et al. 2019), for which each class must have n.
func (d *Dataset) Limit(n int, imbalance float64, rng *rand.Rand) error {
	if n == 0 && imbalance == 0 {
		return nil
	}
	byClass := make([][]int, len(d.ClassNames))
	for i, y := range d.Train.Labels {
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
		if imbalance > 0 && len(indices) < n {
			return fmt.Errorf("class %s has %d training images, and an imbalance of %d a class needs as many", d.ClassNames[y], len(indices), n)
		}
		rng.Shuffle(len(indices), func(a, b int) { indices[a], indices[b] = indices[b], indices[a] })
		k := min(n, len(indices))
		if imbalance > 0 && len(byClass) > 1 {
			k = int(float64(n) * math.Pow(imbalance, -float64(y)/float64(len(byClass)-1)))
		}
		if k == 0 {
			return fmt.Errorf("an imbalance of %v leaves no training image of class %s", imbalance, d.ClassNames[y])
		}
		keep = append(keep, indices[:k]...)
	}
	slices.Sort(keep)
	d.Train = d.Subset(&d.Train, keep)
	return nil
}

// HoldOut splits a tenth of each class, at random, off the training images, or as much less
// as brings the images held out down to about most, 0 being no limit; and at least one image
// of a class that has four or more: none could be judged otherwise.
func (d *Dataset) HoldOut(most int, rng *rand.Rand) (train, validation Split) {
	share := 10
	if most > 0 {
		share = max(share, d.Train.Len()/most)
	}
	var keep, held []int
	for y := range d.ClassNames {
		var indices []int
		for i, c := range d.Train.Labels {
			if c == y {
				indices = append(indices, i)
			}
		}
		rng.Shuffle(len(indices), func(a, b int) { indices[a], indices[b] = indices[b], indices[a] })
		n := len(indices) / share
		if n == 0 && len(indices) >= 4 {
			n = 1
		}
		held, keep = append(held, indices[:n]...), append(keep, indices[n:]...)
	}
	slices.Sort(keep)
	slices.Sort(held)
	return d.Subset(&d.Train, keep), d.Subset(&d.Train, held)
}

// HoldOutClasses splits a fifth of the classes, at random, and at least way of them, off
// the training images. ClassNames become those of
// the others.
func (d *Dataset) HoldOutClasses(way int, rng *rand.Rand) (train, held Split, err error) {
	n := max(way, len(d.ClassNames)/5)
	if len(d.ClassNames)-n < way {
		return Split{}, Split{}, fmt.Errorf("%d classes are too few for episodes of %d: %d are held out to choose the epoch by, and %d are to train on", len(d.ClassNames), way, n, way)
	}
	order := rng.Perm(len(d.ClassNames))
	kept := slices.Sorted(slices.Values(order[n:]))
	var trained, heldOut []int
	for i, y := range d.Train.Labels {
		if slices.Contains(kept, y) {
			trained = append(trained, i)
		} else {
			heldOut = append(heldOut, i)
		}
	}
	train, held = d.Subset(&d.Train, trained), d.Subset(&d.Train, heldOut)
	var names []string
	for _, y := range kept {
		names = append(names, d.ClassNames[y])
	}
	for i, y := range train.Labels {
		train.Labels[i], _ = slices.BinarySearch(kept, y)
	}
	d.ClassNames = names
	return train, held, nil
}
