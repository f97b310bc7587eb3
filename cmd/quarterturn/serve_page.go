package main

import (
	"bytes"
	"context"
	"image"
	"image/jpeg"
	"image/png"
	"net/http"
	"slices"

	"golang.org/x/image/draw"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/trainer/backbone"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/www"
)

// pageOf is the page that shows some slabs, with pictures of a data set to try, or of what
// comes with the program if data is empty.
func pageOf(ctx context.Context, slabs [][]byte, data string) (http.Handler, error) {
	var d *dataset.Dataset
	if data != "" {
		var err error
		if d, err = dataset.Load(ctx, data); err != nil {
			return nil, err
		}
	}
	var models []www.Shown
	for _, slab := range slabs {
		samples, err := samplesFor(ctx, slab, d, 1)
		if err != nil {
			return nil, err
		}
		models = append(models, www.Shown{Slab: slab, Samples: samples})
	}
	return www.Handler(withBackbone(models))
}

// withBackbone sees to it that "Teach it" works with the backbone, which many pictures
// have taught what to look for: a slab that knows a few things may see nothing in others.
func withBackbone(models []www.Shown) []www.Shown {
	for i := range models {
		if models[i].Teach = bytes.Equal(models[i].Slab, backbone.Slab); models[i].Teach {
			return models
		}
	}
	return append(models, www.Shown{Slab: backbone.Slab, Teach: true, Unlisted: true})
}

// samplesFor returns n test pictures of a data set of each class of a slab. Without one, of slabs that know the
// classes of the embedded data set or of the slab that comes with the program, pictures of those; of others none.
func samplesFor(ctx context.Context, slab []byte, d *dataset.Dataset, n int) ([]www.Sample, error) {
	m, err := format.Decode(slab)
	if err != nil {
		return nil, err
	}
	if d != nil {
		return samplesOf(ctx, d, m.Labels, n)
	}
	shipped := www.ModelSamples()
	if slices.EqualFunc(m.Labels, shipped, func(label string, s www.Sample) bool { return label == s.Label }) {
		return shipped, nil
	}
	d, err = dataset.Load(ctx, "fashion-mini")
	if err != nil || !slices.Equal(m.Labels, d.ClassNames) {
		return nil, err
	}
	return samplesOf(ctx, d, m.Labels, 1)
}

// mostSamples bounds the pictures of a page: visitors keep all of them for later.
const mostSamples = 60

// samplesOf returns n test pictures of each label of a slab, fewer where there are fewer,
// the first of each before the second ones, and mostSamples at most.
func samplesOf(ctx context.Context, d *dataset.Dataset, labels []string, n int) ([]www.Sample, error) {
	classes, err := d.Order(labels)
	if err != nil {
		return nil, err
	}
	type pick struct{ image, label int }
	var picks []pick
	next := make([]int, len(labels)) // where to look for the next picture of each
	for range n {
		before := len(picks)
		for k, y := range classes {
			i := slices.Index(d.Test.Labels[next[k]:], y)
			if i < 0 {
				next[k] = len(d.Test.Labels)
				continue
			}
			i += next[k]
			next[k] = i + 1
			picks = append(picks, pick{i, k})
		}
		if len(picks) == before {
			break // there are no more
		}
	}
	if len(picks) > mostSamples {
		note("of %d pictures the page shows %d", len(picks), mostSamples)
		picks = picks[:mostSamples]
	}
	var samples []www.Sample
	for _, p := range picks {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		picture, err := sampleImage(ctx, d, p.image)
		if err != nil {
			return nil, err
		}
		samples = append(samples, www.Sample{Image: picture, Label: labels[p.label]})
	}
	return samples, nil
}

// mostSide bounds a sample picture, in pixels: it is for a screen.
const mostSide = 640

// sampleImage encodes test picture i as it is shown. Of a file it is the picture that was given, upright and without what
// else a camera writes into a file, such as the place.
func sampleImage(ctx context.Context, d *dataset.Dataset, i int) ([]byte, error) {
	var b bytes.Buffer
	if d.Test.Files == nil {
		err := png.Encode(&b, d.Image(&d.Test, i))
		return b.Bytes(), err
	}
	p, err := imagefile.ReadFile(ctx, d.Test.Files[i], imagefile.Limits{})
	if err != nil {
		return nil, err
	}
	img := p.NRGBA()
	if side := max(img.Rect.Dx(), img.Rect.Dy()); side > mostSide {
		small := image.NewNRGBA(image.Rect(0, 0, max(1, img.Rect.Dx()*mostSide/side), max(1, img.Rect.Dy()*mostSide/side)))
		draw.CatmullRom.Scale(small, small.Rect, img, img.Rect, draw.Src, nil)
		img = small
	}
	if img.Opaque() && max(img.Rect.Dx(), img.Rect.Dy()) > 64 { // of small drawings JPEG would lose what there is to see
		err = jpeg.Encode(&b, img, &jpeg.Options{Quality: 88})
	} else {
		err = png.Encode(&b, img)
	}
	return b.Bytes(), err
}
