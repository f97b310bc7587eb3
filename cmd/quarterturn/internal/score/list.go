package score

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/quarterturn/quarterturn/trainer"
)

// A Shard is one of Of parts, numbered from 1.
type Shard struct{ Index, Of int }

// ParseShard reads "2/8".
func ParseShard(s string) (Shard, error) {
	index, of, found := strings.Cut(s, "/")
	i, err := strconv.Atoi(index)
	n, err2 := strconv.Atoi(of)
	if !found || err != nil || err2 != nil || i < 1 || i > n {
		return Shard{}, fmt.Errorf("shard %q: want one of N parts, as 1/4 to 4/4", s)
	}
	return Shard{i, n}, nil
}

// holds tells whether an image is of this shard: by its name alone.
func (s Shard) holds(name string) bool {
	h := fnv.New64a()
	h.Write([]byte(name))
	return h.Sum64()%uint64(s.Of) == uint64(s.Index-1)
}

// An item is an image file, or one inside a tar file.
type item struct {
	name         string // of the image: the path, or the tar file's path and that inside it
	key          []byte // name as it stands in a line, by which lines sort
	file         string
	offset, size int64 // in a tar file; size -1: all of the file
}

// list finds the images of a shard in folders, tar files and files, sorted as their
// lines will be.
func list(paths []string, shard Shard) ([]item, error) {
	var items []item
	add := func(name, file string, offset, size int64) error {
		name = filepath.ToSlash(name)
		if !shard.holds(name) {
			return nil
		}
		key, err := quote(name)
		items = append(items, item{name, key, file, offset, size})
		return err
	}
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		switch {
		case info.IsDir():
			err = filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
				if err != nil || !d.Type().IsRegular() || !trainer.IsImage(name) {
					return err
				}
				return add(name, name, 0, -1)
			})
		case strings.EqualFold(filepath.Ext(path), ".tar"):
			err = listTar(path, add)
		default:
			err = add(path, path, 0, -1)
		}
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(items, func(a, b item) int { return bytes.Compare(a.key, b.key) })
	for i := 1; i < len(items); i++ {
		if items[i].name == items[i-1].name {
			return nil, fmt.Errorf("%s is listed twice", items[i].name)
		}
	}
	return items, nil
}

// listTar notes where the images of a tar file lie, so that they can be read in any
// order.
func listTar(path string, add func(name, file string, offset, size int64) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	r := tar.NewReader(f)
	for {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if h.Typeflag != tar.TypeReg || !trainer.IsImage(h.Name) {
			continue
		}
		at, err := f.Seek(0, io.SeekCurrent)
		if err == nil {
			err = add(path+"/"+strings.TrimPrefix(h.Name, "./"), path, at, h.Size)
		}
		if err != nil {
			return err
		}
	}
}

// open gives the bytes of an image.
func (i *item) open() (io.ReadSeekCloser, error) {
	f, err := os.Open(i.file)
	if err != nil || i.size < 0 {
		return f, err
	}
	return struct {
		io.ReadSeeker
		io.Closer
	}{io.NewSectionReader(f, i.offset, i.size), f}, nil
}

// quote gives a name as it stands in a line.
func quote(name string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(name)
	return bytes.TrimSpace(b.Bytes()), err
}
