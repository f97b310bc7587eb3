package host

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"image"
	"image/jpeg"
	"io"
	"mime/multipart"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// form is multipart/form-data of some files.
func form(t *testing.T, files ...[]byte) (kind string, body []byte) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i, f := range files {
		part, err := w.CreateFormFile(fmt.Sprint("file", i), fmt.Sprint(i, ".png"))
		if err != nil {
			t.Fatal(err)
		}
		part.Write(f)
	}
	w.Close()
	return w.FormDataContentType(), b.Bytes()
}

// C47: the ways in which people send pictures, and words for the rest.
func TestFieldC47(t *testing.T) {
	c := newClient(t, NewService(open(t, tinySlab(t, 3)), WithMaxBatch(4)))
	files := [][]byte{pngOf(t, noise(1, 9, 9)[0]), pngOf(t, noise(2, 30, 20)[1])}
	var want []reply
	for _, f := range files {
		status, v := c.classify("?mode=aggregated", f)
		if status != http.StatusOK {
			t.Fatal(status, v)
		}
		want = append(want, v)
	}
	inBase64 := func(b []byte) string { return base64.StdEncoding.EncodeToString(b) }
	kind, body := form(t, files[0])
	if status, got := c.do("POST", "/v1/classify?mode=aggregated", kind, bytes.NewReader(body)); status != http.StatusOK || got.Digest != want[0].Digest {
		t.Errorf("a form: %d %+v", status, got)
	}
	if status, got := c.do("POST", "/v1/classify?mode=aggregated", "application/json", strings.NewReader(`{"image":"`+inBase64(files[1])+`"}`)); status != http.StatusOK || got.Digest != want[1].Digest {
		t.Errorf("JSON: %d %+v", status, got)
	}
	escaped := strings.ReplaceAll(inBase64(files[1]), "/", `\/`) // as PHP writes it
	if status, got := c.do("POST", "/v1/classify?mode=aggregated", "application/json", strings.NewReader(" {\n\"image\" : \""+escaped+"\"}\n")); status != http.StatusOK || got.Digest != want[1].Digest {
		t.Errorf("JSON with escapes: %d %+v", status, got)
	}
	kind, body = form(t, files[0], []byte("no image"), files[1])
	batch := fmt.Sprintf(`{"images":["%s","%s","%s"]}`, inBase64(files[0]), inBase64([]byte("no image")), inBase64(files[1]))
	for kind, body := range map[string]string{kind: string(body), "application/json": batch} {
		status, got := c.do("POST", "/v1/batch?mode=aggregated", kind, strings.NewReader(body))
		if status != http.StatusOK || len(got.Predictions) != 3 || got.Predictions[0].Digest != want[0].Digest ||
			got.Predictions[1].Error.Code != "image" || got.Predictions[2].Digest != want[1].Digest {
			t.Errorf("a batch as %s: %d %+v", kind, status, got)
		}
	}
	two, twoBody := form(t, files...)
	five, fiveBody := form(t, files[0], files[0], files[0], files[0], files[0])
	for _, x := range []struct {
		path, kind, body string
		status           int
		code, says       string
	}{
		{"classify", two, string(twoBody), 400, "body", "more than 1 file"},
		{"batch", five, string(fiveBody), 400, "body", "more than 4 files"},
		{"classify", two, string(twoBody[:len(twoBody)-30]), 400, "body", "form"},
		{"classify", "multipart/form-data", string(twoBody), 415, "type", "boundary"},
		{"classify", "multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"mode\"\r\n\r\nsingle\r\n--x--\r\n", 400, "body", `"mode"`},
		{"classify", "multipart/form-data; boundary=x", "--x--\r\n", 400, "body", "no file"},
		{"classify", "application/json", `{"image":"data:image/png;base64,AAAA"}`, 400, "body", "data URL"},
		{"classify", "application/json", `{"image":"!"}`, 400, "body", "base64"},
		{"classify", "application/json", `{"images":["AAAA"]}`, 400, "body", "/v1/batch"},
		{"classify", "application/json", `{"image":"AAAA","mode":"single"}`, 400, "body", `"mode"`},
		{"classify", "application/json", `{"image":"AAAA"} {}`, 400, "body", "after top-level value"},
		{"classify", "application/json", `{"image":"AAAA"}}garbage`, 400, "body", "after top-level value"},
		{"classify", "application/json", `{"image":"AAAA"}]`, 400, "body", "after top-level value"},
		{"classify", "application/json", `{"image":` + strings.Repeat("[", 20) + strings.Repeat("]", 20) + `}`, 400, "body", "base64"},
		{"classify", "application/json", `{"image":"AAAA","image":"AAAA"}`, 400, "body", `"image" twice`},
		{"classify", "application/json", `{"image":"AAAA","IMAGE":"AAAA"}`, 400, "body", `"image" twice`},
		{"batch", "application/json", `{"images":["AAAA"],"im\u0061ges":["AAAA"]}`, 400, "body", `"images" twice`},
		{"batch", "application/json", `{"images":"AAAA"}`, 400, "body", "images"},
		{"classify", "application/json", `{`, 400, "body", "JSON"},
		{"classify", "application/json", "\xff\xfe{\x00}\x00", 400, "body", "UTF-16"},
		{"batch", "application/json", `{"images":[]}`, 400, "body", "images"},
		{"batch", "application/json", `{"images":["","","","",""]}`, 400, "body", "more than 4"},
		{"batch", "image/png", string(files[0]), 415, "type", "several images"},
		{"classify", "text/html", "x", 415, "type", "text/html"},
		{"classify", ";", "x", 415, "type", "Content-Type"},
	} {
		if status, got := c.do("POST", "/v1/"+x.path, x.kind, strings.NewReader(x.body)); status != x.status || got.Error.Code != x.code || !strings.Contains(got.Error.Message, x.says) {
			t.Errorf("%s, %s, %.60q: %d %+v", x.path, x.kind, x.body, status, got)
		}
	}
	// In a batch what is no file in base64 fails alone.
	mixed := fmt.Sprintf(`{"images":["@@@","%s",3,null]}`, inBase64(files[0]))
	status, got := c.do("POST", "/v1/batch?mode=aggregated", "application/json", strings.NewReader(mixed))
	if status != http.StatusOK || len(got.Predictions) != 4 || got.Predictions[1].Digest != want[0].Digest {
		t.Fatalf("a mixed batch: %d %+v", status, got)
	}
	for _, i := range []int{0, 2, 3} {
		if e := got.Predictions[i].Error; e.Code != "body" || !strings.Contains(e.Message, "base64") {
			t.Errorf("image %d of a mixed batch: %+v", i, e)
		}
	}
	r, err := http.NewRequest("POST", c.server.URL+"/v1/classify", bytes.NewReader(files[0]))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Encoding", "gzip")
	answer, err := http.DefaultClient.Do(r)
	if err != nil || answer.StatusCode != http.StatusUnsupportedMediaType {
		t.Errorf("a gzip body: %v %v", answer, err)
	}
}

// A batch may be answered by the deadline only as a whole, and its images run side by
// side with those of others.
func TestServiceBatchesSideBySide(t *testing.T) {
	c := newClient(t, NewService(open(t, tinySlab(t, 3), WithPoolSize(2)), WithTimeout(time.Minute)))
	var files [][]byte
	for i := range 20 {
		files = append(files, pngOf(t, noise(uint64(i), 20, 20)[0]))
	}
	kind, body := form(t, files...)
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			status, got := c.do("POST", "/v1/batch", kind, bytes.NewReader(body))
			if status != http.StatusOK || len(got.Predictions) != len(files) {
				t.Errorf("%d %+v", status, got)
				return
			}
			for i, p := range got.Predictions {
				if _, alone := c.classify("", files[i]); alone.Digest != p.Digest || alone.Digest == "" {
					t.Errorf("image %d: %s, alone %s", i, p.Digest, alone.Digest)
				}
			}
		})
	}
	wait.Wait()
}

// scanBomb is a progressive JPEG of one colour with many scans that each cost a walk over
// all of its blocks.
func scanBomb(width, height, scans int) []byte {
	var b bytes.Buffer
	segment := func(marker byte, data ...byte) {
		b.Write([]byte{0xff, marker, byte((len(data) + 2) >> 8), byte(len(data) + 2)})
		b.Write(data)
	}
	b.Write([]byte{0xff, 0xd8})
	segment(0xdb, append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)...)
	segment(0xc2, 8, byte(height>>8), byte(height), byte(width>>8), byte(width), 1, 1, 0x11, 0)
	lengths := func(n ...byte) []byte { return append(n, make([]byte, 16-len(n))...) }
	segment(0xc4, append(append([]byte{0x00}, lengths(1)...), 0)...)             // DC: 0 is "the same as before"
	segment(0xc4, append(append([]byte{0x10}, lengths(1, 1)...), 0xe0, 0x00)...) // AC: 0 is a run of 16384 and more empty blocks
	blocks := ((width + 7) / 8) * ((height + 7) / 8)
	segment(0xda, 1, 1, 0, 0, 0, 0)
	b.Write(make([]byte, (blocks+7)/8))
	var bits []bool
	for left := blocks; left > 0; {
		run := min(left, 32767)
		if run < 16384 {
			bits = append(bits, true, false)
			left--
			continue
		}
		bits = append(bits, false)
		for i := 13; i >= 0; i-- {
			bits = append(bits, (run-16384)>>i&1 == 1)
		}
		left -= run
	}
	for len(bits)%8 != 0 {
		bits = append(bits, true)
	}
	for range scans {
		segment(0xda, 1, 1, 0x10, 1, 63, 0)
		for i := 0; i < len(bits); i += 8 {
			var v byte
			for _, bit := range bits[i : i+8] {
				v <<= 1
				if bit {
					v |= 1
				}
			}
			b.WriteByte(v)
			if v == 0xff {
				b.WriteByte(0)
			}
		}
	}
	b.Write([]byte{0xff, 0xd9})
	return b.Bytes()
}

// A22: JPEG files of thousands of scans are refused before they are decoded, and
// whoever asks beside them is answered.
func TestFieldA22ScanBombs(t *testing.T) {
	c := newClient(t, NewService(open(t, tinySlab(t, 1), WithPoolSize(2)), WithTimeout(20*time.Second)))
	bomb := scanBomb(4336, 3872, 7000)
	good := pngOf(t, noise(1, 8, 8)[1])
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			if status, got := c.classify("", bomb); status != http.StatusRequestEntityTooLarge || !strings.Contains(got.Error.Message, "7001 times") {
				t.Errorf("a bomb: %d %+v", status, got)
			}
		})
		if status, got := c.classify("", good); status != http.StatusOK {
			t.Errorf("beside it: %d %+v", status, got)
		}
	}
	wait.Wait()
	if status, got := c.classify("", scanBomb(160, 120, 9)); status != http.StatusOK {
		t.Errorf("ten scans are not a bomb: %d %+v", status, got)
	}
}

// B6: a photo of 50 megapixels is classified with the defaults.
func TestFieldB6Photos(t *testing.T) {
	if testing.Short() {
		t.Skip("decodes 50 megapixels")
	}
	img := image.NewYCbCr(image.Rect(0, 0, 8192, 6144), image.YCbCrSubsampleRatio420)
	for i := range img.Y {
		img.Y[i] = byte(i % 8192 / 64 * (i / 8192 / 64))
	}
	photo := encoded(t, func(w io.Writer) error { return jpeg.Encode(w, img, nil) })
	c := newClient(t, NewService(open(t, tinySlab(t, 3)), WithTimeout(2*time.Minute)))
	var wait sync.WaitGroup
	for range 2 { // one after the other
		wait.Go(func() {
			if status, got := c.classify("", photo); status != http.StatusOK || got.Digest == "" {
				t.Errorf("%d %+v", status, got)
			}
		})
	}
	wait.Wait()
	if status, got := c.classify("", bomb(t, 8192, 8192)); status != http.StatusRequestEntityTooLarge || !strings.Contains(got.Error.Message, "8192x8192") {
		t.Errorf("67 megapixels: %d %+v", status, got)
	}
}
