// Package examples holds the test that runs the examples in Go.
package examples

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"image"
	"image/png"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/www"
)

// program builds an example and returns a command that runs it.
func program(t *testing.T, name string, args ...string) *exec.Cmd {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", file, "./"+name).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	return exec.CommandContext(ctx, file, args...)
}

func TestService(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a program")
	}
	slab := filepath.Join(t.TempDir(), "model.slab")
	if err := os.WriteFile(slab, www.Model, 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := program(t, "service", "-addr", "127.0.0.1:0", "-sure", "2", slab)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stderr).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	base := regexp.MustCompile(`http://\S+`).FindString(line)
	var picture bytes.Buffer
	if err := png.Encode(&picture, image.NewGray(image.Rect(0, 0, 40, 30))); err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]int{picture.String(): 200, "Dear reader": 415} {
		r, err := http.Post(base+"sort", "application/octet-stream", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		var answer struct{ Queue, Label string }
		err = json.NewDecoder(r.Body).Decode(&answer)
		r.Body.Close()
		if r.StatusCode != want || want == 200 && (err != nil || answer.Queue != "ask a person" || answer.Label == "") {
			t.Errorf("%.10q: status %d, %+v, %v", body, r.StatusCode, answer, err)
		}
	}
	if r, err := http.Get(base + "v1/model"); err != nil || r.StatusCode != 200 {
		t.Errorf("/v1/model: %v, %v", r, err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestTrain(t *testing.T) {
	if testing.Short() {
		t.Skip("trains two nets")
	}
	out := filepath.Join(t.TempDir(), "best.slab")
	b, err := program(t, "train", "-epochs", "1", "-out", out).CombinedOutput()
	if err != nil || !strings.Contains(string(b), "sla+sd: aggregated") || !strings.Contains(string(b), "baseline: baseline") {
		t.Fatalf("%v: %s", err, b)
	}
	slab, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := format.Decode(slab); err != nil {
		t.Error(err)
	}
}
