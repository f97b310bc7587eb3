package score

import (
	"archive/tar"
	"bytes"
	"compress/flate"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/quarterturn/quarterturn/host"
	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/sla"
)

// An Image is an image file, or one inside an archive.
type Image struct {
	Name         string // the path, or the archive's path and that inside it; any bytes
	File         string
	Offset, Size int64  // of the bytes in an archive; size -1: all of the file
	Deflated     bool   // as zip archives hold most files
	CRC32        uint32 // of what is in them; 0: not known
	Member       int    // of a sparse file: which header of the tar archive at Offset is its, from 1; Size is unused
	Wrong        string // why there is nothing to read; empty: there is
}

// open opens the bytes of an image, which a store has if its file is an address.
func (i *Image) open(ctx context.Context, store Store) (io.ReadCloser, error) {
	if Remote(i.File) {
		r, err := store.Open(ctx, i.File)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %w", errStore, err)
		}
		return r, err
	}
	f, err := os.Open(i.File)
	if err != nil || i.Size < 0 {
		return f, err
	}
	var r io.Reader = io.NewSectionReader(f, i.Offset, i.Size)
	switch {
	case i.Member > 0:
		if _, err = f.Seek(i.Offset, io.SeekStart); err != nil {
			return nil, errors.Join(err, f.Close())
		}
		t := tar.NewReader(f)
		for range i.Member {
			if _, err = t.Next(); err != nil {
				return nil, errors.Join(err, f.Close())
			}
		}
		r = t
	case i.Deflated:
		r = flate.NewReader(r)
	}
	if i.CRC32 != 0 {
		r = check(r, i.CRC32)
	}
	return struct {
		io.Reader
		io.Closer
	}{r, f}, nil
}

// Classify returns the line of an image: the prediction, or that it is bad and why. An
// error is not the image's fault. The store is that of List.
func (i *Image) Classify(ctx context.Context, store Store, c *host.Classifier, opts ...host.CallOption) (line []byte, bad bool, err error) {
	p, err := i.predict(ctx, store, c, opts)
	if ctx.Err() != nil {
		return nil, false, ctx.Err()
	}
	if errors.Is(err, host.ErrEngine) || errors.Is(err, host.ErrClosed) || errors.Is(err, sla.ErrMode) || errors.Is(err, errStore) {
		return nil, false, err
	}
	if err == nil {
		err = sla.CheckFinite(p.Logits) // numbers that JSON lacks
	}
	if err == nil {
		line, err = encode(LineOf(i.Name, p))
		return line, false, err
	}
	line, err = encode(failure{nameOf(i.Name), err.Error()})
	return line, true, err
}

func (i *Image) predict(ctx context.Context, store Store, c *host.Classifier, opts []host.CallOption) (*host.Prediction, error) {
	if i.Wrong != "" {
		return nil, errors.New(i.Wrong)
	}
	f, err := i.open(ctx, store)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	r := &failing{r: f}
	img, err := imagefile.Read(ctx, r, imagefile.Limits{})
	if r.err != nil && Remote(i.File) {
		return nil, fmt.Errorf("%w: %s: %w", errStore, i.File, r.err)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", i.Name, err)
	}
	return c.Classify(ctx, img, opts...)
}

// A Name is how a line names its image. Names of files may be any bytes, those of JSON are
// Unicode: where that does not tell a name, its bytes are added in base64.
type Name struct {
	Image string `json:"image"`
	Bytes string `json:"image_base64,omitempty"`
}

func nameOf(name string) Name {
	n := Name{Image: name}
	if !utf8.ValidString(name) || strings.ContainsRune(name, utf8.RuneError) {
		n.Bytes = base64.StdEncoding.EncodeToString([]byte(name))
	}
	return n
}

// A Line is what is written of an image that was classified.
type Line struct {
	Name
	Mode   string            `json:"mode"`
	Passes int               `json:"passes"`
	Top    []host.ClassScore `json:"top"`
	Digest string            `json:"digest"`
}

// LineOf makes a Line of a prediction.
func LineOf(name string, p *host.Prediction) Line {
	return Line{Name: nameOf(name), Mode: p.Mode.String(), Passes: p.Passes, Top: p.Top, Digest: p.Digest()}
}

// A failure is the line of an image that could not be classified.
type failure struct {
	Name
	Error string `json:"error"`
}

// A Scored is a line of either kind, as one reads it: Error is empty if the image was
// classified.
type Scored struct {
	Line
	Error string `json:"error"`
}

// beginning returns what the line of an image begins with, up to and with the comma behind
// its name. Lines are sorted, and known again, by it.
func beginning(name string) ([]byte, error) {
	line, err := encode(nameOf(name))
	return append(bytes.TrimSuffix(line, []byte("}\n")), ','), err
}

// encode writes a line.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return b.Bytes(), err
}
