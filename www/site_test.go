package www

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/wasm/module"
)

// modelForTest is the slab that comes with the program, ready to run.
func modelForTest(t *testing.T) (*format.Model, *sla.Classifier) {
	t.Helper()
	m, err := format.Decode(Model)
	if err != nil {
		t.Fatal(err)
	}
	c, err := sla.New(m)
	if err != nil {
		t.Fatal(err)
	}
	return m, c
}

// The slab that comes with the program computes the bits it was sealed with, and its
// card is about that slab.
func TestModelAndItsCard(t *testing.T) {
	m, c := modelForTest(t)
	if err := c.SelfTest(); err != nil {
		t.Error(err)
	}
	card, err := os.ReadFile("models/README.md")
	if err != nil {
		t.Fatal(err)
	}
	slab, err := os.ReadFile("models/cifar10.slab")
	if err != nil {
		t.Fatal(err)
	}
	wanted := []string{fmt.Sprintf("%x", sha256.Sum256(slab)), format.Hex(m.Hash[:]), m.Provenance.Data, m.Provenance.Net, fmt.Sprintf("seed %d", m.Provenance.Seed)}
	for _, x := range m.Metrics {
		wanted = append(wanted, fmt.Sprintf("| %s | %d | %.2f |", x.Mode, m.Passes(x.Mode), 100*x.Accuracy))
	}
	for _, w := range wanted {
		if !strings.Contains(string(card), w) {
			t.Errorf("the card does not say %q", w)
		}
	}
}

// A drawing of each class comes with the slab, which takes it for what it is.
func TestModelSamples(t *testing.T) {
	m, c := modelForTest(t)
	samples := ModelSamples()
	if len(samples) != len(m.Labels) {
		t.Fatalf("%d samples of %d classes", len(samples), len(m.Labels))
	}
	for i, s := range samples {
		img, err := png.Decode(bytes.NewReader(s.Image))
		if err != nil {
			t.Fatal(err)
		}
		pixels := image.NewNRGBA(img.Bounds())
		draw.Draw(pixels, pixels.Rect, img, image.Point{}, draw.Src)
		if err := errors.Join(c.Begin(pixels.Rect.Dx(), pixels.Rect.Dy()), c.Rows(pixels.Pix)); err != nil {
			t.Fatal(err)
		}
		r, err := c.Run(sla.Auto)
		if err != nil {
			t.Fatal(err)
		}
		if answer := m.Labels[slices.Index(r.Logits, slices.Max(r.Logits))]; s.Label != m.Labels[i] || answer != s.Label {
			t.Errorf("sample %d, %s, is taken for %s", i, s.Label, answer)
		}
	}
}

// The page serves under any path, and its service worker keeps all of it.
func TestSite(t *testing.T) {
	files, err := Site([]Shown{{Slab: Model, Samples: []Sample{{Image: []byte("png"), Label: "cat"}}}})
	if err != nil {
		t.Fatal(err)
	}
	var build struct{ Files []string }
	line, _, _ := strings.Cut(strings.TrimPrefix(string(files["offline.js"]), "const BUILD = "), ";\n")
	if err := json.Unmarshal([]byte(line), &build); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"index.html", "page.js", "quarterturn/quarterturn.js", "quarterturn/quarterturn.wasm", "quarterturn/quarterturn-simd.wasm", "models.json", "model.slab", "samples/1-1.png"} {
		if _, ok := files[name]; !ok || !slices.Contains(build.Files, name) {
			t.Errorf("%s is missing", name)
		}
	}
	for _, name := range build.Files {
		if _, ok := files[name]; !ok {
			t.Errorf("the service worker asks for %s, which is not there", name)
		}
	}
	other, err := Site([]Shown{{Slab: Model}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := Site([]Shown{{Slab: Model, Title: "Cats & <dogs>"}}); err != nil || bytes.Count(got["index.html"], []byte("Cats &amp; &lt;dogs&gt;")) != 3 {
		t.Errorf("the title is not in its three places: %v", err)
	}
	// Where nothing is to be chosen, or to be tried, the page knows it from the start.
	for what, in := range map[string][2]bool{`<label id="chooser" hidden>`: {true, true}, `class="samples none"`: {false, true}, `id="views-part" hidden`: {false, true}} {
		for i, site := range []map[string][]byte{files, other} {
			if bytes.Contains(site["index.html"], []byte(what)) != in[i] {
				t.Errorf("index.html %d: %s is there: %v", i, what, !in[i])
			}
		}
	}
	if bytes.Equal(files["offline.js"], other["offline.js"]) {
		t.Error("two builds have the same service worker")
	}
}

func TestHandler(t *testing.T) {
	h, err := Handler([]Shown{{Slab: Model}})
	if err != nil {
		t.Fatal(err)
	}
	get := func(method, path, encoding, tag string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, path, nil)
		r.Header.Set("Accept-Encoding", encoding)
		r.Header.Set("If-None-Match", tag)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	w := get("GET", "/quarterturn/quarterturn.wasm", "", "")
	if w.Code != 200 || !bytes.Equal(w.Body.Bytes(), module.WASM) || w.Header().Get("Content-Type") != "application/wasm" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
	w = get("GET", "/quarterturn/quarterturn.wasm", "gzip", "")
	r, err := gzip.NewReader(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(r); err != nil || !bytes.Equal(b, module.WASM) {
		t.Errorf("%v, %d bytes", err, len(b))
	}
	if again := get("GET", "/quarterturn/quarterturn.wasm", "gzip", w.Header().Get("Etag")); again.Code != 304 {
		t.Errorf("asked again: %d", again.Code)
	}
	for path, want := range map[string]int{"/": 200, "/page.css": 200, "/../go.mod": 404, "/page/page.css": 404, "/quarterturn/": 404} {
		if w := get("GET", path, "", ""); w.Code != want {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	if w := get("POST", "/", "", ""); w.Code != 405 {
		t.Errorf("POST: %d", w.Code)
	}
}

// RFC 9110, sections 12.5.3 and 13.1.1: what a client says of codings is heard, and an
// answer without a body has no coding and no length of one. Asked over HTTP, since a
// recorder sends whatever it is given.
func TestHandlerOverHTTP(t *testing.T) {
	h, err := Handler([]Shown{{Slab: Model}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(h)
	defer server.Close()
	transport := &http.Transport{DisableCompression: true} // which would ask for gzip by itself
	get := func(headers ...string) *http.Response {
		t.Helper()
		r, err := http.NewRequest("GET", server.URL+"/page.js", nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(headers); i += 2 {
			r.Header.Add(headers[i], headers[i+1])
		}
		answer, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		b, err := io.ReadAll(answer.Body)
		if err != nil || answer.ContentLength > 0 && int64(len(b)) != answer.ContentLength {
			t.Errorf("%q: %v, %d bytes of %d", headers, err, len(b), answer.ContentLength)
		}
		return answer
	}
	for accepted, want := range map[string]string{"gzip": "gzip", "br, GZIP;q=0.5": "gzip", "gzip;q=0": "", "identity, gzip;q=0": "", "gzip; q=0.000, *": "",
		"*": "gzip", "*;q=0": "", "identity": "", "": "", "xgzip": "", "gzip;q=1.0,*;q=0": "gzip", "deflate , gzip ; q=0.1": "gzip"} {
		if r := get("Accept-Encoding", accepted); r.StatusCode != 200 || r.Header.Get("Content-Encoding") != want || r.ContentLength < 1 {
			t.Errorf("%q: %d %v", accepted, r.StatusCode, r.Header)
		}
	}
	if r := get("Accept-Encoding", "br", "Accept-Encoding", "gzip"); r.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("in two lines: %v", r.Header)
	}
	for header, want := range map[string]int{"If-Match": 412, "If-None-Match": 304} {
		value := `"another"`
		if want == 304 {
			value = get("Accept-Encoding", "gzip").Header.Get("Etag")
		}
		if r := get("Accept-Encoding", "gzip", header, value); r.StatusCode != want || r.Header.Get("Content-Encoding") != "" || r.ContentLength > 0 {
			t.Errorf("%s: %d %v", header, r.StatusCode, r.Header)
		}
	}
	if r := get("Accept-Encoding", "gzip", "Range", "bytes=2-5"); r.StatusCode != 206 || r.Header.Get("Content-Encoding") != "" || r.ContentLength != 4 {
		t.Errorf("a range: %d %v", r.StatusCode, r.Header)
	}
}
