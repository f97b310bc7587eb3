package parity

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/quarterturn/quarterturn/wasm/module"
	"github.com/quarterturn/quarterturn/wasm/module/gojs"
	"github.com/quarterturn/quarterturn/www"
)

// folder makes a temporary folder with the files of package www, the module and others of
// one's own. The caller removes it.
func folder(files map[string][]byte) (string, error) {
	dir, err := os.MkdirTemp("", "quarterturn-parity-")
	if err != nil {
		return "", err
	}
	err = os.CopyFS(dir, www.Files)
	write := func(name string, b []byte) {
		name = filepath.Join(dir, name)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(name), 0o700)
		}
		if err == nil {
			err = os.WriteFile(name, b, 0o600)
		}
	}
	write("quarterturn/quarterturn.wasm", module.WASM)
	write("package.json", []byte(`{"type":"module"}`))
	for name, b := range files {
		write(name, b)
	}
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}

// jobFolder makes a folder with what runs a job.
func jobFolder(j *job, simd bool) (string, error) {
	work, err := encodeJob(j)
	if err != nil {
		return "", err
	}
	files := map[string][]byte{
		"quarterturn-js.wasm": gojs.WASM,
		"wasm_exec.js":        gojs.Exec,
		"model.slab":          j.slab,
		"job.bin":             work,
	}
	if simd {
		files["quarterturn/quarterturn.wasm"], files["quarterturn-js.wasm"] = module.SIMD, gojs.SIMD
	}
	return folder(files)
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
func node(goos string, simd bool) target {
	return func(ctx context.Context, j *job) (*outcome, error) {
		program, err := exec.LookPath("node")
		if err != nil {
			return nil, errors.New("node is not installed; install it, or leave this target out of --targets")
		}
		dir, err := jobFolder(j, simd)
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

// page runs a job in a page of a browser.
func page(b *browser, simd bool) target {
	return func(ctx context.Context, j *job) (*outcome, error) {
		dir, err := jobFolder(j, simd)
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		out, err := visit(ctx, b, dir, "parity/page.html")
		if err != nil {
			return nil, err
		}
		return decodeOutcome(out)
	}
}
