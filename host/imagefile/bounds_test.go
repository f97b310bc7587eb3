package imagefile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	pngpkg "image/png"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/sla"
)

// progressiveBomb writes a progressive grey JPEG with scans that say next to nothing, as
// many as asked for. It has no data for its pixels to speak of.
func progressiveBomb(width, height, scans int) []byte {
	segment := func(marker byte, b ...byte) []byte {
		return append([]byte{0xff, marker, byte((len(b) + 2) >> 8), byte(len(b) + 2)}, b...)
	}
	data := []byte{0xff, 0xd8}
	data = append(data, segment(0xdb, append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)...)...)
	data = append(data, segment(0xc2, 8, byte(height>>8), byte(height), byte(width>>8), byte(width), 1, 1, 0x11, 0)...)
	counts := make([]byte, 16)
	counts[0] = 1
	data = append(data, segment(0xc4, append(append([]byte{0x00}, counts...), 0)...)...)    // DC: 0 is a difference of 0
	data = append(data, segment(0xc4, append(append([]byte{0x10}, counts...), 0xe0)...)...) // AC: 0 ends 2^14 blocks and more
	data = append(data, segment(0xda, 1, 1, 0, 0, 0, 0)...)
	blocks := (width + 7) / 8 * ((height + 7) / 8)
	data = append(data, make([]byte, (blocks+7)/8)...)
	var scan []byte // runs of 32767 blocks without coefficients: a zero, then fourteen ones
	bits, n := 0, 0
	for left := blocks; left > 0; left -= 1<<15 - 1 {
		for bits, n = bits<<15|0x3fff, n+15; n >= 8; n -= 8 {
			if scan = append(scan, byte(bits>>(n-8))); scan[len(scan)-1] == 0xff {
				scan = append(scan, 0)
			}
		}
	}
	scan = append(scan, byte(bits<<(8-n)))
	for range scans - 1 {
		data = append(data, segment(0xda, 1, 1, 0x10, 1, 63, 0)...)
		data = append(data, scan...)
	}
	return append(data, 0xff, 0xd9)
}

// The work of a progressive file is known before it is done.
func TestFieldA22ProgressiveBombsAreRefused(t *testing.T) {
	small := progressiveBomb(64, 64, 500)
	if _, err := Decode(t.Context(), small, Limits{}); err != nil {
		t.Errorf("500 scans of a small picture, which take no time: %v", err)
	}
	for _, c := range []struct{ w, h, scans int }{{4336, 3864, 7000}, {9000, 9000, 200}, {400, 400, 60000}} {
		bomb := progressiveBomb(c.w, c.h, c.scans)
		_, err := Decode(t.Context(), bomb, Limits{MaxPixels: 100_000_000})
		if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), "progressive") {
			t.Errorf("%+v: %v", c, err)
		}
		if _, err := DecodeConfig(bomb, Limits{}); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%+v: the headers: %v", c, err)
		}
	}
}

// The npm package refuses by the same numbers.
func TestScansOfThePackage(t *testing.T) {
	script, err := os.ReadFile("../../www/quarterturn/scans.js")
	if err != nil {
		t.Fatal(err)
	}
	for name, n := range map[string]int{"MOST_SCANS": maxScans, "MOST_PIXELS": Limits{}.withDefaults().MaxPixels} {
		m := regexp.MustCompile(`const ` + name + ` = ([\d_]+);`).FindSubmatch(script)
		if m == nil || strings.ReplaceAll(string(m[1]), "_", "") != strconv.Itoa(n) {
			t.Errorf("%s is %q, and here %d", name, m, n)
		}
	}
}

// Many scans of few pixels are as much work as many pixels.
func TestFieldA22WorkCountsScans(t *testing.T) {
	for scans, least := range map[int]int{1: 1448 * 1448, 16: 1448 * 1448, 1600: 90 * 1448 * 1448} {
		c, err := DecodeConfig(progressiveBomb(1448, 1448, scans), Limits{})
		if err != nil || c.Work < least || c.Work > 2*least {
			t.Errorf("%d scans: work %d, want about %d: %v", scans, c.Work, least, err)
		}
	}
}

// Sizes are looked at before memory is taken for them.
func TestFieldA22PicturesOfTooManyPixels(t *testing.T) {
	for _, name := range []string{"420-37x29.jpg", "exif6.jpg", "rgba.png", "plain.gif", "beyond-screen.gif", "lossy-37x29.webp", "lossless.webp"} {
		data := fixture(t, name)
		c, err := DecodeConfig(data, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		n := c.Width * c.Height
		if _, err := Decode(t.Context(), data, Limits{MaxPixels: n}); err != nil {
			t.Errorf("%s at the limit: %v", name, err)
		}
		if _, err := Decode(t.Context(), data, Limits{MaxPixels: n - 1}); !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), fmt.Sprint(n-1)) {
			t.Errorf("%s above the limit: %v", name, err)
		}
		if _, err := Decode(t.Context(), data, Limits{MaxBytes: int64(len(data)) - 1}); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s above the limit of bytes: %v", name, err)
		}
	}
}

// A side longer than an image to classify may have is seen in the headers, however few the pixels.
func TestFieldA22LongSides(t *testing.T) {
	for _, c := range []struct {
		width, height int
		ok            bool
	}{{sla.MaxSide, 1, true}, {sla.MaxSide + 1, 1, false}, {1, sla.MaxSide, true}, {1, sla.MaxSide + 1, false}} {
		var file bytes.Buffer
		if err := pngpkg.Encode(&file, image.NewGray(image.Rect(0, 0, c.width, c.height))); err != nil {
			t.Fatal(err)
		}
		_, err := DecodeConfig(file.Bytes(), Limits{})
		if c.ok && err != nil || !c.ok && (!errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), fmt.Sprintf("%dx%d", c.width, c.height))) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// A progressive file that was ended behind any but its last scan is refused: libjpeg-turbo smooths what
// it has of the picture, others do not.
func TestFieldProgressiveFilesThatLackScans(t *testing.T) {
	for _, name := range []string{"progressive420.jpg", "grey-progressive.jpg", "restart-rows-progressive.jpg"} {
		data := fixture(t, name)
		scans := 0
		for at := 0; ; {
			n := bytes.Index(data[at+1:], []byte{0xff, sos})
			if n < 0 {
				break
			}
			if at += 1 + n; scans > 0 {
				if _, err := Decode(t.Context(), slices.Concat(data[:at], []byte{0xff, eoi}), Limits{}); !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), "missing") {
					t.Errorf("%s with %d scans: %v", name, scans, err)
				}
			}
			scans++
		}
		if scans < 5 {
			t.Errorf("%s has %d scans", name, scans)
		}
	}
}

// A context that ends stops the decoding.
func TestFieldA22DecodingStopsWithItsContext(t *testing.T) {
	var png bytes.Buffer
	if err := pngpkg.Encode(&png, image.NewGray(image.Rect(0, 0, 4000, 2500))); err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"progressive": progressiveBomb(4000, 2500, 300), "PNG": png.Bytes()} {
		// The context is asked many times on the way; it ends at the fifth.
		ctx := &countdown{Context: t.Context(), left: 5}
		if _, err := Decode(ctx, data, Limits{}); !errors.Is(err, context.Canceled) || ctx.left != 0 {
			t.Errorf("%s: %v, with %d to go", name, err, ctx.left)
		}
	}
	if _, err := ReadFile(&countdown{Context: t.Context()}, "testdata/rgba.png", Limits{}); !errors.Is(err, context.Canceled) {
		t.Errorf("a file: %v", err)
	}
}

// A countdown is a context that is done once it was asked so often.
type countdown struct {
	context.Context
	left int
}

func (c *countdown) Err() error {
	if c.left == 0 {
		return context.Canceled
	}
	c.left--
	return nil
}
