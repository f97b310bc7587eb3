package dataset

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/trainer/internal/parallel"
)

// MinSize and MaxSize are the sides, in pixels, that the images of a folder can be resized to.
const MinSize, MaxSize = 8, 512

// SmallSide and LargeSide are the sides that they are resized to if nothing is said: LargeSide
// where most of them have as many pixels across.
const SmallSide, LargeSide = 32, 64

// loadFolder reads an image folder; see findLayout. Every image is cropped to a square and
// resized to size x size; 0 chooses SmallSide or LargeSide. The result is cached: another run
// over the same files reads it back.
func loadFolder(ctx context.Context, dir string, size int, skipBroken bool) (*Dataset, error) {
	if size != 0 && (size < MinSize || size > MaxSize) {
		return nil, fmt.Errorf("images of %d pixels a side: want %d to %d", size, MinSize, MaxSize)
	}
	l, err := findLayout(ctx, dir)
	if err != nil {
		return nil, err
	}
	if size == 0 {
		if size, err = l.side(ctx); err != nil {
			return nil, err
		}
	}
	key, err := cacheKey(size, skipBroken, l)
	if err != nil {
		return nil, err
	}
	if cached := readCache(key); cached != nil {
		return cached, nil
	}
	d := &Dataset{Height: size, Width: size, ClassNames: l.classes, Notes: l.notes, LeftOut: l.leftOut}
	if err := d.decode(ctx, l, skipBroken); err != nil {
		return nil, err
	}
	writeCache(key, d)
	return d, nil
}

// side chooses the side to which the images are resized, by the headers of some of them.
func (l *layout) side(ctx context.Context) (int, error) {
	const most = 100
	large, small := 0, 0
	for i := 0; i < len(l.train); i += (len(l.train) + most - 1) / most {
		data, err := imagefile.ReadBytes(ctx, l.train[i].path, imagefile.Limits{})
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err != nil {
			continue // it will be said when all are decoded
		}
		switch c, err := imagefile.DecodeConfig(data, imagefile.Limits{}); {
		case err != nil:
		case min(c.Width, c.Height) >= LargeSide:
			large++
		default:
			small++
		}
	}
	if large > small {
		return LargeSide, nil
	}
	return SmallSide, nil
}

// A decodedFile is what reading the image of a file came to.
type decodedFile struct {
	grey bool
	err  error
}

// decode reads the images, on all processors, and decides whether the set is grey or in
// colour. Without test images it splits some off.
func (d *Dataset) decode(ctx context.Context, l *layout, skipBroken bool) error {
	files := append(slices.Clone(l.train), l.test...)
	images := make([]decodedFile, len(files))
	size := 3 * d.Height * d.Width
	pixels := make([]byte, len(files)*size) // the only copy: there may be gigabytes
	parallel.For(len(files), func(_, i int) {
		if images[i].err = ctx.Err(); images[i].err == nil {
			images[i].grey, images[i].err = readSquare(ctx, files[i].path, d.Width, pixels[i*size:][:size])
		}
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := d.settleChannels(files, images, skipBroken); err != nil {
		return err
	}
	to, trained := 0, 0
	for i, img := range images {
		if img.err != nil {
			continue
		}
		s := &d.Train
		if i >= len(l.train) {
			s = &d.Test
		}
		s.Labels = append(s.Labels, slices.Index(d.ClassNames, files[i].class))
		s.Files = append(s.Files, files[i].path)
		for from := i * size; from < (i+1)*size; from += 3 {
			to += copy(pixels[to:], pixels[from:from+d.Channels])
		}
		if s == &d.Train {
			trained = to
		}
	}
	if d.Channels == 1 {
		pixels = slices.Clone(pixels[:to]) // a third
	}
	d.Train.Pixels, d.Test.Pixels = slices.Clip(pixels[:trained]), slices.Clip(pixels[trained:to])
	d.noteDuplicates()
	if l.split {
		d.splitByContent()
	}
	for y, n := range d.Train.Counts(len(d.ClassNames)) {
		if n > 0 {
			continue
		}
		var why []string
		for i, img := range images {
			if img.err != nil && files[i].class == d.ClassNames[y] {
				why = append(why, img.err.Error())
			}
		}
		return fmt.Errorf("no training image of class %s can be read: %s", d.ClassNames[y], listed(why))
	}
	return nil
}

// settleChannels decides whether the set is grey, as all of its images then are, or in colour. Images that cannot
// be read are left out, or without skipBroken an error.
func (d *Dataset) settleChannels(files []labelledFile, images []decodedFile, skipBroken bool) error {
	var broken []error
	var grey []string
	for i, img := range images {
		if img.err != nil {
			broken = append(broken, img.err)
			d.LeftOut = append(d.LeftOut, imagefile.LeftOut{Path: files[i].path, Reason: imagefile.Reason(files[i].path, img.err)})
		} else if img.grey {
			grey = append(grey, files[i].path)
		}
	}
	if len(broken) > 0 && !skipBroken {
		return fmt.Errorf("%d of %d images cannot be read; fix them, or pass --skip-broken: %w", len(broken), len(files), errors.Join(broken[:min(len(broken), 10)]...))
	}
	d.Channels = 3
	if whole := len(files) - len(broken); len(grey) == whole {
		d.Channels = 1
	} else if len(grey) > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("%d of the %d images are grey and were taken as colours: %s", len(grey), whole, listed(grey)))
	}
	return nil
}

// listed names the first of a list.
func listed(names []string) string {
	const most = 5
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

// cacheKey names a set of files by what their paths lead to: the target of a link may change
// though the link does not. The paths as they were given are a part of it, since the data set says them.
func cacheKey(size int, skipBroken bool, l *layout) (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, "folder cache 7", size, skipBroken, l.split, l.notes, l.leftOut.Lines(true))
	for _, f := range append(slices.Clone(l.train), l.test...) {
		path, err := filepath.Abs(f.path)
		if err != nil {
			return "", err
		}
		state, err := fileState(path)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%q %q %q %s\n", path, f.path, f.class, state)
	}
	fmt.Fprintln(h, len(l.train))
	return hex.EncodeToString(h.Sum(nil)), nil
}

func cacheFile(key string) (string, error) {
	dir, err := os.UserCacheDir()
	return filepath.Join(dir, "quarterturn", "folders", key), err
}

// readCache returns a data set that was cached, or nil. A cache that cannot be read, or is
// not what was written by its hash, is no cache.
func readCache(key string) *Dataset {
	name, err := cacheFile(key)
	if err != nil {
		return nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil
	}
	h := sha256.New()
	d, r := new(Dataset), bufio.NewReader(io.TeeReader(io.LimitReader(f, info.Size()-sha256.Size), h))
	if gob.NewDecoder(r).Decode(d) != nil {
		return nil
	}
	for _, s := range []*Split{&d.Train, &d.Test} {
		n := s.Len() * d.Height * d.Width * d.Channels
		if n < 0 || int64(n) > info.Size() {
			return nil
		}
		s.Pixels = make([]byte, n)
		if _, err := io.ReadFull(r, s.Pixels); err != nil {
			return nil
		}
	}
	want := make([]byte, sha256.Size)
	if _, err := r.ReadByte(); err != io.EOF {
		return nil
	}
	if _, err := io.ReadFull(f, want); err != nil || !bytes.Equal(h.Sum(nil), want) {
		return nil
	}
	return d
}

// writeCache caches a data set if it can; training does not depend on it. The pixels are behind
// all else, as they are: gob would copy them. The last is the hash of all.
func writeCache(key string, d *Dataset) {
	name, err := cacheFile(key)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(name), 0o755)
	}
	if err != nil {
		return
	}
	rest := *d
	rest.Train.Pixels, rest.Test.Pixels = nil, nil
	_ = atomicfile.WriteWith(name, func(w io.Writer) error {
		h := sha256.New()
		all := io.MultiWriter(w, h)
		err := gob.NewEncoder(all).Encode(&rest)
		for _, pixels := range [][]byte{d.Train.Pixels, d.Test.Pixels} {
			if err == nil {
				_, err = all.Write(pixels)
			}
		}
		if err == nil {
			_, err = w.Write(h.Sum(nil))
		}
		return err
	})
}
