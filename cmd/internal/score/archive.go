package score

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/bzip2"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// members are the images of an archive, by their names in it. A name that comes again
// replaces the one before, as in unpacking.
type members struct {
	l       *lister
	archive string // its name, for people
	order   []string
	images  map[string]Image
}

func (l *lister) members(archive string) *members {
	return &members{l: l, archive: archive, images: map[string]Image{}}
}

// clean returns a member's name without what says nothing.
func clean(name string) string {
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}

func (m *members) leave(name, reason string) { m.l.leave(m.archive+"/"+name, reason) }

// wanted tells whether a member is an image by its name; if not, it is left out.
func (m *members) wanted(name string) bool {
	reason := leftOut(name)
	if reason != "" {
		m.leave(name, reason)
	}
	return reason == ""
}

func (m *members) set(name string, i Image) {
	if _, again := m.images[name]; again {
		m.leave(name, "replaced by a later file of this name in the archive")
	} else {
		m.order = append(m.order, name)
	}
	i.Name = m.archive + "/" + name
	m.images[name] = i
}

func (m *members) done() error {
	for _, name := range m.order {
		if err := m.l.add(m.images[name]); err != nil {
			return err
		}
	}
	return nil
}

// tar notes where the images of a tar archive lie, so that they can be read in any order.
// file is the archive, name what people call it.
func (l *lister) tar(name, file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	m := l.members(name)
	// Links may lead to files that are no images by their names, and symbolic ones to
	// files that come later.
	files := map[string]Image{}
	type link struct{ from, to string }
	var links []link
	r := tar.NewReader(f)
	for n := 1; ; n++ {
		if err := l.ctx.Err(); err != nil {
			return err
		}
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("the archive was cut off: %w", err)
		}
		if err != nil {
			return err
		}
		at, err := f.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		name, image := clean(h.Name), Image{File: file, Offset: at, Size: h.Size}
		switch h.Typeflag {
		case tar.TypeReg, tar.TypeGNUSparse:
			if isSparse(h) {
				image.Member = n
			}
			files[name] = image
		case tar.TypeLink:
			target, ok := files[clean(h.Linkname)]
			if !ok {
				m.leave(name, "a link to what is not in the archive")
				continue
			}
			image = target
			files[name] = target
		case tar.TypeSymlink:
			if m.wanted(name) {
				links = append(links, link{name, clean(path.Join(path.Dir(name), h.Linkname))})
			}
			continue
		case tar.TypeDir, tar.TypeXGlobalHeader:
			continue
		default:
			m.leave(name, "a pipe or a device, not a regular file")
			continue
		}
		if m.wanted(name) {
			m.set(name, image)
		}
	}
	if err := l.checkEnd(name, f); err != nil {
		return err
	}
	for _, x := range links {
		if target, ok := files[x.to]; ok {
			m.set(x.from, target)
		} else {
			m.leave(x.from, "a link to what is not a file of the archive")
		}
	}
	return m.done()
}

// checkEnd looks for the end of a tar archive, blocks of zeros: without them it may have been
// cut off between two files.
func (l *lister) checkEnd(name string, f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	const block = 512
	if info.Size() == 0 {
		l.leave(name, "an empty file")
		return nil
	}
	if info.Size()%block != 0 {
		return errors.New("the archive was cut off: its last block is not whole")
	}
	last := make([]byte, block)
	if _, err := f.ReadAt(last, info.Size()-block); err != nil {
		return err
	}
	if bytes.Count(last, []byte{0}) < block {
		l.leave(name, "the archive ends without the mark of an end; it may have been cut off")
	}
	return nil
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

// zip notes where the images of a zip archive lie.
func (l *lister) zip(name string) error {
	r, err := zip.OpenReader(name)
	if err != nil {
		return err
	}
	defer r.Close()
	m := l.members(name)
	for _, f := range r.File {
		if err := l.ctx.Err(); err != nil {
			return err
		}
		name := clean(f.Name)
		if f.FileInfo().IsDir() || !m.wanted(name) {
			continue
		}
		const encrypted = 1
		switch {
		case f.Flags&encrypted != 0:
			m.leave(name, "encrypted")
			continue
		case f.Mode()&os.ModeType != 0:
			m.leave(name, "a link or a device, not a regular file")
			continue
		case f.Method != zip.Store && f.Method != zip.Deflate:
			m.leave(name, fmt.Sprintf("compressed by method %d, which is not read", f.Method))
			continue
		}
		at, err := f.DataOffset()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		m.set(name, Image{File: m.archive, Offset: at, Size: int64(f.CompressedSize64), Deflated: f.Method == zip.Deflate})
	}
	return m.done()
}

// compressed unpacks an archive that is compressed as a whole, since its images are to be
// read in another order than they lie.
func (l *lister) compressed(name, kind string) error {
	if !l.unpack {
		return fmt.Errorf("an archive compressed by %s cannot be read in pieces; unpack it first", kind)
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var r io.Reader = bzip2.NewReader(bufio.NewReader(f))
	if kind == "gzip" {
		if r, err = gzip.NewReader(bufio.NewReader(f)); err != nil {
			return err
		}
	}
	if l.temporary == "" {
		if l.temporary, err = os.MkdirTemp("", "quarterturn-score-"); err != nil {
			return err
		}
	}
	out, err := os.CreateTemp(l.temporary, "*")
	if err != nil {
		return err
	}
	_, err = io.Copy(out, &stoppable{l, r})
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	if err = l.tar(name, out.Name()); err != nil {
		err = fmt.Errorf("what is compressed in it is no tar archive, or a broken one: %w", err)
	}
	return err
}

// stoppable is a reader that the listing's context stops.
type stoppable struct {
	l *lister
	r io.Reader
}

func (s *stoppable) Read(p []byte) (int, error) {
	if err := s.l.ctx.Err(); err != nil {
		return 0, err
	}
	return s.r.Read(p)
}
