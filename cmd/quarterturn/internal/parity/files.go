package parity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/host"
	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/sla"
)

// FileTargets are the places that read files.
var FileTargets = []string{"predict", "http", "chromium", "firefox"}

// A FilesReport compares what places make of the same files.
type FilesReport struct {
	Equal bool         `json:"equal"`
	Mode  string       `json:"mode"`
	Files []FileReport `json:"files"`
}

// A FileReport is about one file. Ways are "predict", "http", and in each browser File,
// ImageBitmap and <img>.
type FileReport struct {
	Name    string   `json:"name"`
	Equal   bool     `json:"equal"`
	Answers []Answer `json:"answers"`
}

// An Answer is the digest of the logits that a file got in one way, or why it got none.
type Answer struct {
	Way    string `json:"way"`
	Digest string `json:"digest,omitempty"`
	Error  string `json:"error,omitempty"`
}

// A filesTarget answers for all files. Its answers are in their order.
type filesTarget func(ctx context.Context, j *filesJob) ([][]Answer, error)

type filesJob struct {
	slab  []byte
	mode  sla.Mode
	names []string // relative to the folder
	data  [][]byte
}

// Files classifies files in the slab's recommended mode, from bytes to logits, wherever
// files are read, and compares the digests. A file that is not read in Go is equal, too.
func Files(ctx context.Context, slab []byte, dir string, names, targets []string, progress func(name string)) (*FilesReport, error) {
	m, err := format.Decode(slab)
	if err != nil {
		return nil, err
	}
	j := &filesJob{slab: slab, names: names}
	if j.mode, err = sla.ResolveMode(&m.Manifest, sla.Auto); err != nil {
		return nil, err
	}
	for _, name := range names {
		b, err := imagefile.ReadBytes(ctx, filepath.Join(dir, name), imagefile.Limits{})
		if err != nil {
			return nil, err
		}
		j.data = append(j.data, b)
	}
	r := &FilesReport{Equal: true, Mode: j.mode.String(), Files: make([]FileReport, len(names))}
	for _, name := range targets {
		run, err := findFiles(name)
		if err != nil {
			return nil, err
		}
		progress(name)
		answers, err := run(ctx, j)
		if err == nil && len(answers) != len(names) {
			err = fmt.Errorf("%d answers for %d files", len(answers), len(names))
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for i, a := range answers {
			r.Files[i].Answers = append(r.Files[i].Answers, a...)
		}
	}
	for i := range r.Files {
		f := &r.Files[i]
		f.Name, f.Equal = names[i], true
		for _, a := range f.Answers {
			// Of what is not read in Go nothing is promised: browsers may read more.
			more := f.Answers[0].Error != "" && a.Way != "http"
			f.Equal = f.Equal && (more || a.Digest == f.Answers[0].Digest)
		}
		r.Equal = r.Equal && f.Equal
	}
	return r, nil
}

func findFiles(name string) (filesTarget, error) {
	switch name {
	case "predict":
		return predictFiles, nil
	case "http":
		return postFiles, nil
	case "chromium":
		return filesIn(chromiumBrowser), nil
	case "firefox":
		return filesIn(firefoxBrowser), nil
	}
	return nil, fmt.Errorf("there is no place %q that reads files; they are %s", name, strings.Join(FileTargets, ", "))
}

// predictFiles does what quarterturn predict does.
func predictFiles(ctx context.Context, j *filesJob) (answers [][]Answer, err error) {
	c, err := host.Open(ctx, j.slab, host.WithEngine(host.Native), host.WithPoolSize(1))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }()
	for _, data := range j.data {
		a := Answer{Way: "predict"}
		img, err := imagefile.Decode(ctx, data, imagefile.Limits{})
		var p *host.Prediction
		if err == nil {
			p, err = c.Classify(ctx, img, host.WithMode(j.mode))
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err != nil:
			a.Error = err.Error()
		default:
			a.Digest = p.Digest()
		}
		answers = append(answers, []Answer{a})
	}
	return answers, nil
}

// postFiles sends the files to an HTTP service.
func postFiles(ctx context.Context, j *filesJob) (answers [][]Answer, err error) {
	c, err := host.Open(ctx, j.slab, host.WithPoolSize(1))
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close(ctx)) }()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: host.Handler(c)}
	go server.Serve(listener) // ends with Close
	defer server.Close()
	for _, data := range j.data {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+listener.Addr().String()+"/v1/classify?mode="+j.mode.String(), bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			return nil, err
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		var reply struct {
			Digest string
			Error  struct{ Message string }
		}
		if err == nil {
			err = json.Unmarshal(body, &reply)
		}
		if err != nil {
			return nil, err
		}
		answers = append(answers, []Answer{{"http", reply.Digest, reply.Error.Message}})
	}
	return answers, nil
}

// filesIn reads the files in a page, in each of the ways that pages have.
func filesIn(b *browser) filesTarget {
	return func(ctx context.Context, j *filesJob) ([][]Answer, error) {
		work, err := json.Marshal(map[string]any{"mode": j.mode.String(), "names": j.names})
		if err != nil {
			return nil, err
		}
		files := map[string][]byte{"model.slab": j.slab, "files.json": work}
		for i, data := range j.data {
			files["files/"+strconv.Itoa(i)] = data
		}
		dir, err := folder(files)
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		out, err := visit(ctx, b, dir, "parity/files.html")
		if err != nil {
			return nil, err
		}
		var results []map[string]Answer
		if err := json.Unmarshal(out, &results); err != nil {
			return nil, err
		}
		var answers [][]Answer
		for _, r := range results {
			var of []Answer
			for _, way := range []string{"File", "ImageBitmap", "<img>"} {
				a := r[way]
				a.Way = b.name + " " + way
				of = append(of, a)
			}
			answers = append(answers, of)
		}
		return answers, nil
	}
}
