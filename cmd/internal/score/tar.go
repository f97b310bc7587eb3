package score

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

const tarBlock = 512 // bytes; archives consist of whole ones

// tar notes where the images of a tar archive lie, so that they can be read in any order, and those of
// others that follow it in its file. file is the archive, name what people call it.
func (l *lister) tar(name, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		l.leave(name, "an empty file")
		return nil
	}
	t := &tarball{members: l.members(name), file: file, files: map[string]Image{}, folders: map[string]bool{"": true}, links: map[string]string{}, hard: map[string]string{}}
	for start := int64(0); start < info.Size(); {
		err := t.read(f, start)
		if start > 0 && errors.Is(err, errNoTar) {
			l.leave(name, "the archive ends before its file does, and what follows is no tar archive; it is not read")
			break
		}
		if err != nil {
			return err
		}
		if start, err = l.nextTar(name, f, info.Size()); err != nil {
			return err
		}
	}
	t.follow()
	return t.done()
}

// nextTar passes the zeros behind the end of a tar archive, and returns where something else begins, or
// the size of the file. Without zeros the archive may have been cut off between two files.
func (l *lister) nextTar(name string, f *os.File, size int64) (int64, error) {
	if size%tarBlock != 0 {
		return 0, errors.New("the archive was cut off: its last block is not whole")
	}
	at, err := f.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0, err
	}
	block := make([]byte, tarBlock)
	if at == size {
		if _, err := f.ReadAt(block, size-tarBlock); err != nil {
			return 0, err
		}
		if !zeros(block) {
			l.leave(name, "the archive ends without the mark of an end; it may have been cut off")
		}
	}
	for ; at < size; at += tarBlock {
		if err := l.ctx.Err(); err != nil {
			return 0, err
		}
		if _, err := f.ReadAt(block, at); err != nil {
			return 0, err
		}
		if !zeros(block) {
			break
		}
	}
	return at, nil
}

func zeros(block []byte) bool { return bytes.Count(block, []byte{0}) == len(block) }

// cutOff is the error of an archive that ends too early.
func cutOff(err error) error { return fmt.Errorf("the archive was cut off: %w", err) }

// errNoTar is the error of what does not begin as a tar archive does.
var errNoTar = errors.New("not a tar archive")

// A tarball is what a tar archive holds.
type tarball struct {
	*members
	file string
	// Links may lead to files that are no images by their names, and symbolic ones to
	// files that come later.
	files   map[string]Image
	folders map[string]bool
	links   map[string]string // where symbolic links lead, as they say it
	linked  []string          // their names, in the order in which they came
	hard    map[string]string // where hard links lead that lead to nothing yet
}

// read reads the headers of an archive that begins at an offset of its file, and leaves the file's position
// behind its end.
func (t *tarball) read(f *os.File, start int64) error {
	if _, err := f.Seek(start, io.SeekStart); err != nil {
		return err
	}
	r := tar.NewReader(f)
	for n := 1; ; n++ {
		if err := t.l.ctx.Err(); err != nil {
			return err
		}
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return cutOff(err)
		}
		if errors.Is(err, tar.ErrHeader) && n == 1 {
			return fmt.Errorf("%w: %w", errNoTar, err)
		}
		if err != nil {
			return err
		}
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		image := Image{File: t.file, Offset: at, Size: h.Size}
		if isSparse(h) {
			image.Offset, image.Member = start, n
		}
		t.entry(h, image)
	}
}

// entry takes what a header is about; image is what a regular file is read as.
func (t *tarball) entry(h *tar.Header, image Image) {
	name := clean(h.Name)
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		t.folders[dir] = true
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse:
	case tar.TypeLink:
		target, ok := t.files[clean(h.Linkname)]
		if _, symbolic := t.links[clean(h.Linkname)]; symbolic {
			t.link(name, "/"+clean(h.Linkname))
			return
		}
		if !ok {
			t.hard[name] = clean(h.Linkname)
			return
		}
		image = target
	case tar.TypeSymlink:
		t.link(name, h.Linkname)
		return
	case tar.TypeDir:
		t.folders[name] = true
		return
	case tar.TypeXGlobalHeader:
		return
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		t.leave(name, "a pipe or a device, not a regular file")
		return
	default:
		t.leave(name, fmt.Sprintf("an entry of the type %q, which is not read", h.Typeflag))
		return
	}
	t.files[name] = image
	if _, link := t.links[name]; link {
		t.leave(name, replaced)
		delete(t.links, name)
	}
	if t.wanted(name) {
		t.set(name, image)
	}
}

// link takes a symbolic link.
func (t *tarball) link(name, to string) {
	if _, again := t.links[name]; again {
		t.leave(name, replaced)
	} else {
		t.linked = append(t.linked, name)
	}
	t.links[name] = to
}

// nowhere is said of a link that leads to no file.
const nowhere = "a link to what is not in the archive"

// follow finds the images that symbolic links lead to. Hard links to what comes behind them are not
// followed: no program for tar archives can unpack them.
func (t *tarball) follow() {
	for _, name := range slices.Sorted(maps.Keys(t.hard)) {
		reason := nowhere
		for to, n := t.hard[name], 0; n < len(t.hard) && reason == nowhere; to, n = t.hard[to], n+1 {
			if _, file := t.files[to]; file {
				reason = "a hard link to a file that comes later in the archive; those are not followed"
			}
		}
		t.leave(name, reason)
	}
	for _, name := range t.linked {
		if _, link := t.links[name]; !link {
			continue // a file has replaced it
		}
		target, ends := t.resolve(name)
		image, file := t.files[target]
		switch {
		case !ends:
			t.leave(name, "a link that leads back to itself")
		case t.folders[target]:
			t.leave(name, "a link to a folder of the archive, whose images count under their own names")
		case !t.wanted(name):
		case file:
			t.set(name, image)
		default:
			t.leave(name, nowhere)
		}
	}
}

// resolve follows the symbolic links in a name, as a system does after unpacking, to that of a file or
// folder, which is ".." outside the archive. ends is false if they go round in a circle.
func (t *tarball) resolve(name string) (target string, ends bool) {
	const most = 40 // as on Linux
	rest := strings.Split(name, "/")
	for links := 0; len(rest) > 0; {
		step := rest[0]
		rest = rest[1:]
		if step == ".." && target == "" {
			return "..", true
		}
		at := path.Join(target, step)
		if at == "." { // the archive's own folder
			at = ""
		}
		to, link := t.links[at]
		if !link {
			target = at
			continue
		}
		if links++; links > most {
			return "..", false
		}
		if path.IsAbs(to) {
			target = ""
		}
		rest = append(strings.Split(to, "/"), rest...)
	}
	return target, true
}

// isSparse reports whether a member is stored without its holes.
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}
