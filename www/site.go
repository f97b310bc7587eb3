// Package www embeds the npm package and the page, and serves the page or writes it
// as a folder for a static host.
package www

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/wasm/module"
)

// Files holds, in the folders of the repository, the npm package (quarterturn/), the
// page (page/) and the runners of the parity check (parity/) and of the benchmark in
// Node (bench/). The module itself is in package wasm/module.
//
//go:embed quarterturn page parity bench/node.js
var Files embed.FS

// Model is the slab that is served when none is named; models/README.md says what
// it was trained on and how.
//
//go:embed models/cifar10.slab
var Model []byte

// ModelName is the name of Model's file.
const ModelName = "cifar10"

//go:embed models/samples/*.png
var samples embed.FS

// ModelSamples returns a drawing of each class of Model, made by models/samples/draw.py.
func ModelSamples() []Sample {
	var list []Sample
	names, _ := fs.Glob(samples, "models/samples/*.png") // the pattern is a valid one
	for _, name := range names {
		b, _ := samples.ReadFile(name) // it was listed
		_, label, _ := strings.Cut(strings.TrimSuffix(path.Base(name), ".png"), "-")
		list = append(list, Sample{Image: b, Label: label})
	}
	return list
}

// A Sample is an image that the page offers to classify.
type Sample struct {
	Image []byte // PNG or JPEG
	Label string
}

// ContentType returns the media type of a file by its name. Go's own table
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
	case ".jpg":
		return "image/jpeg"
	}
	return "application/octet-stream"
}

// A Shown model is one that the page offers.
type Shown struct {
	Slab     []byte
	Samples  []Sample
	Title    string // of the page, if it is the first; empty: Quarterturn
	Teach    bool   // "Teach it" works with this one, whichever is looked at
	Unlisted bool   // it is for that alone: not offered to be looked at, and fetched only when it is needed
}

// What models.json says of a model.
type listed struct {
	Src      string          `json:"src"`
	Name     string          `json:"name"`
	Net      string          `json:"net"`
	Data     string          `json:"data"`
	Method   string          `json:"method"`
	Labels   []string        `json:"labels"`
	Images   int             `json:"images"` // trained on
	Bytes    int             `json:"bytes"`
	Hash     string          `json:"hash"`
	Metrics  []format.Metric `json:"metrics"`
	Samples  []listedSample  `json:"samples"`
	Teach    bool            `json:"teach,omitempty"`
	Unlisted bool            `json:"unlisted,omitempty"`
}

type listedSample struct {
	Src   string `json:"src"`
	Label string `json:"label"`
}

// Site returns the files of the page for some models, by their paths: the page at the
// root, the npm package and its module in quarterturn/, models.json, and the slabs and
// samples it lists. All addresses in them are relative, so any host serves them, at any
// path. The page shows the first model, model.slab, at first. It fails with the errors
// of format.Decode if a slab is not one.
func Site(models []Shown) (map[string][]byte, error) {
	files := map[string][]byte{"quarterturn/quarterturn.wasm": module.WASM, "quarterturn/quarterturn-simd.wasm": module.SIMD}
	for _, folder := range []string{"page", "quarterturn"} {
		err := fs.WalkDir(Files, folder, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			switch path.Ext(name) {
			case ".ts", ".md": // for those who build with the package
				return nil
			}
			b, err := Files.ReadFile(name)
			files[strings.TrimPrefix(name, "page/")] = b
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	list := []listed{}
	for i, shown := range models {
		m, err := format.Decode(shown.Slab)
		if err != nil {
			return nil, err
		}
		p := m.Provenance
		l := listed{Src: "model.slab", Name: m.Name, Net: p.Net, Data: p.Data, Method: p.Method, Labels: m.Labels, Images: p.Images,
			Bytes: len(shown.Slab), Hash: format.Hex(m.Hash[:]), Metrics: m.Metrics, Samples: []listedSample{}, Teach: shown.Teach, Unlisted: shown.Unlisted}
		if l.Metrics == nil {
			l.Metrics = []format.Metric{}
		}
		switch {
		case shown.Unlisted: // a name that no other slab ever has: pages of another build may ask for it
			l.Src = "teach-" + l.Hash[:16] + ".slab"
		case i > 0:
			l.Src = "model-" + strconv.Itoa(i+1) + ".slab"
		}
		files[l.Src] = shown.Slab
		for k, s := range shown.Samples {
			name := "samples/" + strconv.Itoa(i+1) + "-" + strconv.Itoa(k+1) + ".png"
			if http.DetectContentType(s.Image) == "image/jpeg" {
				name = strings.TrimSuffix(name, "png") + "jpg"
			}
			files[name] = s.Image
			l.Samples = append(l.Samples, listedSample{name, s.Label})
		}
		list = append(list, l)
	}
	var err error
	if files["models.json"], err = json.Marshal(list); err != nil {
		return nil, err
	}
	files["index.html"] = settled(files["index.html"], list)
	if len(models) > 0 && models[0].Title != "" {
		files["index.html"] = titled(files["index.html"], models[0].Title)
	}
	files["offline.js"], err = worker(files, list)
	return files, err
}

// settled returns the page as it will be once it has read models.json, so that nothing in it jumps.
func settled(page []byte, list []listed) []byte {
	many := 0
	for _, l := range list {
		if !l.Unlisted {
			many++
		}
	}
	if many < 2 {
		page = bytes.Replace(page, []byte(`<label id="chooser">`), []byte(`<label id="chooser" hidden>`), 1)
	}
	if len(list) > 0 && len(list[0].Samples) == 0 {
		page = bytes.Replace(page, []byte(`class="samples"`), []byte(`class="samples none"`), 1)
		page = bytes.Replace(page, []byte(`<section id="views-part"`), []byte(`<section id="views-part" hidden`), 1)
	}
	return page
}

// titled gives a page a name of its own, above it and where links to it are shown.
func titled(page []byte, title string) []byte {
	title = html.EscapeString(title)
	return []byte(strings.NewReplacer("<title>Quarterturn</title>", "<title>"+title+"</title>", `> Quarterturn</h1>`, "> "+title+"</h1>",
		`"og:title" content="Quarterturn"`, `"og:title" content="`+title+`"`).Replace(string(page)))
}

// worker returns the service worker of a site: the script of the page, behind the
// package's function hasSIMD, a service worker being no module that could import it, and
// a constant with the site's files and a name that changes with any of them.
func worker(files map[string][]byte, list []listed) ([]byte, error) {
	h := sha256.New()
	build := struct {
		ID    string   `json:"id"`
		Files []string `json:"files"`
		Later []string `json:"later"` // of those, what is kept only once it was asked for
	}{Later: []string{}}
	for _, l := range list {
		if l.Unlisted {
			build.Later = append(build.Later, l.Src)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		sum := sha256.Sum256(files[name])
		fmt.Fprintf(h, "%x %s\n", sum, name)
		if name != "offline.js" && name != "quarterturn/package.json" {
			build.Files = append(build.Files, name)
		}
	}
	build.ID = hex.EncodeToString(h.Sum(nil)[:8])
	text, err := json.Marshal(build)
	simd := bytes.Replace(files["quarterturn/simd.js"], []byte("export "), nil, 1)
	return slices.Concat([]byte("const BUILD = "), text, []byte(";\n"), simd, files["offline.js"]), err
}

// A served file, with what its headers say.
type served struct {
	plain, gzip []byte
	tag         string
}

// Handler serves the files of Site: index.html at /.
func Handler(models []Shown) (http.Handler, error) {
	site, err := Site(models)
	if err != nil {
		return nil, err
	}
	files := map[string]served{}
	for name, b := range site {
		sum := sha256.Sum256(b)
		f := served{plain: b, tag: hex.EncodeToString(sum[:12])}
		switch path.Ext(name) {
		case ".wasm", ".js", ".css", ".html", ".json":
			f.gzip = compress(b)
		}
		files[name] = f
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
		f, ok := files[name]
		if !ok {
			http.NotFound(w, r)
			return
		}
		h := w.Header()
		h.Set("Content-Type", ContentType(name))
		h.Set("Content-Security-Policy", Policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-cache") // ask again, and be told that nothing changed
		b, tag := f.plain, f.tag
		if f.gzip != nil {
			h.Set("Vary", "Accept-Encoding")
			if acceptsGzip(r.Header) && r.Header.Get("Range") == "" {
				w = gzipWriter{w}
				b, tag = f.gzip, f.tag+"-gzip"
			}
		}
		h.Set("Etag", `"`+tag+`"`)
		http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(b))
	}), nil
}

// A gzipWriter says of an answer that it is compressed, unless it is one without a body,
// such as 304 and 412.
type gzipWriter struct{ http.ResponseWriter }

func (w gzipWriter) WriteHeader(status int) {
	if status == http.StatusOK {
		w.Header().Set("Content-Encoding", "gzip")
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w gzipWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// acceptsGzip reports whether a client takes gzip (RFC 9110, section 12.5.3): what it says
// of gzip counts, or else what it says of *.
func acceptsGzip(h http.Header) bool {
	accepts := map[string]bool{}
	for item := range strings.SplitSeq(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		coding, weight, weighed := strings.Cut(item, ";")
		_, q, _ := strings.Cut(weight, "=")
		value, err := strconv.ParseFloat(strings.TrimSpace(q), 64)
		accepts[strings.ToLower(strings.TrimSpace(coding))] = !weighed || err == nil && value > 0
	}
	gzip, said := accepts["gzip"]
	return gzip || !said && accepts["*"]
}

// Policy is the Content-Security-Policy of the page: its own files, pictures that are dropped or taught, and the
// module, which has to be compiled.
const Policy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' blob: data:; object-src 'none'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'self'"

func compress(b []byte) []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression) // the level is a valid one
	w.Write(b)                                              // a bytes.Buffer takes everything
	w.Close()
	return out.Bytes()
}
