package parity

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/quarterturn/quarterturn/wasm/module"
	"github.com/quarterturn/quarterturn/wasm/module/gojs"
	"github.com/quarterturn/quarterturn/www"
)

// folder makes a temporary folder with what a JavaScript target needs: the files of
// package www, the modules, the slab and the job. The caller removes it.
func folder(j *job) (string, error) {
	dir, err := os.MkdirTemp("", "quarterturn-parity-")
	if err != nil {
		return "", err
	}
	err = os.CopyFS(dir, www.Files)
	work, jobErr := encodeJob(j)
	err = errors.Join(err, jobErr)
	for name, b := range map[string][]byte{
		"quarterturn/quarterturn.wasm": module.WASM,
		"quarterturn-js.wasm":          gojs.WASM,
		"wasm_exec.js":                 gojs.Exec,
		"model.slab":                   j.slab,
		"job.bin":                      work,
		"package.json":                 []byte(`{"type":"module"}`),
	} {
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
	}
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

// encodeJob writes a job as www/parity/job.js reads it: the length of a JSON
// head, the head, and the pixels of the images one after the other.
func encodeJob(j *job) ([]byte, error) {
	type size struct {
		Width  int `json:"width"`
		Height int `json:"height"`
	}
	head := struct {
		Modes  []string    `json:"modes"`
		Images []size      `json:"images"`
		Trace  *tracePoint `json:"trace"`
	}{Trace: j.trace}
	for _, m := range j.modes {
		head.Modes = append(head.Modes, m.String())
	}
	var pixels bytes.Buffer
	for _, img := range j.images {
		b := img.Bounds()
		head.Images = append(head.Images, size{b.Dx(), b.Dy()})
		for y := b.Min.Y; y < b.Max.Y; y++ {
			at := img.PixOffset(b.Min.X, y)
			pixels.Write(img.Pix[at : at+4*b.Dx()])
		}
	}
	text, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	out := binary.LittleEndian.AppendUint32(nil, uint32(len(text)))
	return append(append(out, text...), pixels.Bytes()...), nil
}

// decodeOutcome reads what www/parity/job.js writes: the number of entries of
// the trace, the trace, the logits.
func decodeOutcome(b []byte) (*outcome, error) {
	if len(b) < 4 {
		return nil, errors.New("the result is incomplete")
	}
	n := int(binary.LittleEndian.Uint32(b))
	if b = b[4:]; len(b) < 8*n {
		return nil, errors.New("the result is incomplete")
	}
	o := &outcome{logits: b[8*n:]}
	for i := range n {
		o.trace = append(o.trace, binary.LittleEndian.Uint64(b[8*i:]))
	}
	return o, nil
}

// node runs a job in Node, with the module of one GOOS.
func node(goos string) target {
	return func(ctx context.Context, j *job) (*outcome, error) {
		program, err := exec.LookPath("node")
		if err != nil {
			return nil, errors.New("node is not installed; install it, or leave this target out of --targets")
		}
		dir, err := folder(j)
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		cmd := exec.CommandContext(ctx, program, filepath.Join(dir, "parity", "node.js"), goos)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("%w: %s", err, lastLine(stderr.String()))
		}
		return decodeOutcome(stdout.Bytes())
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// browsers are the programs that are Chromium or close to it.
var browsers = []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"}

// chromium runs a job in a page of headless Chromium, which fetches the files
// from a server of ours and posts the outcome back.
func chromium(ctx context.Context, j *job) (*outcome, error) {
	var program string
	for _, name := range browsers {
		if p, err := exec.LookPath(name); err == nil {
			program = p
			break
		}
	}
	if program == "" {
		return nil, errors.New("chromium is not installed; install it, or leave this target out of --targets")
	}
	dir, err := folder(j)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	type reply struct {
		b   []byte
		err error
	}
	replies := make(chan reply, 1)
	mux := http.NewServeMux()
	static := http.FileServer(http.Dir(dir))
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", www.ContentType(r.URL.Path))
		static.ServeHTTP(w, r)
	})
	mux.HandleFunc("POST /{kind}", func(_ http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if r.PathValue("kind") == "error" && err == nil {
			err = errors.New(string(b))
		}
		select {
		case replies <- reply{b, err}:
		default: // only the first counts
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: mux}
	go server.Serve(listener) // ends with Close
	defer server.Close()

	profile, err := os.MkdirTemp("", "quarterturn-chromium-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(profile)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	args := []string{"--headless", "--disable-gpu", "--no-first-run", "--disable-background-networking",
		"--disable-component-update", "--disable-sync", "--disable-quic", "--user-data-dir=" + profile}
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // Chromium refuses to run as root otherwise
	}
	cmd := exec.CommandContext(ctx, program, append(args, "http://"+listener.Addr().String()+"/parity/page.html")...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() {
		cancel()
		<-ended
	}()
	select {
	case r := <-replies:
		if r.err != nil {
			return nil, r.err
		}
		return decodeOutcome(r.b)
	case err := <-ended:
		ended <- err
		return nil, fmt.Errorf("chromium ended without an answer: %s", lastLine(stderr.String()))
	case <-ctx.Done():
		return nil, fmt.Errorf("chromium gave no answer: %w", context.Cause(ctx))
	}
}
