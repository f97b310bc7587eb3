package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/www"
)

// siteExport is a page to share, as a folder.
type siteExport struct {
	dir     string
	data    string
	samples int
}

// mostSamples bounds the pictures of a site: visitors keep all of them for later.
const mostSamples = 60

func (e siteExport) write(ctx context.Context, name string) error {
	slab, m, err := readSlab(name)
	if err != nil {
		return err
	}
	if e.samples < 0 {
		return usagef("--samples %d: want a number from 0", e.samples)
	}
	var samples []www.Sample
	switch {
	case e.samples == 0:
	case e.data == "":
		if samples, err = samplesFor(ctx, slab); err == nil && len(samples) == 0 {
			note("there are no pictures to try: name a data set with --data, or take --samples 0")
		}
	default:
		var d *dataset.Dataset
		if d, err = dataset.Load(ctx, e.data); err == nil {
			samples, err = samplesOf(d, m.Labels, e.samples)
		}
	}
	if err != nil {
		return err
	}
	if len(samples) > mostSamples {
		note("of the %d pictures the page shows %d", len(samples), mostSamples)
		samples = samples[:mostSamples]
	}
	files, err := www.Site([]www.Shown{{Slab: slab, Samples: samples}})
	if err != nil {
		return err
	}
	if err := e.prepare(); err != nil {
		return err
	}
	size := 0
	for _, file := range slices.Sorted(maps.Keys(files)) {
		path := filepath.Join(e.dir, filepath.FromSlash(file))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := atomicfile.Write(path, files[file]); err != nil {
			return err
		}
		size += len(files[file])
	}
	note("wrote %s: %d files, %.1f MB, %d pictures to try; put the folder on any static host", e.dir, len(files), float64(size)/1e6, len(samples))
	return nil
}

// prepare sees to it that the folder is new, empty, or an exported site, of which it
// removes the pictures.
func (e siteExport) prepare() error {
	entries, err := os.ReadDir(e.dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0 {
		return nil
	}
	if err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(e.dir, "models.json")); err != nil {
		return fmt.Errorf("%s is not empty, and holds no site of before: take another folder", e.dir)
	}
	return os.RemoveAll(filepath.Join(e.dir, "samples"))
}
