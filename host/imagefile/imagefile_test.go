package imagefile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"hash/crc32"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// pillow is what Pillow makes of the files in testdata; see testdata/make.py.
func pillow(t testing.TB) map[string]struct {
	Width, Height int
	SHA256        string
} {
	t.Helper()
	b, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]struct {
		Width, Height int
		SHA256        string
	}
	if err := json.Unmarshal(b, &expected); err != nil {
		t.Fatal(err)
	}
	return expected
}

// samePixels checks that files have the pixels that Pillow reads, bit for bit.
func samePixels(t *testing.T, least int, patterns ...string) {
	t.Helper()
	n := 0
	for name, want := range pillow(t) {
		if !slices.ContainsFunc(patterns, func(p string) bool { ok, _ := filepath.Match(p, name); return ok }) {
			continue
		}
		n++
		p, err := ReadFile(t.Context(), filepath.Join("testdata", name), Limits{})
		if err != nil {
			t.Error(err)
			continue
		}
		img := p.NRGBA()
		sum := sha256.Sum256(img.Pix)
		if img.Rect.Dx() != want.Width || img.Rect.Dy() != want.Height || hex.EncodeToString(sum[:]) != want.SHA256 {
			t.Errorf("%s: %dx%d, want %dx%d; other pixels", name, img.Rect.Dx(), img.Rect.Dy(), want.Width, want.Height)
		}
		if p.Grey != strings.HasPrefix(name, "grey") && name != "bits1.png" {
			t.Errorf("%s is grey: %v", name, p.Grey)
		}
	}
	if n < least {
		t.Errorf("%d files, want %d or more", n, least)
	}
}

func TestFieldA1Orientation(t *testing.T) { samePixels(t, 18, "exif*") }
func TestFieldA2LossyWebP(t *testing.T)   { samePixels(t, 9, "lossy-*.webp", "black-white.webp") }
func TestFieldB3StraightAlpha(t *testing.T) {
	samePixels(t, 9, "*alpha*", "rgba*", "*key*", "interlaced.png")
}
func TestFieldB3SixteenBits(t *testing.T)          { samePixels(t, 4, "*16.png") }
func TestFieldB4ColoursAreAsStored(t *testing.T)   { samePixels(t, 1, "gamma.png") }
func TestFieldB5JPEG(t *testing.T)                 { samePixels(t, 54, "*.jpg") }
func TestFieldC9FirstFrameOfGIF(t *testing.T)      { samePixels(t, 5, "*.gif") }
func TestFieldFlawsThatArePassedOver(t *testing.T) { samePixels(t, 11, "*flaw*") }
func TestFieldOtherPictures(t *testing.T)          { samePixels(t, 9, "*.png", "lossless*.webp") }

// EXIF that makes no sense turns nothing.
func TestFieldA1OrientationThatMakesNoSense(t *testing.T) {
	good := func(big bool) []byte {
		var order binary.AppendByteOrder = binary.LittleEndian
		b := []byte("II*\x00")
		if big {
			order, b = binary.BigEndian, []byte("MM\x00*")
		}
		b = order.AppendUint16(order.AppendUint32(b, 8), 1)
		b = order.AppendUint16(order.AppendUint16(b, 0x0112), 3)
		return append(order.AppendUint16(order.AppendUint32(b, 1), 6), 0, 0, 0, 0, 0, 0)
	}
	for _, big := range []bool{false, true} {
		whole := good(big)
		if o := exifOrientation(whole); o != 6 {
			t.Errorf("big-endian %v: %d", big, o)
		}
		for n := range 22 {
			if o := exifOrientation(whole[:n]); o != upright {
				t.Errorf("%d bytes of it: %d", n, o)
			}
		}
		for _, c := range []struct {
			at    [2]int // in the two byte orders
			value byte
		}{{[2]int{0, 0}, 'X'}, {[2]int{2, 3}, 9}, {[2]int{4, 7}, 255}, {[2]int{7, 4}, 255}, {[2]int{8, 9}, 0}, {[2]int{12, 13}, 7}, {[2]int{14, 17}, 2}, {[2]int{18, 19}, 0}, {[2]int{18, 19}, 9}, {[2]int{19, 18}, 1}} {
			b, at := slices.Clone(whole), c.at[0]
			if big {
				at = c.at[1]
			}
			b[at] = c.value
			if o := exifOrientation(b); o != upright {
				t.Errorf("big-endian %v, byte %d is %d: %d", big, at, c.value, o)
			}
		}
	}
}

// EXIF counts where decoders look for it: the first, before the picture.
func TestFieldA1OrientationInItsPlace(t *testing.T) {
	plain, turned := fixture(t, "420-37x29.jpg"), fixture(t, "exif6.jpg")
	size := int(binary.BigEndian.Uint16(turned[bytes.Index(turned, []byte("Exif"))-2:]))
	at := bytes.Index(turned, []byte("Exif")) - 4
	six := turned[at : at+2+size]
	one := bytes.Replace(six, []byte{0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 6}, []byte{0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, 3}, 1)
	scan := bytes.Index(plain, []byte{0xff, sos})
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for name, c := range map[string]struct {
		data []byte
		want orientation
	}{
		"at the beginning": {join(plain[:2], six, plain[2:]), 6}, "before the scan": {join(plain[:scan], six, plain[scan:]), 6},
		"after the scan": {join(plain[:len(plain)-2], six, plain[len(plain)-2:]), 1}, "twice": {join(plain[:2], six, one, plain[2:]), 6},
		"another first": {join(plain[:2], one, six, plain[2:]), 3},
	} {
		p, err := Decode(t.Context(), c.data, Limits{})
		if err != nil || p.orientation != c.want {
			t.Errorf("%s: %v, want %d", name, err, c.want)
		}
	}
	chunk := func(name string, content []byte) []byte {
		b := append(binary.BigEndian.AppendUint32(nil, uint32(len(content))), name...)
		b = append(b, content...)
		return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[4:]))
	}
	png := fixture(t, "rgb.png")
	exif, data := chunk("eXIf", six[10:]), bytes.Index(png, []byte("IDAT"))-4
	for name, c := range map[string]struct {
		data []byte
		want orientation
	}{
		"before the data": {join(png[:data], exif, png[data:]), 6}, "after the data": {join(png[:len(png)-12], exif, png[len(png)-12:]), 1},
	} {
		p, err := Decode(t.Context(), c.data, Limits{})
		if err != nil || p.orientation != c.want {
			t.Errorf("PNG, %s: %v, want %d", name, err, c.want)
		}
	}
}

// B6: a photo of 50 megapixels is within the defaults, in bounded memory.
func TestFieldB6PhotosOf50Megapixels(t *testing.T) {
	data := progressiveBomb(8192, 6144, 10)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p, err := Decode(t.Context(), data, Limits{})
	runtime.ReadMemStats(&after)
	if err != nil || p.Bounds().Dx() != 8192 || p.Bounds().Dy() != 6144 {
		t.Fatal(err)
	}
	if bytes := float64(after.TotalAlloc - before.TotalAlloc); bytes > 9*8192*6144 {
		t.Errorf("decoding allocated %.1f bytes a pixel", bytes/(8192*6144))
	}
}

func fixture(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A picture's rows, its pixels one by one, and what other image types hold agree.
func TestRowsOfEveryImageType(t *testing.T) {
	for name := range pillow(t) {
		p, err := ReadFile(t.Context(), filepath.Join("testdata", name), Limits{})
		if err != nil {
			t.Fatal(err)
		}
		n := p.NRGBA()
		for y := range n.Rect.Dy() {
			for x := range n.Rect.Dx() {
				if p.At(x, y) != n.At(x, y) {
					t.Fatalf("%s: At(%d, %d) is %v, in the row it is %v", name, x, y, p.At(x, y), n.At(x, y))
				}
			}
		}
	}
	// Straight samples stay what they are, whatever the alpha.
	r := image.Rect(3, 5, 10, 9)
	want := image.NewNRGBA(r)
	wide, planes, indices := image.NewNRGBA64(r), image.NewNYCbCrA(r, image.YCbCrSubsampleRatio444), image.NewPaletted(r, nil)
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			v := byte(37*x + 71*y)
			c := color.NRGBA{v, v, v, byte(x*y + 1)}
			want.SetNRGBA(x, y, c)
			wide.SetNRGBA64(x, y, color.NRGBA64{uint16(v)<<8 | 255, uint16(v)<<8 | 1, uint16(v) << 8, uint16(c.A)<<8 | 200})
			i := (y-r.Min.Y)*r.Dx() + x - r.Min.X
			planes.Y[i], planes.Cb[i], planes.Cr[i], planes.A[i] = v, 128, 128, c.A
			indices.Palette = append(indices.Palette, c)
			indices.Pix[i] = byte(i)
		}
	}
	for _, img := range []image.Image{want, wide, planes, indices, want.SubImage(r)} {
		got := make([]byte, len(want.Pix))
		Rows(got[:4*r.Dx()], img, r.Min.Y)
		Rows(got[4*r.Dx():], img, r.Min.Y+1)
		if !bytes.Equal(got, want.Pix) {
			t.Errorf("%T: other samples", img)
		}
	}
	opaque := image.NewRGBA(r)
	opaque.Set(4, 6, color.RGBA{9, 8, 7, 255})
	got := make([]byte, 4*r.Dx())
	Rows(got, opaque, 6)
	if !bytes.Equal(got[:8], []byte{0, 0, 0, 0, 9, 8, 7, 255}) {
		t.Errorf("of image.RGBA: %v", got[:8])
	}
}

// What is not read is named, with what to do.
func TestFieldC7FormatsThatAreNotReadAreNamed(t *testing.T) {
	box := func(brands string) string {
		return "\x00\x00\x00" + string(rune(8+len(brands))) + "ftyp" + brands + strings.Repeat("x", 40)
	}
	frame := func(marker byte, depth byte) string {
		return "\xff\xd8\xff" + string([]byte{marker, 0, 11, depth, 0, 8, 0, 8, 1, 1, 0x11, 0})
	}
	for _, c := range []struct {
		data string
		kind error
		says []string
	}{
		{"", ErrNotImage, []string{"empty"}},
		{"hello", ErrNotImage, []string{"not an image of a known kind"}},
		{box("heic\x00\x00\x00\x00mif1heic"), ErrUnsupported, []string{"HEIC", "JPEG"}},
		{box("mif1\x00\x00\x00\x00miafheic"), ErrUnsupported, []string{"HEIC"}},
		{box("mif1\x00\x00\x00\x00mif1avif"), ErrUnsupported, []string{"AVIF", "convert"}},
		{box("avif\x00\x00\x00\x00"), ErrUnsupported, []string{"AVIF"}},
		{box("isom\x00\x00\x00\x00"), ErrNotImage, []string{"video"}},
		{"<?xml version=\"1.0\"?>\n<!-- by hand --><svg xmlns='http://www.w3.org/2000/svg'/>", ErrUnsupported, []string{"SVG", "PNG"}},
		{"\xef\xbb\xbf <svg></svg>", ErrUnsupported, []string{"SVG"}},
		{"<!DOCTYPE html><html><svg>", ErrUnsupported, []string{"SVG"}},
		{"<html><body>404</body></html>", ErrNotImage, []string{"HTML"}},
		{"II*\x00\x08\x00\x00\x00", ErrUnsupported, []string{"TIFF", "convert"}},
		{"MM\x00*\x00\x00\x00\x08", ErrUnsupported, []string{"TIFF"}},
		{"BM" + strings.Repeat("\x01", 60), ErrUnsupported, []string{"BMP"}},
		{"\xff\x0a12345", ErrUnsupported, []string{"JPEG XL"}},
		{"8BPS\x00\x01", ErrUnsupported, []string{"Photoshop"}},
		{"P6\n4 4\n255\n", ErrUnsupported, []string{"PNM"}},
		{"version https://git-lfs.github.com/spec/v1\n", ErrNotImage, []string{"git lfs pull"}},
		{string(make([]byte, 5000)), ErrNotImage, []string{"zeros"}},
		{frame(0xc9, 8), ErrUnsupported, []string{"arithmetic-coded JPEG", "jpegtran"}},
		{frame(0xca, 8), ErrUnsupported, []string{"arithmetic-coded JPEG"}},
		{frame(0xc3, 8), ErrUnsupported, []string{"lossless JPEG"}},
		{frame(0xc1, 12), ErrUnsupported, []string{"JPEG of 12 bits"}},
		{frame(0xc5, 8), ErrUnsupported, []string{"hierarchical JPEG"}},
		{"RIFF\x30\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x02\x00\x00\x00\x07\x00\x00\x07\x00\x00ANIM", ErrUnsupported, []string{"animated WebP", "frame"}},
		{"RIFF\x30\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x00\x00\x00\x00\x07\x00\x00\x07\x00\x00", ErrBroken, []string{"WebP", "no picture"}},
		// Memory for alpha is taken by the canvas, so it must be the picture's.
		{"RIFF\x30\x00\x00\x00WEBPVP8X\x0a\x00\x00\x00\x10\x00\x00\x00\xff\xb4\x00\xff\xb4\x00ALPH\x02\x00\x00\x00\x00\x00VP8 \x0a\x00\x00\x00\x00\x00\x00\x9d\x01\x2a\x08\x00\x08\x00", ErrBroken, []string{"canvas is of 46336x46336", "8x8"}},
		{"GIF89a\x01\x00\x01\x00\x00\x00\x00;", ErrBroken, []string{"GIF", "no frame"}},
		{"\xff\xd8\xff\xd9", ErrBroken, []string{"JPEG"}},
	} {
		_, err := Decode(t.Context(), []byte(c.data), Limits{})
		var e *Error
		if !errors.Is(err, c.kind) || !errors.As(err, &e) || c.kind == ErrUnsupported && e.Format == "" {
			t.Errorf("%.30q: %#v", c.data, err)
			continue
		}
		for _, s := range c.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%.30q: %q does not say %q", c.data, err, s)
			}
		}
		if _, err2 := DecodeConfig([]byte(c.data), Limits{}); c.kind != ErrBroken && (err2 == nil || err2.Error() != err.Error()) {
			t.Errorf("%.30q: the headers say %v, the decoder %v", c.data, err2, err)
		}
	}
}

// Every file that is cut short is refused, wherever the cut is; of GIF, PNG and WebP only
// what follows the picture may be missing.
func TestFieldFilesThatAreCutShort(t *testing.T) {
	for _, name := range []string{"420-37x29.jpg", "progressive420.jpg", "restart.jpg", "rgba.png", "interlaced.png", "plain.gif", "part-of-screen.gif", "lossy-37x29.webp", "lossless.webp", "lossy-alpha0.webp"} {
		data := fixture(t, name)
		whole, err := Decode(t.Context(), data, Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for n := range data {
			p, err := Decode(t.Context(), data[:n], Limits{})
			if err == nil && !bytes.Equal(p.NRGBA().Pix, whole.NRGBA().Pix) {
				t.Errorf("%s: %d of %d bytes are taken for a picture", name, n, len(data))
			}
			if err != nil && !errors.Is(err, ErrBroken) && n > 12 {
				t.Errorf("%s: %d of %d bytes: %v", name, n, len(data), err)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	for name := range pillow(f) {
		f.Add(fixture(f, name))
	}
	f.Add(progressiveBomb(40, 40, 9))
	f.Fuzz(func(t *testing.T, data []byte) {
		const most = 1 << 16
		p, err := Decode(t.Context(), data, Limits{MaxPixels: most})
		c, headers := DecodeConfig(data, Limits{MaxPixels: most})
		if headers != nil && (err == nil || err.Error() != headers.Error()) {
			t.Fatalf("the headers: %v, the picture: %v", headers, err)
		}
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || err.Error() == "" {
				t.Fatalf("an error of another kind: %#v", err)
			}
			return
		}
		n := p.NRGBA()
		if n.Rect.Dx()*n.Rect.Dy() != c.Width*c.Height || len(n.Pix) > 4*most {
			t.Fatalf("%v pixels of %dx%d", n.Rect, c.Width, c.Height)
		}
	})
}

// A PNG is not read without its end, wherever it stops, as in Chromium.
func TestFieldPNGThatIsCutOff(t *testing.T) {
	whole, err := os.ReadFile("testdata/rgb.png")
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(whole, []byte("IDAT")) - 4
	end := bytes.LastIndex(whole, []byte("IEND")) - 4
	content := whole[at+8 : end-4]
	// The same pixels in two chunks.
	half := len(content) / 2
	file := slices.Concat(whole[:at], pngChunk("IDAT", content[:half]), pngChunk("IDAT", content[half:]), whole[end:])
	if _, err := Read(t.Context(), bytes.NewReader(file), Limits{}); err != nil {
		t.Fatal(err)
	}
	for n := range len(file) {
		if _, err := Read(t.Context(), bytes.NewReader(file[:n]), Limits{}); err == nil {
			t.Errorf("%d of %d bytes are read", n, len(file))
		}
	}
}
