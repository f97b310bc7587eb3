// Package atomicfile writes files that are there whole or not at all.
package atomicfile

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Ready finds out whether a file can be written, as far as its name goes: before work is done for it.
func Ready(name string) error {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return fmt.Errorf("%s cannot be written: it is a folder", name)
	}
	dir := filepath.Dir(name)
	info, err := os.Stat(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return fmt.Errorf("%s cannot be written: there is no folder %s; make it first", name, dir)
	}
	return err
}

// Write writes a file under another name in its folder, flushes it to the disk and renames
// it: whatever happens, the name holds the old content or the new, whole.
func Write(name string, b []byte) error {
	return WriteWith(name, func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	})
}

// WriteWith is Write for what is too large to be held in one piece: write writes it, and its
// error is WriteWith's.
func WriteWith(name string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+".*")
	if err != nil {
		return cmp.Or(Ready(name), err) // the first names the file that is wanted, not this one
	}
	if err = write(f); err == nil {
		err = f.Chmod(0o644)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		if err = os.Rename(f.Name(), name); err != nil {
			err = cmp.Or(Ready(name), err)
		}
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
