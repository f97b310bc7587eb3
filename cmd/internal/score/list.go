package score

import (
	"archive/zip"
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
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

// ShardOf returns the shard, of so many, that an image belongs to: by its name alone.
func ShardOf(name string, of int) Shard {
	h := fnv.New64a()
	h.Write([]byte(name))
	return Shard{int(h.Sum64()%uint64(of)) + 1, of}
}

// A Listing is what was found at some paths.
type Listing struct {
	Images  []Image // of the shard, sorted as their lines will be
	Found   int     // images of all shards
	LeftOut imagefile.LeftOuts

	temporary string // a folder of unpacked archives
}

// Close removes what was unpacked.
func (l *Listing) Close() error {
	if l.temporary == "" {
		return nil
	}
	return os.RemoveAll(l.temporary)
}

// Expand replaces the path "-" by the paths that stdin lists, one a line, or ended by zero
// bytes as find -print0 writes them.
func Expand(paths []string, stdin io.Reader) ([]string, error) {
	var out []string
	for i, path := range paths {
		if path != "-" {
			out = append(out, path)
			continue
		}
		if slices.Contains(paths[:i], "-") {
			return nil, errors.New("standard input (-) can be read once only")
		}
		b, err := io.ReadAll(stdin)
		if err != nil {
			return nil, fmt.Errorf("standard input: %w", err)
		}
		end := []byte("\n")
		if bytes.IndexByte(b, 0) >= 0 {
			end = []byte{0}
		}
		before := len(out)
		for _, line := range bytes.Split(b, end) {
			if end[0] == '\n' {
				line = bytes.TrimSuffix(line, []byte("\r"))
			}
			if len(line) > 0 {
				out = append(out, string(line))
			}
		}
		if len(out) == before {
			return nil, errors.New("standard input (-) lists no files")
		}
	}
	return out, nil
}

// A lister collects images.
type lister struct {
	ctx    context.Context
	shard  Shard
	store  Store // of what is not a local file, or nil
	unpack bool  // compressed archives
	items  []item
	Listing
}

type item struct {
	key []byte // what its line begins with
	Image
}

func (l *lister) add(i Image) error {
	i.Name = filepath.ToSlash(i.Name)
	l.Found++
	if ShardOf(i.Name, l.shard.Of) != l.shard {
		return nil
	}
	key, err := beginning(i.Name)
	l.items = append(l.items, item{key, i})
	return err
}

func (l *lister) leave(path, reason string) {
	l.LeftOut = append(l.LeftOut, imagefile.LeftOut{Path: path, Reason: reason})
}

// List finds the images of a shard in folders, archives and files, and in the store, which
// may be nil. Archives are told by
// their content: tar, tar compressed by gzip or bzip2, and zip. What is compressed as a
// whole is unpacked to a temporary folder until Close; without unpack it is refused.
func List(ctx context.Context, paths []string, shard Shard, store Store, unpack bool) (*Listing, error) {
	l := &lister{ctx: ctx, shard: shard, store: store, unpack: unpack}
	for _, path := range paths {
		if err := l.path(path); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	slices.SortFunc(l.items, func(a, b item) int { return bytes.Compare(a.key, b.key) })
	for i := range l.items {
		l.Images = append(l.Images, l.items[i].Image)
		if i > 0 && l.Images[i].Name == l.Images[i-1].Name {
			return nil, errors.Join(fmt.Errorf("%s is listed twice", l.Images[i].Name), l.Close())
		}
	}
	return &l.Listing, nil
}

func (l *lister) path(path string) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	if Remote(path) {
		return l.remote(path)
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() {
		found, err := imagefile.List(l.ctx, path)
		if err != nil {
			return err
		}
		l.LeftOut = append(l.LeftOut, found.LeftOut...)
		for _, file := range found.Files {
			if err := l.add(Image{Name: file, File: file, Size: -1}); err != nil {
				return err
			}
		}
		return nil
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is neither a folder nor a regular file", path)
	}
	kind, err := archiveKind(path)
	switch {
	case err != nil:
		return err
	case kind == "":
		return l.add(Image{Name: path, File: path, Size: -1})
	case kind == "tar":
		err = l.tar(path, path)
	case kind == "zip":
		err = l.zip(path)
	case kind == "gzip", kind == "bzip2":
		err = l.compressed(path, kind)
	default:
		err = fmt.Errorf("an archive compressed by %s is not read here; unpack it first", kind)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// archiveKind tells archives by their content.
func archiveKind(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	head, err := bufio.NewReader(f).Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	for _, k := range []struct {
		at    int
		magic string
		kind  string
	}{
		{257, "ustar", "tar"}, {0, "PK\x03\x04", "zip"}, {0, "PK\x05\x06", "zip"}, {0, "\x1f\x8b", "gzip"}, {0, "BZh", "bzip2"},
		{0, "\x28\xb5\x2f\xfd", "zstd"}, {0, "\xfd7zXZ\x00", "xz"}, {0, "7z\xbc\xaf\x27\x1c", "7-Zip"}, {0, "Rar!", "RAR"},
	} {
		if len(head) > k.at && bytes.HasPrefix(head[k.at:], []byte(k.magic)) {
			return k.kind, nil
		}
	}
	switch strings.ToLower(filepath.Ext(path)) {
	case ".tar": // older than its magic number, or empty
		return "tar", nil
	case ".zip": // behind a program that unpacks it
		if r, err := zip.OpenReader(path); err == nil {
			return "zip", r.Close()
		}
	}
	return "", nil
}
