package score

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/quarterturn/quarterturn/host"
	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/sla"
)

// An Image is an image file, or one inside a tar file.
type Image struct {
	Name         string // the path, or the tar file's path and that inside it
	File         string
	Offset, Size int64 // in a tar file; size -1: all of the file
}

// Open is the Opener of local files.
func Open(_ context.Context, i *Image) (io.ReadSeekCloser, error) {
	f, err := os.Open(i.File)
	if err != nil || i.Size < 0 {
		return f, err
	}
	return struct {
		io.ReadSeeker
		io.Closer
	}{io.NewSectionReader(f, i.Offset, i.Size), f}, nil
}

// An Opener gives the bytes of an image.
type Opener func(ctx context.Context, i *Image) (io.ReadSeekCloser, error)

// Classify gives the line of an image: the prediction, or that it is bad and why. An
// error is not the image's fault.
func (i *Image) Classify(ctx context.Context, open Opener, c *host.Classifier, opts ...host.CallOption) (line []byte, bad bool, err error) {
	p, err := i.predict(ctx, open, c, opts)
	if ctx.Err() != nil {
		return nil, false, ctx.Err()
	}
	if errors.Is(err, host.ErrEngine) || errors.Is(err, host.ErrClosed) || errors.Is(err, sla.ErrMode) {
		return nil, false, err
	}
	var v any = failure{i.Name, fmt.Sprint(err)}
	if err == nil {
		v = LineOf(i.Name, p)
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	bad, err = err != nil, e.Encode(v)
	return b.Bytes(), bad, err
}

func (i *Image) predict(ctx context.Context, open Opener, c *host.Classifier, opts []host.CallOption) (*host.Prediction, error) {
	f, err := open(ctx, i)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	img, err := imagefile.Read(ctx, f, imagefile.Limits{})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", i.Name, err)
	}
	return c.Classify(ctx, img, opts...)
}

// A Line is what is written of an image that was classified.
type Line struct {
	Image  string            `json:"image"`
	Mode   string            `json:"mode"`
	Passes int               `json:"passes"`
	Top    []host.ClassScore `json:"top"`
	Digest string            `json:"digest"`
}

// LineOf makes a Line of a prediction.
func LineOf(name string, p *host.Prediction) Line {
	return Line{Image: name, Mode: p.Mode.String(), Passes: p.Passes, Top: p.Top, Digest: p.Digest()}
}

// A failure is the line of an image that could not be classified.
type failure struct {
	Image string `json:"image"`
	Error string `json:"error"`
}
