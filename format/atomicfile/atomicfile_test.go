package atomicfile

import (
	"os"
	"path/filepath"
	"strings"
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
	for name, says := range map[string]string{
		blocked: "it is a folder", filepath.Join(dir, "none", "f"): "there is no folder " + filepath.Join(dir, "none"), filepath.Join(name, "f"): "there is no folder " + name,
	} {
		for what, err := range map[string]error{"Ready": Ready(name), "Write": Write(name, nil)} {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s of %s: %v", what, name, err)
			}
		}
	}
	if err := Ready(name); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%d entries left, %v", len(entries), err)
	}
}
