// Package www embeds the npm package and the demo page, and serves the page.
package www

import (
	"bytes"
	"compress/gzip"
	"embed"
	"encoding/json"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/wasm/module"
)

// Files holds the JavaScript package, the page, and the runners of the parity
// check and of the benchmark.
//
//go:embed *.js *.html *.css *.svg parity bench/node.js
var Files embed.FS

// Model is the slab that is served when none is named; models/README.md says what
// it was trained on and how.
//
//go:embed models/cifar10.slab
var Model []byte

// A Sample is an image that the page offers to classify.
type Sample struct {
	PNG   []byte
	Label string
}

// ContentType gives the media type of a file by its name. Go's own table
// depends on the machine.
func ContentType(name string) string {
	switch path.Ext(name) {
	case ".html":
		return "text/html; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".json":
		return "application/json"
	case ".wasm":
		return "application/wasm"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	}
	return "application/octet-stream"
}

var gzipped = sync.OnceValue(func() []byte {
	var b bytes.Buffer
	w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // the level is a valid one
	w.Write(module.WASM)                                  // a bytes.Buffer takes everything
	w.Close()
	return b.Bytes()
})

// A Shown model is one that the page offers.
type Shown struct {
	Slab    []byte
	Samples []Sample
}

// What /models.json says of a model.
type listed struct {
	Src     string          `json:"src"`
	Name    string          `json:"name"`
	Net     string          `json:"net"`
	Data    string          `json:"data"`
	Method  string          `json:"method"`
	Images  int             `json:"images"` // trained on
	Bytes   int             `json:"bytes"`
	Hash    string          `json:"hash"`
	Metrics []format.Metric `json:"metrics"`
	Samples []listedSample  `json:"samples"`
}

type listedSample struct {
	Src   string `json:"src"`
	Label string `json:"label"`
}

// Handler serves the page for some models, the first of which it shows at first:
// the files of this package, the module, /models.json, and the slabs and samples
// it lists. The first slab is /model.slab.
func Handler(models []Shown) (http.Handler, error) {
	files := map[string][]byte{"quarterturn.wasm": module.WASM}
	list := []listed{}
	for i, shown := range models {
		m, err := format.Decode(shown.Slab)
		if err != nil {
			return nil, err
		}
		p := m.Provenance
		l := listed{Src: "model.slab", Name: m.Name, Net: p.Net, Data: p.Data, Method: p.Method, Images: p.Images,
			Bytes: len(shown.Slab), Hash: format.Hex(m.Hash[:]), Metrics: m.Metrics, Samples: []listedSample{}}
		if l.Metrics == nil {
			l.Metrics = []format.Metric{}
		}
		if i > 0 {
			l.Src = "model-" + strconv.Itoa(i+1) + ".slab"
		}
		files[l.Src] = shown.Slab
		for k, s := range shown.Samples {
			name := "samples/" + strconv.Itoa(i+1) + "-" + strconv.Itoa(k+1) + ".png"
			files[name] = s.PNG
			l.Samples = append(l.Samples, listedSample{name, s.Label})
		}
		list = append(list, l)
	}
	var err error
	if files["models.json"], err = json.Marshal(list); err != nil {
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "this address can only be read", http.StatusMethodNotAllowed)
			return
		}
		name := strings.TrimPrefix(r.URL.Path, "/")
		if name == "" {
			name = "index.html"
		}
		b, ok := files[name]
		if !ok {
			if b, err := Files.ReadFile(name); err == nil {
				write(w, r, name, b)
				return
			}
			http.NotFound(w, r)
			return
		}
		if name == "quarterturn.wasm" && strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			b = gzipped()
		}
		write(w, r, name, b)
	}), nil
}

func write(w http.ResponseWriter, r *http.Request, name string, b []byte) {
	h := w.Header()
	h.Set("Content-Type", ContentType(name))
	h.Set("Content-Length", strconv.Itoa(len(b)))
	h.Set("Content-Security-Policy", "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-cache")
	if r.Method == http.MethodGet {
		w.Write(b) // a client that is gone cannot be told
	}
}
