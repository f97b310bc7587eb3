//go:build linux || darwin || freebsd

package dataset

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// fileState returns what changes when the content of a file does, links followed: beside
// size and time of modification, which copying tools restore, the file's number and when
// that was last changed.
func fileState(path string) (string, error) {
	var s unix.Stat_t
	if err := unix.Stat(path, &s); err != nil {
		return "", &os.PathError{Op: "stat", Path: path, Err: err}
	}
	return fmt.Sprint(s.Dev, s.Ino, s.Size, s.Mtim.Nano(), s.Ctim.Nano()), nil
}
