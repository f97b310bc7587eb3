package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"

	"github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem"
	_ "github.com/apache/beam/sdks/v2/go/pkg/beam/io/filesystem/s3" // beamx brings those of Google and of local files

	"github.com/quarterturn/quarterturn/cmd/internal/score"
	"github.com/quarterturn/quarterturn/format/readfile"
)

// store reads what is in Beam's file systems.
type store struct{}

// List returns the files that a pattern matches.
func (store) List(ctx context.Context, pattern string) ([]string, error) {
	if strings.HasPrefix(pattern, "s3://") && strings.Contains(pattern, "**") {
		return nil, errors.New("** does not reach into folders on S3 as it does on Google's store; give a path for each depth, as s3://bucket/pictures/* s3://bucket/pictures/*/*")
	}
	fs, err := fileSystem(ctx, pattern)
	if err != nil {
		return nil, err
	}
	return fs.List(ctx, escaped(pattern))
}

func (store) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	fs, err := fileSystem(ctx, name)
	if err != nil {
		return nil, err
	}
	r, err := fs.OpenRead(ctx, escaped(name))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// fileSystems are those that were opened, by their schemes. They stay open: each has connections
// and credentials of its own, which are not to be made anew for every picture.
var fileSystems struct {
	sync.Mutex
	opened map[string]filesystem.Interface
}

// fileSystem returns Beam's file system of an address.
func fileSystem(ctx context.Context, address string) (filesystem.Interface, error) {
	fileSystems.Lock()
	defer fileSystems.Unlock()
	scheme, _, _ := strings.Cut(address, "://")
	if fs := fileSystems.opened[scheme]; fs != nil {
		return fs, nil
	}
	fs, err := filesystem.New(context.WithoutCancel(ctx), address)
	if err != nil {
		return nil, err
	}
	if fileSystems.opened == nil {
		fileSystems.opened = map[string]filesystem.Interface{}
	}
	fileSystems.opened[scheme] = fs
	return fs, nil
}

// escaped returns an address as the file systems of buckets take it: they read it as a URL, in which
// the names that they list may mean other files, as "100%25.png" and "a?.png".
func escaped(address string) string {
	scheme, rest, _ := strings.Cut(address, "://")
	bucket, key, _ := strings.Cut(rest, "/")
	if scheme != "s3" && scheme != "gs" || key == "" {
		return address
	}
	return (&url.URL{Scheme: scheme, Host: bucket, Path: "/" + key}).String()
}

// writeRemote writes a file of Beam's file systems.
func writeRemote(ctx context.Context, name string, text []byte) error {
	fs, err := fileSystem(ctx, name)
	if err != nil {
		return err
	}
	w, err := fs.OpenWrite(ctx, escaped(name))
	if err != nil {
		return err
	}
	_, err = w.Write(text)
	return errors.Join(err, w.Close())
}

// read returns the file of a slab, wherever it is.
func read(ctx context.Context, name string) ([]byte, error) {
	if !score.Remote(name) {
		return readfile.Slab(name)
	}
	r, err := store{}.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return readfile.SlabFrom(r, name)
}
