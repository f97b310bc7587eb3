package atomicfile

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWriteKeepsTheOldOnFailure(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "f")
	if err := Write(name, []byte("old")); err != nil {
		t.Fatal(err)
	}
	// A folder in the file's place makes the last step, the rename, fail.
	blocked := filepath.Join(dir, "folder")
	if err := os.MkdirAll(filepath.Join(blocked, "inside"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Write(blocked, []byte("new")); err == nil {
		t.Error("a file replaced a folder")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%d entries left, %v", len(entries), err)
	}
}
