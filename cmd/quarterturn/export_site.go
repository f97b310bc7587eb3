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
	"github.com/quarterturn/quarterturn/trainer/backbone"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/www"
)

// siteExport is a page to share, as a folder.
type siteExport struct {
	dir     string
	title   string
	data    string
	samples int
}

func (e siteExport) write(ctx context.Context, name string) error {
	slab, _, err := readSlab(name)
	if err != nil {
		return err
	}
	if e.samples < 0 {
		return usagef("--samples %d: want a number from 0", e.samples)
	}
	var samples []www.Sample
	if e.samples > 0 {
		var d *dataset.Dataset
		if e.data != "" {
			if d, err = dataset.Load(ctx, e.data); err != nil {
				return err
			}
		}
		if samples, err = samplesFor(ctx, slab, d, e.samples); err != nil {
			return err
		}
		if len(samples) == 0 {
			note("there are no pictures to try: name a data set with --data, or take --samples 0")
		}
	}
	files, err := www.Site(withBackbone([]www.Shown{{Slab: slab, Samples: samples, Title: e.title}}))
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
	note("wrote %s: %d files, %.1f MB, %d pictures to try; %.1f MB of it is the net for teaching, which visitors load only for that", e.dir, len(files), float64(size)/1e6, len(samples), float64(len(backbone.Slab))/1e6)
	note("put the folder on any static host, or look at it with: python3 -m http.server -d %s", e.dir)
	return nil
}

// prepare sees to it that the folder is new, empty, or an exported site, of which it
// removes the pictures and the net for teaching.
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
	for _, entry := range entries {
		old := entry.Name() == "samples"
		if teach, _ := filepath.Match("teach-*.slab", entry.Name()); !old && !teach { // the pattern is a valid one
			continue
		}
		if err := os.RemoveAll(filepath.Join(e.dir, entry.Name())); err != nil {
			return err
		}
	}
	return nil
}
