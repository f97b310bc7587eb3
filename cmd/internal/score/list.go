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

	"github.com/quarterturn/quarterturn/host/imagefile"
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

// ShardOf gives the shard, of so many, that an image belongs to: by its name alone.
func ShardOf(name string, of int) Shard {
	h := fnv.New64a()
	h.Write([]byte(name))
	return Shard{int(h.Sum64()%uint64(of)) + 1, of}
}

// List finds the images of a shard in folders, tar files and files, sorted as their
// lines will be.
func List(paths []string, shard Shard) ([]Image, error) {
	type item struct {
		key []byte // the name as it stands in a line
		Image
	}
	var items []item
	add := func(name, file string, offset, size int64) error {
		name = filepath.ToSlash(name)
		if ShardOf(name, shard.Of) != shard {
			return nil
		}
		key, err := quote(name)
		items = append(items, item{key, Image{name, file, offset, size}})
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
				if err != nil || !d.Type().IsRegular() || !imagefile.Known(name) {
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
	images := make([]Image, len(items))
	for i := range items {
		images[i] = items[i].Image
		if i > 0 && images[i].Name == images[i-1].Name {
			return nil, fmt.Errorf("%s is listed twice", images[i].Name)
		}
	}
	return images, nil
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
		if h.Typeflag != tar.TypeReg || !imagefile.Known(h.Name) {
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

// quote gives a name as it stands in a line.
func quote(name string) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(name)
	return bytes.TrimSpace(b.Bytes()), err
}
