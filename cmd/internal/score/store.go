package score

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/quarterturn/quarterturn/host/imagefile"
)

// A Store has files that are not local, under addresses such as s3://bucket/name.
type Store interface {
	// List returns the addresses of the files that an address stands for, in any order. The error of
	// what is no address of the store, and never will be, is fs.ErrInvalid.
	List(ctx context.Context, address string) ([]string, error)
	// Open opens one of them. Its errors, and those of reading, end a run, which can be resumed, but for
	// fs.ErrNotExist.
	Open(ctx context.Context, address string) (io.ReadCloser, error)
}

// errStore is what went wrong between here and a store, which is no image's fault.
var errStore = errors.New("a file cannot be fetched")

// failing is a reader that remembers what it failed with.
type failing struct {
	r   io.Reader
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// Remote reports whether a path is an address, not that of a local file.
func Remote(path string) bool { return strings.Contains(path, "://") }

// remote adds the images of a store. Of a list one address that is wrong has a line that says so.
func (l *lister) remote(address string, listed bool) error {
	if l.store == nil {
		return fmt.Errorf("%s is not a local file", address)
	}
	files, err := l.store.List(l.ctx, address)
	wrong := errors.Is(err, fs.ErrInvalid)
	if err == nil && len(files) == 0 {
		wrong, err = true, errors.New("there are no files")
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", address, err)
	}
	if wrong && listed {
		return l.add(Image{Name: address, File: address, Size: -1, Wrong: err.Error()})
	}
	if err != nil {
		return err
	}
	for _, file := range files {
		if reason := leftOut(file); reason != "" {
			l.leave(file, reason)
		} else if err := l.add(Image{Name: file, File: file, Size: -1}); err != nil {
			return err
		}
	}
	return nil
}

// archiveName matches the names of archives.
var archiveName = regexp.MustCompile(`(?i)\.(tar(\.\w+)?|tgz|tbz2?|txz|zip|7z|rar)$`)

// leftOut says why a file of an archive or a store is not an image, by its name; nothing if
// it is one.
func leftOut(name string) string {
	for dir := path.Dir(name); dir != "." && dir != "/"; dir = path.Dir(dir) {
		if reason := imagefile.Junk(path.Base(dir), true); reason != "" {
			return reason
		}
	}
	if reason := imagefile.Junk(path.Base(name), false); reason != "" {
		return reason
	}
	if archiveName.MatchString(name) {
		return "an archive in a bucket or in another archive is not read; fetch or unpack it first"
	}
	return imagefile.Unread(name)
}
