package imagefile

import (
	"bytes"
	"context"
	"fmt"
)

// A codec reads a format.
type codec struct {
	format string
	// size reads from the headers what they say, but for the format.
	size func(data []byte, l Limits) (Config, error)
	// decode fills p, whose size is known to be within the limits.
	decode func(ctx context.Context, data []byte, p *Picture) error
}

// sniff tells a file's format by its content. For a format that is not read the error says
// which one it is and what to do.
func sniff(data []byte) (*codec, error) {
	starts := func(s string) bool { return bytes.HasPrefix(data, []byte(s)) }
	switch {
	case len(data) == 0:
		return nil, &Error{Kind: ErrNotImage, Detail: "the file is empty"}
	case starts("\x89PNG\r\n\x1a\n"):
		return &codec{"PNG", sizeOfPNG, decodePNG}, nil
	case starts("\xff\xd8"):
		return &codec{"JPEG", sizeOfJPEG, decodeJPEG}, nil
	case starts("GIF87a"), starts("GIF89a"):
		return &codec{"GIF", sizeOfGIF, decodeGIF}, nil
	case starts("RIFF") && len(data) >= 12 && string(data[8:12]) == "WEBP":
		return &codec{"WebP", sizeOfWebP, decodeWebP}, nil
	}
	if format, advice := foreign(data); format != "" {
		return nil, &Error{Kind: ErrUnsupported, Format: format,
			Detail: fmt.Sprintf("%s is not read here; %s", format, advice)}
	}
	if what := notImage(data); what != "" {
		return nil, &Error{Kind: ErrNotImage, Detail: "this is " + what + ", not an image"}
	}
	return nil, &Error{Kind: ErrNotImage, Detail: "not an image of a known kind; PNG, JPEG, GIF and WebP are read"}
}

const convert = "convert it to JPEG or PNG"

// foreign names a format of pictures that is not read, and what to do.
func foreign(data []byte) (format, advice string) {
	if brand := isoBrand(data); brand != "" {
		switch brand {
		case "heic", "heix", "heim", "heis", "hevc", "hevx", "mif1", "msf1":
			return "HEIC", convert + " (iPhones take JPEG with Settings, Camera, Formats, Most Compatible)"
		case "avif", "avis":
			return "AVIF", convert
		case "jp2 ", "jpx ":
			return "JPEG 2000", convert
		case "crx ":
			return "a Canon raw photo", "export it as JPEG"
		}
	}
	for _, f := range []struct{ format, magic, advice string }{
		{"TIFF", "II*\x00", convert}, {"TIFF", "MM\x00*", convert}, {"TIFF", "II+\x00", convert}, {"TIFF", "MM\x00+", convert},
		{"BMP", "BM", convert},
		{"JPEG XL", "\xff\x0a", convert}, {"JPEG XL", "\x00\x00\x00\x0cJXL ", convert},
		{"JPEG 2000", "\x00\x00\x00\x0cjP  ", convert}, {"JPEG 2000", "\xff\x4f\xff\x51", convert},
		{"a Photoshop document", "8BPS", "export it as PNG"},
		{"ICO", "\x00\x00\x01\x00", convert},
		{"OpenEXR", "v/1\x01", convert}, {"QOI", "qoif", convert}, {"JPEG XR", "II\xbc\x01", convert},
		{"MNG", "\x8aMNG", convert},
	} {
		if bytes.HasPrefix(data, []byte(f.magic)) && (f.format != "BMP" || len(data) >= 26) {
			return f.format, f.advice
		}
	}
	if len(data) > 2 && data[0] == 'P' && data[1] >= '1' && data[1] <= '7' && (data[2] == '\n' || data[2] == ' ' || data[2] == '\r') {
		return "PNM", convert
	}
	if isSVG(data) {
		return "SVG", "it is a drawing without pixels of its own; render it to PNG at the size you want"
	}
	return "", ""
}

// isoBrand returns the brand of an ISO base media file that says most about what is in
// it: HEIC and AVIF files share the brand mif1, and name the codec in a compatible one.
func isoBrand(data []byte) string {
	if len(data) < 16 || string(data[4:8]) != "ftyp" {
		return ""
	}
	size := int(data[0])<<24 | int(data[1])<<16 | int(data[2])<<8 | int(data[3])
	size = min(size, len(data), 4096)
	brands := []string{string(data[8:12])}
	for i := 16; i+4 <= size; i += 4 {
		brands = append(brands, string(data[i:i+4]))
	}
	for _, b := range brands {
		if b == "avif" || b == "avis" {
			return b
		}
	}
	return brands[0]
}

// isSVG looks for the root element of an SVG drawing near a file's start.
func isSVG(data []byte) bool {
	head := bytes.TrimLeft(bytes.TrimPrefix(data[:min(len(data), 4096)], []byte("\xef\xbb\xbf")), " \t\r\n")
	return bytes.HasPrefix(head, []byte("<")) && bytes.Contains(bytes.ToLower(head), []byte("<svg"))
}

// notImage names what commonly lies where an image should be.
func notImage(data []byte) string {
	head := bytes.ToLower(bytes.TrimLeft(data[:min(len(data), 512)], " \t\r\n\xef\xbb\xbf"))
	switch {
	case bytes.HasPrefix(head, []byte("<!doctype html")), bytes.HasPrefix(head, []byte("<html")):
		return "an HTML page"
	case bytes.HasPrefix(head, []byte("version https://git-lfs")):
		return "a pointer of Git LFS (run git lfs pull)"
	case bytes.HasPrefix(head, []byte("%pdf")):
		return "a PDF document"
	case bytes.HasPrefix(head, []byte("pk\x03\x04")):
		return "a ZIP archive"
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		return "a gzip file"
	case len(data) >= 12 && string(data[4:8]) == "ftyp", bytes.HasPrefix(data, []byte("\x1a\x45\xdf\xa3")):
		return "a video"
	case bytes.Count(data[:min(len(data), 512)], []byte{0}) == min(len(data), 512):
		return "a file of zeros, perhaps of a download or a copy that was cut off"
	}
	return ""
}
