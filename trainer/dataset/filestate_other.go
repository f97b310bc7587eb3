//go:build !linux && !darwin && !freebsd

package dataset

import (
	"fmt"
	"os"
	"path/filepath"
)

// fileState returns what changes when the content of a file does, links followed.
func fileState(path string) (string, error) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(target)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%q %d %d", target, info.Size(), info.ModTime().UnixNano()), nil
}
