package score

import (
	"archive/zip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"os"
	"slices"
)

// zip notes where the images of a zip archive lie.
func (l *lister) zip(name string) error {
	r, err := zip.OpenReader(name)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := l.checkBeginning(name, r.File); err != nil {
		return err
	}
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
		m.set(name, Image{File: m.archive, Offset: at, Size: int64(f.CompressedSize64), Deflated: f.Method == zip.Deflate, CRC32: f.CRC32})
	}
	return m.done()
}

// checkBeginning looks whether what a zip archive begins with is among its files: of two archives,
// one behind the other, the directory at the end has the files of the second.
func (l *lister) checkBeginning(name string, files []*zip.File) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var h struct { // of a file, in front of it
		Magic [4]byte
		_     [22]byte
		Name  uint16
		Extra uint16
	}
	err = binary.Read(f, binary.LittleEndian, &h)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || err == nil && string(h.Magic[:]) != "PK\x03\x04" {
		return nil // an empty archive, or one with a program in front that unpacks it
	}
	if err != nil {
		return err
	}
	first := int64(binary.Size(h)) + int64(h.Name) + int64(h.Extra)
	if !slices.ContainsFunc(files, func(x *zip.File) bool {
		at, err := x.DataOffset()
		return err == nil && at == first
	}) {
		l.leave(name, "the archive begins with files that its directory does not list, such as those of another archive; they are not read")
	}
	return nil
}

// errDamaged is what a file of a zip archive has that is not what was packed.
var errDamaged = errors.New("the file is damaged: it does not have the checksum (CRC-32) that the archive has of it")

// checked is a reader that ends with errDamaged if what was read does not have a checksum.
type checked struct {
	r    io.Reader
	sum  hash.Hash32
	want uint32
}

func check(r io.Reader, want uint32) io.Reader { return &checked{r, crc32.NewIEEE(), want} }

func (c *checked) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.sum.Write(p[:n])
	if errors.Is(err, io.EOF) && c.sum.Sum32() != c.want {
		err = errDamaged
	}
	return n, err
}
