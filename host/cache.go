package host

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/tetratelabs/wazero"
)

// A diskCache keeps compiled code in a directory of its own in the one that WithCacheDir
// names. Wazero runs what it finds there and checks but a part of it, so that every file
// has its checksum beside it here, and one that does not match is removed before wazero
// looks: it is compiled again.
type diskCache struct {
	wazero.CompilationCache
	dir string
}

const sumSuffix = ".crc32c"

func openDiskCache(dir string) (*diskCache, error) {
	c := &diskCache{dir: filepath.Join(dir, "quarterturn")}
	c.each(func(path string) {
		if want, err := os.ReadFile(path + sumSuffix); err != nil || string(want) != checksum(path) {
			os.RemoveAll(path)
			os.RemoveAll(path + sumSuffix)
		}
	})
	var err error
	if c.CompilationCache, err = wazero.NewCompilationCacheWithDir(c.dir); err != nil {
		return nil, err
	}
	return c, nil
}

// seal writes the checksums of files that have none. Where that fails the next process
// compiles again.
func (c *diskCache) seal() {
	c.each(func(path string) {
		if _, err := os.Stat(path + sumSuffix); err == nil {
			return
		}
		temp := fmt.Sprintf("%s.%d.tmp", path, os.Getpid())
		if os.WriteFile(temp, []byte(checksum(path)), 0o600) != nil || os.Rename(temp, path+sumSuffix) != nil {
			os.Remove(temp)
		}
	})
}

// drop closes the cache and removes all that it holds.
func (c *diskCache) drop(ctx context.Context) {
	c.Close(ctx)
	c.each(func(path string) { os.RemoveAll(path); os.RemoveAll(path + sumSuffix) })
}

// each calls f for the entries of the cache.
func (c *diskCache) each(f func(path string)) {
	entries, _ := filepath.Glob(filepath.Join(c.dir, "wazero-*", "*"))
	for _, path := range entries {
		if !strings.Contains(filepath.Base(path), ".") {
			f(path)
		}
	}
}

// checksum is that of a file, or a word that is none if it cannot be read.
func checksum(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return "unreadable"
	}
	defer f.Close()
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	n, err := io.Copy(h, f)
	if err != nil {
		return "unreadable"
	}
	return fmt.Sprintf("%d %s\n", n, hex.EncodeToString(h.Sum(nil)))
}
