package imagefile

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/quarterturn/quarterturn/sla"
)

// Limits bound what is read; a field that is zero stands for its default.
type Limits struct {
	MaxBytes  int64 // of a file; default 512 MiB
	MaxPixels int   // width times height; default 100 million
}

// Formats names what Decode reads, for messages.
const Formats = "PNG, JPEG, GIF or WebP"

// maxScans is about how many scans a JPEG file of the most pixels may have, counted once
// for each colour component that they refine; smaller pictures may have more of them.
// Encoders write progressive files of about 10 scans, which count usualScans.
const maxScans, usualScans = 64, 16

func (l Limits) withDefaults() Limits {
	if l.MaxBytes == 0 {
		l.MaxBytes = 512 << 20
	}
	if l.MaxPixels == 0 {
		l.MaxPixels = 100_000_000
	}
	return l
}

// Known reports whether a file's name ends as those of images that Decode reads do.
func Known(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".webp":
		return true
	}
	return false
}

// Foreign reports whether a file's name ends as those of images do that Decode does not
// read, such as photo.heic.
func Foreign(name string) bool {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".heic", ".heif", ".avif", ".svg", ".tif", ".tiff", ".bmp", ".dib", ".ico", ".jxl", ".jp2", ".j2k", ".jpx",
		".psd", ".pbm", ".pgm", ".ppm", ".pnm", ".tga", ".exr", ".hdr", ".qoi", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf":
		return true
	}
	return false
}

// ReadFile decodes an image file; its errors name it. Only regular files are read: a
// pipe might never end.
func ReadFile(ctx context.Context, name string, l Limits) (*Picture, error) {
	data, err := ReadBytes(ctx, name, l)
	if err != nil {
		return nil, err
	}
	p, err := Decode(ctx, data, l)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// ReadBytes reads a file as ReadFile does, without decoding it.
func ReadBytes(ctx context.Context, name string, l Limits) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a folder, not an image file", name)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a regular file", name)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := l.read(ctx, f)
	var e *Error
	if errors.As(err, &e) {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return data, err
}

// Read decodes an image from a reader, which is read to its end.
func Read(ctx context.Context, r io.Reader, l Limits) (*Picture, error) {
	data, err := l.read(ctx, r)
	if err != nil {
		return nil, err
	}
	return Decode(ctx, data, l)
}

// read reads no more than may be decoded.
func (l Limits) read(ctx context.Context, r io.Reader) ([]byte, error) {
	l = l.withDefaults()
	data, err := io.ReadAll(io.LimitReader(&cancelled{ctx, r}, l.MaxBytes+1))
	if err == nil && int64(len(data)) > l.MaxBytes {
		err = l.tooManyBytes()
	}
	return data, err
}

func (l Limits) tooManyBytes() error {
	return &Error{Kind: ErrTooLarge, Detail: fmt.Sprintf("the image file has more than %d bytes", l.MaxBytes)}
}

// A Config is what the headers of an image file say.
type Config struct {
	Format        string // "PNG", "JPEG", "GIF" or "WebP"
	Width, Height int    // as stored, before orientation
	Work          int    // about what decoding takes, in pixels: more of them than there are if a progressive JPEG file refines them often
}

// DecodeConfig reads the headers of an image file. It returns the errors that Decode
// returns before it decodes: a file that is not an image, of a kind that is not read, or
// beyond the limits.
func DecodeConfig(data []byte, l Limits) (Config, error) {
	l = l.withDefaults()
	c, _, err := decodeConfig(data, l)
	return c, err
}

func decodeConfig(data []byte, l Limits) (Config, *codec, error) {
	if int64(len(data)) > l.MaxBytes {
		return Config{}, nil, l.tooManyBytes()
	}
	codec, err := sniff(data)
	if err != nil {
		return Config{}, nil, err
	}
	c, err := codec.size(data, l)
	c.Format, c.Work = codec.format, max(c.Work, c.Width*c.Height)
	if err == nil {
		err = l.checkSize(c)
	}
	return c, codec, err
}

// Decode decodes the bytes of an image file. Errors are of type *Error, or the context's.
func Decode(ctx context.Context, data []byte, l Limits) (*Picture, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	c, codec, err := decodeConfig(data, l.withDefaults())
	if err != nil {
		return nil, err
	}
	p := &Picture{Format: c.Format, width: c.Width, height: c.Height, orientation: upright}
	err = codec.decode(ctx, data, p)
	var e *Error
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err == nil:
		return p, nil
	case errors.As(err, &e):
		return nil, e
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, &Error{Kind: ErrBroken, Format: c.Format, Detail: "it ends too early", Err: err}
	}
	return nil, &Error{Kind: ErrBroken, Format: c.Format, Err: err}
}

// checkSize refuses a picture of too many pixels, or of none.
func (l Limits) checkSize(c Config) error {
	switch {
	case c.Width < 1 || c.Height < 1:
		return broken(c.Format, fmt.Sprintf("its size is %dx%d", c.Width, c.Height))
	case c.Width > sla.MaxSide || c.Height > sla.MaxSide:
		return &Error{Kind: ErrTooLarge, Format: c.Format, Detail: fmt.Sprintf("the image has %dx%d pixels, and a side may have %d", c.Width, c.Height, sla.MaxSide)}
	case c.Width > l.MaxPixels/c.Height: // so that their product would be more
		return &Error{Kind: ErrTooLarge, Format: c.Format,
			Detail: fmt.Sprintf("the image has %dx%d pixels, more than the limit of %d", c.Width, c.Height, l.MaxPixels)}
	}
	return nil
}

// standard decodes with a decoder in the standard library's manner, which the context
// stops whenever it asks for more bytes. A decoder that panics has met a broken file: one
// picture is not to end a service.
func standard(ctx context.Context, r io.Reader, decode func(io.Reader) (image.Image, error)) (img image.Image, err error) {
	defer func() {
		if r := recover(); r != nil {
			img, err = nil, fmt.Errorf("the decoder failed: %v", r)
		}
	}()
	return decode(&cancelled{ctx, r})
}

// cancelled is a reader that fails once a context is done.
type cancelled struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancelled) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}
