package main

import (
	"bytes"
	"context"
	"image/png"
	"net/http"
	"slices"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/www"
)

// pageOf is the page that shows some slabs.
func pageOf(ctx context.Context, slabs [][]byte) (http.Handler, error) {
	var models []www.Shown
	for _, slab := range slabs {
		samples, err := samplesFor(ctx, slab)
		if err != nil {
			return nil, err
		}
		models = append(models, www.Shown{Slab: slab, Samples: samples})
	}
	return www.Handler(models)
}

// samplesFor gives a picture of each class for slabs that know the classes of
// the embedded data set, and none for others.
func samplesFor(ctx context.Context, slab []byte) ([]www.Sample, error) {
	m, err := format.Decode(slab)
	if err != nil {
		return nil, err
	}
	d, err := dataset.Load(ctx, "fashion-mini")
	if err != nil || !slices.Equal(m.Labels, d.ClassNames) {
		return nil, err
	}
	var samples []www.Sample
	for y := range d.ClassNames {
		i := slices.Index(d.Test.Labels, y)
		var b bytes.Buffer
		if err := png.Encode(&b, d.Image(&d.Test, i)); err != nil {
			return nil, err
		}
		samples = append(samples, www.Sample{PNG: b.Bytes(), Label: d.ClassNames[y]})
	}
	return samples, nil
}
