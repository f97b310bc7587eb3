package score

import (
	"bufio"
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

// replaced is said of a file that unpacking would write over.
const replaced = "replaced by a later file of this name in the archive"

func (m *members) set(name string, i Image) {
	if _, again := m.images[name]; again {
		m.leave(name, replaced)
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
	if l.temporary == "" {
		if l.temporary, err = os.MkdirTemp("", "quarterturn-score-"); err != nil {
			return err
		}
	}
	out, err := os.CreateTemp(l.temporary, "*")
	if err != nil {
		return err
	}
	packed := bufio.NewReader(&stoppable{l, f})
	if kind == "gzip" {
		err = gunzip(out, packed)
	} else {
		_, err = io.Copy(out, bzip2.NewReader(packed))
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = cutOff(err)
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return err
	}
	if err = l.tar(name, out.Name()); err != nil {
		err = fmt.Errorf("what is compressed in it is no tar archive, or a broken one: %w", err)
	}
	return err
}

// gunzip unpacks what was compressed by gzip, in one or several pieces, which zeros may follow, as
// tapes have them.
func gunzip(w io.Writer, r *bufio.Reader) error {
	z, err := gzip.NewReader(r)
	for err == nil {
		z.Multistream(false)
		if _, err = io.Copy(w, z); err != nil {
			return err
		}
		for b := byte(0); err == nil && b == 0; {
			b, err = r.ReadByte()
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = r.UnreadByte()
		}
		if err == nil {
			err = z.Reset(r)
		}
		if err != nil {
			err = fmt.Errorf("behind the end of what gzip compressed: %w", err)
		}
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
