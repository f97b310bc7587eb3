package readfile

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
)

func write(t *testing.T, content string, size int64) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	if size > 0 {
		if err := os.Truncate(name, size); err != nil { // the rest takes no room
			t.Fatal(err)
		}
	}
	return name
}

// Files come whole up to the limit, and not at all beyond it.
func TestAtMost(t *testing.T) {
	for _, n := range []int{0, 1, format.PrefixSize - 1, format.PrefixSize, format.PrefixSize + 1, 1000} {
		content := strings.Repeat("x", n)
		if b, err := AtMost(write(t, content, 0), int64(n)); err != nil || string(b) != content {
			t.Errorf("%d bytes: %d, %v", n, len(b), err)
		}
		if n == 0 {
			continue
		}
		if _, err := AtMost(write(t, content, 0), int64(n-1)); err == nil || !strings.Contains(err.Error(), "more than") {
			t.Errorf("%d bytes, one too many: %v", n, err)
		}
	}
	if _, err := AtMost(filepath.Join(t.TempDir(), "none"), 10); !os.IsNotExist(err) {
		t.Errorf("no file: %v", err)
	}
}

// zeros never end; it counts what was read of them.
type zeros struct{ read int }

func (z *zeros) Read(p []byte) (int, error) {
	clear(p)
	z.read += len(p)
	return len(p), nil
}

// Of what is no slab the beginning is enough, and nothing is read that no slab has.
func TestFieldB1Slab(t *testing.T) {
	content := format.Magic + strings.Repeat("x", 500)
	if b, err := Slab(write(t, content, 0)); err != nil || string(b) != content {
		t.Errorf("%d bytes, %v", len(b), err)
	}
	for _, name := range []string{write(t, "not a slab", 8<<30), "/dev/zero"} {
		if _, err := os.Stat(name); err != nil {
			continue // not on this system
		}
		b, err := Slab(name)
		if err != nil || len(b) != format.PrefixSize || bytes.HasPrefix(b, []byte(format.Magic)) {
			t.Errorf("%s: %d bytes, %v", name, len(b), err)
		}
	}
	if _, err := Slab(write(t, content, 8<<30)); err == nil || !strings.Contains(err.Error(), "more than the 1073741824 bytes") {
		t.Errorf("a slab of 8 GiB: %v", err)
	}
	if b, err := SlabFrom(strings.NewReader(content), "remote"); err != nil || string(b) != content {
		t.Errorf("from elsewhere: %d bytes, %v", len(b), err)
	}
	endless := &zeros{}
	if b, err := SlabFrom(endless, "remote"); err != nil || len(b) != format.PrefixSize || endless.read > 1<<16 {
		t.Errorf("without an end: %d bytes of %d, %v", len(b), endless.read, err)
	}
	// A pipe has no size.
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		w.WriteString(content)
		w.Close()
	}()
	if b, err := Slab(fmt.Sprint("/dev/fd/", r.Fd())); err != nil && !os.IsNotExist(err) || err == nil && string(b) != content {
		t.Errorf("a pipe: %d bytes, %v", len(b), err)
	}
}
