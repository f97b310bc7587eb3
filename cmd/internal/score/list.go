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
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/quarterturn/quarterturn/format/plain"
	"github.com/quarterturn/quarterturn/host/imagefile"
)

// A Shard is one of Of parts, numbered from 1.
type Shard struct{ Index, Of int }

// ParseShard reads "2/8", or "job/8": the part of a pod in a Kubernetes Job with completionMode: Indexed,
// which counts its pods from 0 in a variable.
func ParseShard(s string) (shard Shard, ofJob bool, err error) {
	index, of, _ := strings.Cut(s, "/")
	n, err := strconv.Atoi(of)
	if ofJob = index == "job"; ofJob && err == nil && n >= 1 {
		i, err := jobIndex(n)
		return Shard{i + 1, n}, true, err
	}
	i, err2 := strconv.Atoi(index)
	if err != nil || err2 != nil || i < 1 || i > n {
		return Shard{}, false, fmt.Errorf("shard %q: want one of N parts, as 1/4 to 4/4, or in an indexed Job of Kubernetes job/4", s)
	}
	return Shard{i, n}, false, nil
}

// jobIndex is that of this pod, in a Job of n.
func jobIndex(n int) (int, error) {
	const variable = "JOB_COMPLETION_INDEX"
	text := os.Getenv(variable)
	if text == "" {
		return 0, fmt.Errorf("shard job/%d: %s is not set, as Kubernetes sets it in a Job with completionMode: Indexed; elsewhere number the part, as 1/%d", n, variable, n)
	}
	i, err := strconv.Atoi(text)
	if err != nil || i < 0 || i >= n {
		return 0, fmt.Errorf("shard job/%d: %s is %q, and not 0 to %d; give the Job completions: %d", n, variable, text, n-1, n)
	}
	return i, nil
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
	Found   int     // images of all shards; what comes twice counts twice in the others
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

// mostList bounds a list of files, in bytes.
const mostList = 1 << 29

// Expand parts paths into those that are given and, for the path "-", those that stdin lists, one a
// line, or ended by zero bytes as find -print0 writes them.
func Expand(paths []string, stdin io.Reader) (given, listed []string, err error) {
	for i, path := range paths {
		if path != "-" {
			given = append(given, path)
			continue
		}
		if slices.Contains(paths[:i], "-") {
			return nil, nil, errors.New("standard input (-) can be read once only")
		}
		b, err := io.ReadAll(io.LimitReader(stdin, mostList+1))
		if err == nil && len(b) > mostList {
			err = fmt.Errorf("the list has more than the %d bytes that are read", mostList)
		}
		if err == nil {
			b, err = plain.Text(b)
		}
		if err != nil {
			return nil, nil, fmt.Errorf("standard input: %w", err)
		}
		end := []byte("\n")
		if bytes.IndexByte(b, 0) >= 0 {
			end = []byte{0}
		}
		for line := range bytes.SplitSeq(b, end) {
			if end[0] == '\n' {
				line = bytes.TrimSuffix(line, []byte("\r"))
			}
			if len(line) > 0 {
				listed = append(listed, string(line))
			}
		}
		if len(listed) == 0 {
			return nil, nil, errors.New("standard input (-) lists no files")
		}
	}
	return given, listed, nil
}

// A lister collects images.
type lister struct {
	ctx    context.Context
	shard  Shard
	store  Store // of what is not a local file, or nil
	unpack bool  // compressed archives
	items  []item
	paths  map[string]bool // given or listed, cleaned
	places []place
	Listing
}

// A place is a folder or an archive that was read.
type place struct {
	path string
	info fs.FileInfo
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
// may be nil. Those paths must be there that are given; of those that a list has, which may be
// older than what it lists, one that cannot be opened, or whose address is none of the store's, is an image
// that cannot be read. What comes
// twice is left out once. Archives are told by
// their content: tar, tar compressed by gzip or bzip2, and zip. What is compressed as a
// whole is unpacked to a temporary folder until Close; without unpack it is refused.
func List(ctx context.Context, given, listed []string, shard Shard, store Store, unpack bool) (*Listing, error) {
	l := &lister{ctx: ctx, shard: shard, store: store, unpack: unpack, paths: map[string]bool{}}
	paths := slices.Concat(given, listed)
	first := make([]bool, len(paths))
	for i, path := range paths {
		if first[i] = !l.paths[cleaned(path)]; !first[i] {
			l.leave(path, again)
		}
		l.paths[cleaned(path)] = true
	}
	for i, path := range paths {
		if !first[i] {
			continue
		}
		if err := l.path(path, i >= len(given)); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	slices.SortStableFunc(l.items, func(a, b item) int { return bytes.Compare(a.key, b.key) })
	for i := range l.items {
		if i > 0 && l.items[i].Name == l.items[i-1].Name {
			l.leave(l.items[i].Name, again)
			l.Found--
			continue
		}
		l.Images = append(l.Images, l.items[i].Image)
	}
	return &l.Listing, nil
}

// again is said of a path that comes twice, such as that of an image and of the folder it is in.
const again = "given more than once; it is read once"

// cleaned returns a path without what says nothing.
func cleaned(path string) string {
	if Remote(path) {
		return path
	}
	return filepath.Clean(path)
}

// path takes a path that is given or in a list.
func (l *lister) path(path string, listed bool) error {
	if err := l.ctx.Err(); err != nil {
		return err
	}
	if Remote(path) {
		return l.remote(path, listed)
	}
	info, err := os.Stat(path)
	if err != nil && listed {
		return l.add(Image{Name: path, File: path, Size: -1}) // whose line says what is wrong
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		if l.sameAs(path, info) {
			return nil
		}
		found, err := imagefile.List(l.ctx, path)
		if err != nil {
			return err
		}
		l.LeftOut = append(l.LeftOut, found.LeftOut...)
		for _, file := range found.Files {
			if l.paths[file] {
				l.leave(file, again)
				continue
			}
			if err := l.add(Image{Name: file, File: file, Size: -1}); err != nil {
				return err
			}
		}
		return nil
	}
	if !info.Mode().IsRegular() && listed {
		l.leave(path, "a pipe or a device, not a regular file")
		return nil
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is neither a folder nor a regular file", path)
	}
	kind, err := archiveKind(path)
	if err != nil && !listed {
		return err
	}
	if err != nil || kind == "" {
		return l.add(Image{Name: path, File: path, Size: -1})
	}
	if l.sameAs(path, info) {
		return nil
	}
	switch {
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

// sameAs leaves a folder or an archive out if it was read under another path.
func (l *lister) sameAs(path string, info fs.FileInfo) bool {
	for _, p := range l.places {
		if os.SameFile(p.info, info) {
			l.leave(path, "the same as "+plain.Name(p.path)+", which is read")
			return true
		}
	}
	l.places = append(l.places, place{path, info})
	return false
}

// archiveKind tells archives by their content. A file that is only named like one is an error.
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
		return "", errNoArchive(path)
	case ".tgz", ".gz", ".tbz2", ".bz2", ".zst", ".xz", ".7z", ".rar":
		return "", errNoArchive(path)
	}
	return "", nil
}

func errNoArchive(path string) error {
	return fmt.Errorf("%s is no archive, though it is named like one; was it cut off, or is it an error page?", plain.Name(path))
}
