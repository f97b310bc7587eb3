package main

import (
	"bytes"
	"context"
	"image/png"
	"net/http"
	"slices"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/backbone"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/www"
)

// pageOf is the page that shows some slabs. The backbone is the best to teach, if it is among them.
func pageOf(ctx context.Context, slabs [][]byte) (http.Handler, error) {
	var models []www.Shown
	for _, slab := range slabs {
		samples, err := samplesFor(ctx, slab)
		if err != nil {
			return nil, err
		}
		models = append(models, www.Shown{Slab: slab, Samples: samples, Teach: bytes.Equal(slab, backbone.Slab)})
	}
	return www.Handler(models)
}

// samplesFor returns pictures of each class for slabs that know the classes of the
// embedded data set or of the slab that comes with the program, and none for others.
func samplesFor(ctx context.Context, slab []byte) ([]www.Sample, error) {
	m, err := format.Decode(slab)
	if err != nil {
		return nil, err
	}
	shipped := www.ModelSamples()
	if slices.EqualFunc(m.Labels, shipped, func(label string, s www.Sample) bool { return label == s.Label }) {
		return shipped, nil
	}
	d, err := dataset.Load(ctx, "fashion-mini")
	if err != nil || !slices.Equal(m.Labels, d.ClassNames) {
		return nil, err
	}
	return samplesOf(d, m.Labels, 1)
}

// samplesOf returns n test pictures of each label of a slab, fewer where there are fewer,
// the first of each before the second ones.
func samplesOf(d *dataset.Dataset, labels []string, n int) ([]www.Sample, error) {
	classes, err := d.Order(labels)
	if err != nil {
		return nil, err
	}
	var samples []www.Sample
	next := make([]int, len(labels)) // where to look for the next picture of each
	for range n {
		for k, y := range classes {
			i := slices.Index(d.Test.Labels[next[k]:], y)
			if i < 0 {
				next[k] = len(d.Test.Labels)
				continue
			}
			i += next[k]
			next[k] = i + 1
			var b bytes.Buffer
			if err := png.Encode(&b, d.Image(&d.Test, i)); err != nil {
				return nil, err
			}
			samples = append(samples, www.Sample{PNG: b.Bytes(), Label: labels[k]})
		}
	}
	return samples, nil
}
