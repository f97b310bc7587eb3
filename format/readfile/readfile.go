// Package readfile reads whole files that are no longer than they may be: what a user names
// may be a device that never ends, or a film.
package readfile

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/quarterturn/quarterturn/format"
)

// Slab reads the file of a slab. Of a file that does not begin as slabs do it returns the beginning, from
// which format.Decode tells what it is.
func Slab(name string) ([]byte, error) {
	return read(name, format.MaxSize, format.Magic)
}

// SlabFrom is Slab for what was opened elsewhere; errors call it by its name.
func SlabFrom(r io.Reader, name string) ([]byte, error) {
	return readFrom(r, name, 0, format.MaxSize, format.Magic)
}

// AtMost reads a file of so many bytes or fewer.
func AtMost(name string, most int64) ([]byte, error) {
	return read(name, most, "")
}

// read stops behind the prefix of a slab where the file does not begin with magic.
func read(name string, most int64, magic string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return readFrom(f, name, info.Size(), most, magic)
}

// readFrom is read for something of that size, 0 if it is not known.
func readFrom(r io.Reader, name string, size, most int64, magic string) ([]byte, error) {
	head := make([]byte, format.PrefixSize)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, err
	}
	if head = head[:n]; !bytes.HasPrefix(head, []byte(magic)) {
		return head, nil
	}
	var all bytes.Buffer
	if size <= most {
		all.Grow(int(max(size, int64(n))) + bytes.MinRead)
		all.Write(head)
		if _, err := all.ReadFrom(io.LimitReader(r, most+1-int64(n))); err != nil {
			return nil, err
		}
		size = int64(all.Len())
	}
	if size > most {
		return nil, fmt.Errorf("%s has more than the %d bytes that are read", name, most)
	}
	return all.Bytes(), nil
}
