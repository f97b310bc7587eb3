package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/wasm/module"
	"github.com/quarterturn/quarterturn/www"
)

// A nodeRunner is a Node process with the module: it says what its start took, reads
// modes, a line each, and answers with milliseconds.
type nodeRunner struct {
	dir    string
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Scanner
	stderr bytes.Buffer
	start  Start
}

func startNode(ctx context.Context, slab []byte, img *image.NRGBA, simd bool) (runner, error) {
	program, err := exec.LookPath("node")
	if err != nil {
		return nil, errors.New("node is not installed; install it, or leave this engine out of --engines")
	}
	build := module.WASM
	if simd {
		build = module.SIMD
	}
	n := &nodeRunner{}
	if n.dir, err = os.MkdirTemp("", "quarterturn-bench-"); err != nil {
		return nil, err
	}
	err = os.CopyFS(n.dir, www.Files)
	for name, b := range map[string][]byte{
		"quarterturn/quarterturn.wasm": build,
		"model.slab":                   slab,
		"image.rgba":                   img.Pix,
		"package.json":                 []byte(`{"type":"module"}`),
	} {
		if err == nil {
			err = os.WriteFile(filepath.Join(n.dir, name), b, 0o600)
		}
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(n.dir))
	}
	n.cmd = exec.CommandContext(ctx, program, filepath.Join(n.dir, "bench", "node.js"), strconv.Itoa(img.Rect.Dx()), strconv.Itoa(img.Rect.Dy()))
	n.cmd.Stderr = &n.stderr
	if n.in, err = n.cmd.StdinPipe(); err == nil {
		var out io.Reader
		if out, err = n.cmd.StdoutPipe(); err == nil {
			n.out = bufio.NewScanner(out)
			err = n.cmd.Start()
		}
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(n.dir))
	}
	ready, err := n.line()
	if err == nil {
		_, err = fmt.Sscan(ready, &n.start.Compile, &n.start.Instantiate, &n.start.Open)
	}
	if err != nil {
		return nil, errors.Join(err, n.close(ctx))
	}
	return n, nil
}

// line is the next line that the process prints.
func (n *nodeRunner) line() (string, error) {
	if !n.out.Scan() {
		said := strings.TrimSpace(n.stderr.String())
		return "", fmt.Errorf("the process ended: %s", said[strings.LastIndexByte(said, '\n')+1:])
	}
	return n.out.Text(), nil
}

func (n *nodeRunner) run(_ context.Context, mode sla.Mode) (float64, error) {
	if _, err := fmt.Fprintln(n.in, mode); err != nil {
		return 0, err
	}
	text, err := n.line()
	if err != nil {
		return 0, err
	}
	return strconv.ParseFloat(text, 64)
}

func (n *nodeRunner) close(context.Context) error {
	return errors.Join(n.in.Close(), n.cmd.Wait(), os.RemoveAll(n.dir))
}
