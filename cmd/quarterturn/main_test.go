package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quarterturn/quarterturn/cmd/internal/score"
	"github.com/quarterturn/quarterturn/cmd/quarterturn/internal/bench"
	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/format/pack"
	"github.com/quarterturn/quarterturn/sla/slatest"
	"github.com/quarterturn/quarterturn/trainer/fewshot"
)

// The tests run this very program: with the variable set it is the command.
func TestMain(m *testing.M) {
	if os.Getenv("QUARTERTURN_TEST_COMMAND") != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Env = append(os.Environ(), "QUARTERTURN_TEST_COMMAND=1")
	return cmd
}

// runCommand returns what the command writes and its exit code.
func runCommand(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := command(t.Context(), args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// folder returns a folder with a slab, a slab with one head, and images.
func folder(t *testing.T) func(name string) string {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	slab := slatest.Slab(t, formattest.Tiny(3))
	plain := formattest.Tiny(1)
	plain.Heads, plain.Weights = plain.Heads[:1], plain.Weights[:len(plain.Weights)-4]
	plain.Recommended, plain.Metrics = format.ModeBaseline, nil
	newer := bytes.Clone(slab)
	newer[8] = 2
	img := image.NewNRGBA(image.Rect(0, 0, 20, 10))
	for i := range img.Pix {
		img.Pix[i] = byte(i * 7)
	}
	img.Set(0, 0, color.White)
	var picture bytes.Buffer
	if err := png.Encode(&picture, img); err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"tiny.slab": slab, "plain.slab": slatest.Slab(t, plain),
		"cut.slab": slab[:len(slab)-7], "newer.slab": newer, "page.slab": []byte("<html>404</html>"),
		"picture.png": picture.Bytes(), "cut.png": picture.Bytes()[:60], "letter.txt": []byte("Dear reader"), "net.onnx": slab, "wide.txt": []byte("\xff\xfec\x00"),
	} {
		if err := os.WriteFile(at(name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"run/config.json", "trained/model.slab"} {
		if err := errors.Join(os.MkdirAll(filepath.Dir(at(name)), 0o755), os.WriteFile(at(name), nil, 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return at
}

func TestPredict(t *testing.T) {
	t.Parallel()
	at := folder(t)
	stdout, stderr, code := runCommand(t, "predict", "--model", at("tiny.slab"), "--json", "--top", "2", "--mode", "aggregated", at("picture.png"))
	var p score.Line
	if err := json.Unmarshal([]byte(stdout), &p); err != nil || code != 0 || stderr != "" {
		t.Fatalf("exit code %d, %q, %q, %v", code, stdout, stderr, err)
	}
	if p.Mode != "aggregated" || p.Passes != 4 || len(p.Top) != 2 || p.Top[0].Probability < p.Top[1].Probability || !regexp.MustCompile("^[0-9a-f]{64}$").MatchString(p.Digest) {
		t.Errorf("%+v", p)
	}
	// One that is too long is named.
	var long bytes.Buffer
	if err := errors.Join(png.Encode(&long, image.NewGray(image.Rect(0, 0, 40000, 1))), os.WriteFile(at("panorama.png"), long.Bytes(), 0o644)); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{at("panorama.png")}, {at("picture.png"), at("panorama.png")}} {
		_, stderr, code = runCommand(t, append([]string{"predict", at("tiny.slab")}, args...)...)
		if want := at("panorama.png") + ": the image has 40000x1 pixels"; code != 1 || !strings.Contains(stderr, want) {
			t.Errorf("exit code %d, %s; want %q", code, stderr, want)
		}
	}
	// Standard input is an image like another.
	cmd := command(t.Context(), "predict", at("tiny.slab"), "--json", "--top", "2", "--mode", "aggregated", "-")
	picture, err := os.Open(at("picture.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer picture.Close()
	cmd.Stdin = picture
	if out, err := cmd.Output(); err != nil || string(out) != strings.ReplaceAll(stdout, at("picture.png"), "-") {
		t.Errorf("%q, %v, want %q but for the name", out, err, stdout)
	}
	// A bad image among good ones is reported; the others are classified.
	stdout, stderr, code = runCommand(t, "predict", "--model", at("tiny.slab"), at("picture.png"), at("letter.txt"), at("picture.png"))
	if code != 1 || strings.Count(stdout, "picture.png:") != 2 || !strings.Contains(stderr, "1 of 3 images") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

func TestInspectAndVerify(t *testing.T) {
	t.Parallel()
	at := folder(t)
	stdout, _, code := runCommand(t, "inspect", "--json", at("tiny.slab"))
	var d struct {
		Hash        string
		Recommended string
		Tensors     []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(stdout), &d); err != nil || code != 0 || len(d.Hash) != 64 || d.Recommended != "distilled" || d.Tensors[0].Name != "stem.weight" {
		t.Errorf("%s: %v", stdout, err)
	}
	if stdout, _, code = runCommand(t, "inspect", at("tiny.slab")); code != 0 || !strings.Contains(stdout, "stem.weight") || !strings.Contains(stdout, "cat, dog, été") {
		t.Errorf("%s", stdout)
	}
	if stdout, _, code = runCommand(t, "verify", at("tiny.slab")); code != 0 || !strings.Contains(stdout, "is whole") {
		t.Errorf("%s", stdout)
	}
	// Weights that are whole but compute something else.
	m := formattest.Tiny(3)
	slab, err := pack.Encode(m) // its digest is all zero
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("other.slab"), slab, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := runCommand(t, "verify", at("other.slab")); code != 1 || !strings.Contains(stderr, "self-test failed") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

// A long tail, its loss, and the mode adaptive, from training to a prediction.
func TestLongTailAndCalibrate(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a net")
	}
	at := folder(t)
	out := filepath.Join(t.TempDir(), "run")
	if stdout, stderr, code := runCommand(t, "train", "--data", "fashion-mini", "--out", out, "--net", "resnet8w8",
		"--epochs", "1", "--batch", "16", "--imbalance", "10", "--loss", "ldam", "--drw"); code != 0 || strings.Count(stdout, "many ") != 3 {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	slab := filepath.Join(out, "adaptive.slab")
	stdout, stderr, code := runCommand(t, "calibrate", "--run", out, "--out", slab, "--json")
	var s scores
	if err := json.Unmarshal([]byte(stdout), &s); err != nil || code != 0 || len(s.Modes) != 4 || s.Modes["adaptive"].Passes < 1 || s.Modes["adaptive"].Passes > 4 {
		t.Fatalf("exit code %d, %q, %q, %v", code, stdout, stderr, err)
	}
	if stdout, stderr, code := runCommand(t, "predict", "--model", slab, "--mode", "adaptive", "--json", at("picture.png")); code != 0 || !strings.Contains(stdout, `"mode":"adaptive"`) {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
	picture := filepath.Join(out, "picture.svg")
	stdout, stderr, code = runCommand(t, "eval", "--model", slab, "--data", "fashion-mini", "--limit", "100", "--confusion", picture)
	if b, err := os.ReadFile(picture); err != nil || code != 0 || !strings.Contains(string(b), "Ankle boot") || !strings.Contains(stdout, "adaptive") {
		t.Errorf("exit code %d, %q, %v, %.100s", code, stderr, err, b)
	}
}

// Without a worker a GPU is an error, or the processor if that will do. A worker that says
// why it ends is quoted.
func TestNoGPU(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a net")
	}
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	train := func(device string) (stderr string, code int) {
		_, stderr, code = runCommand(t, "train", "--data", "fashion-mini", "--out", filepath.Join(t.TempDir(), "run"), "--net", "resnet8w8",
			"--epochs", "1", "--batch", "16", "--train-per-class", "10", "--device", device)
		return stderr, code
	}
	if stderr, code := train("cuda"); code != 1 || stderr != "quarterturn: no quarterturn-cuda is beside quarterturn or in PATH; build it from cmd/quarterturn-cuda\n" {
		t.Errorf("no worker: %d, %q", code, stderr)
	}
	if err := os.WriteFile(filepath.Join(bin, "quarterturn-cuda"), []byte("#!/bin/sh\necho there is no driver >&2\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if stderr, code := train("cuda"); code != 1 || stderr != "quarterturn: GPU: there is no driver\n" {
		t.Errorf("no driver: %d, %q", code, stderr)
	}
	if stderr, code := train("auto"); code != 0 || !strings.HasPrefix(stderr, "training on the processor: GPU: there is no driver\n") {
		t.Errorf("no driver, auto: %d, %q", code, stderr)
	}
}

// A net trained in episodes scores in episodes of classes that it was not trained on, and
// its slab is one that every target reads.
func TestFewShotTrain(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a net")
	}
	out := filepath.Join(t.TempDir(), "run")
	stdout, stderr, code := runCommand(t, "fewshot", "train", "--data", "fashion-mini", "--out", out, "--net", "conv4w8", "--head", "ridge",
		"--epochs", "2", "--episodes", "5", "--way", "3", "--shot", "2", "--queries", "3", "--json")
	var s scores
	if err := json.Unmarshal([]byte(stdout), &s); err != nil || code != 0 || s.Modes["aggregated"].Passes != 4 || s.Modes["aggregated"].Accuracy < .4 {
		t.Fatalf("exit code %d, %q, %q, %v", code, stdout, stderr, err)
	}
	model := filepath.Join(out, "model.slab")
	if _, stderr, code := runCommand(t, "verify", model); code != 0 {
		t.Errorf("verify: %q", stderr)
	}
	stdout, stderr, code = runCommand(t, "fewshot", "eval", "--model", model, "--data", "fashion-mini", "--head", "ridge", "--episodes", "10", "--json")
	var e []fewshot.Estimate
	if err := json.Unmarshal([]byte(stdout), &e); err != nil || code != 0 || len(e) != 2 || e[1].Accuracy < .4 {
		t.Errorf("exit code %d, %q, %q, %v", code, stdout, stderr, err)
	}
	if _, stderr, code := runCommand(t, "calibrate", "--run", out, "--out", out+".slab"); code != 1 || !strings.Contains(stderr, "it held out classes, not images") {
		t.Errorf("calibrate: %d, %q", code, stderr)
	}
}

func TestFewShotEval(t *testing.T) {
	at := folder(t)
	stdout, stderr, code := runCommand(t, "fewshot", "eval", "--model", at("tiny.slab"), "--data", "fashion-mini", "--episodes", "20", "--json")
	var e []fewshot.Estimate
	if err := json.Unmarshal([]byte(stdout), &e); err != nil || code != 0 || len(e) != 2 || e[1].Views != 4 || e[0].Accuracy < .25 || e[1].Interval <= 0 {
		t.Errorf("exit code %d, %q, %q, %v", code, stdout, stderr, err)
	}
}

func TestTrainAndEval(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	out := filepath.Join(t.TempDir(), "run")
	stdout, stderr, code := runCommand(t, "train", "--data", "fashion-mini", "--out", out, "--net", "resnet8w8",
		"--epochs", "1", "--batch", "16", "--train-per-class", "20", "--json")
	var trained, scored scores
	if err := json.Unmarshal([]byte(stdout), &trained); err != nil || code != 0 {
		t.Fatalf("exit code %d, %q, %q, %v", code, stdout, stderr, err)
	}
	if trained.N != 2000 || trained.Modes["aggregated"].Passes != 4 || len(trained.Modes) != 3 {
		t.Errorf("%+v", trained)
	}
	log, err := os.ReadFile(filepath.Join(out, "metrics.jsonl"))
	if err != nil || !strings.Contains(string(log), `"event":"epoch"`) || !strings.Contains(string(log), `"event":"test"`) {
		t.Errorf("metrics.jsonl: %s %v", log, err)
	}
	stdout, stderr, code = runCommand(t, "eval", "--model", filepath.Join(out, "model.slab"), "--data", "fashion-mini", "--json", "--limit", "50")
	if err := json.Unmarshal([]byte(stdout), &scored); err != nil || code != 0 || scored.N != 50 {
		t.Errorf("exit code %d, %q, %q, %v", code, stdout, stderr, err)
	}
}

func TestNewExportAndBench(t *testing.T) {
	at := folder(t)
	slab := at("untrained.slab")
	if _, stderr, code := runCommand(t, "new", "--net", "resnet8w8", "--grey", "--size", "28", "--classes", "5", "--out", slab); code != 0 {
		t.Fatalf("exit code %d, %q", code, stderr)
	}
	for _, name := range []string{"net.onnx", "net.safetensors"} {
		_, stderr, code := runCommand(t, "export", slab, "--out", at(name))
		if b, err := os.ReadFile(at(name)); err != nil || code != 0 || len(b) < 50_000 {
			t.Errorf("%s: exit code %d, %q, %d bytes, %v", name, code, stderr, len(b), err)
		}
	}
	stdout, stderr, code := runCommand(t, "bench", "--model", slab, "--engines", "native", "--rounds", "2", "--json")
	var r bench.Report
	if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 0 || len(r.Engines) != 1 || len(r.Engines[0].Modes) != 3 {
		t.Errorf("exit code %d, %q, %q, %v", code, stdout, stderr, err)
	}
	if stdout, _, code := runCommand(t, "bench", "--model", slab, "--engines", "native", "--rounds", "2"); code != 0 || strings.Count(stdout, "native") != 3 {
		t.Errorf("exit code %d, %q", code, stdout)
	}
}

func TestScore(t *testing.T) {
	at := folder(t)
	stdout, stderr, code := runCommand(t, "score", "--model", at("tiny.slab"), "--out", at("lines"), "--mode", "aggregated", "--json", at("cut.png"), at("picture.png"))
	// The speed is that of the sentence on standard error.
	said := regexp.MustCompile(`(\d+) images/s on (\d+) cores: ([0-9.]+) core-hours a million images`).FindStringSubmatch(stderr)
	var r struct {
		Images, Bad, Resumed int
		Speed                float64 `json:"images_per_second"`
		Cost                 float64 `json:"core_hours_per_million_images"`
	}
	if err := json.Unmarshal([]byte(stdout), &r); code != 0 || err != nil || r.Images != 2 || r.Bad != 1 || r.Resumed != 0 ||
		said == nil || fmt.Sprintf("%.0f", r.Speed) != said[1] || fmt.Sprintf("%.2f", r.Cost) != said[3] {
		t.Errorf("exit code %d, %v, %q, %q", code, err, stdout, stderr)
	}
	b, err := os.ReadFile(at("lines"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(b), "\n")
	want, _, _ := runCommand(t, "predict", "--model", at("tiny.slab"), "--mode", "aggregated", "--json", at("picture.png"))
	if len(lines) != 3 || !strings.Contains(lines[0], `cut.png","error":`) || lines[1]+"\n" != want {
		t.Errorf("%q", lines)
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	at := folder(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := command(ctx, "serve", "--model", at("tiny.slab"), "--addr", "127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 200)
	n, err := stderr.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	base := regexp.MustCompile(`http://\S+/`).FindString(string(line[:n]))
	for name, want := range map[string]string{"": "text/html", "quarterturn/quarterturn.js": "text/javascript", "quarterturn/quarterturn.wasm": "application/wasm",
		"model.slab": "application/octet-stream", "models.json": "application/json"} {
		r, err := http.Get(base + name)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode != 200 || !strings.HasPrefix(r.Header.Get("Content-Type"), want) || len(b) == 0 ||
			!strings.Contains(r.Header.Get("Content-Security-Policy"), "default-src 'self'") {
			t.Errorf("/%s: status %d, %v, %d bytes, %v", name, r.StatusCode, r.Header, len(b), err)
		}
	}
	if r, err := http.Get(base + "nothing"); err != nil || r.StatusCode != 404 {
		t.Errorf("/nothing: %v %v", r, err)
	}
	if r, err := http.Post(base, "text/plain", nil); err != nil || r.StatusCode != 405 {
		t.Errorf("POST: %v %v", r, err)
	}
	ask := func(method, path string, body []byte) (status int, v map[string]any) {
		r, err := http.NewRequest(method, base+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		if err := json.NewDecoder(answer.Body).Decode(&v); err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return answer.StatusCode, v
	}
	picture, err := os.ReadFile(at("picture.png"))
	if err != nil {
		t.Fatal(err)
	}
	stdout, _, _ := runCommand(t, "predict", "--model", at("tiny.slab"), "--mode", "single", "--json", at("picture.png"))
	var want map[string]any
	if err := json.Unmarshal([]byte(stdout), &want); err != nil {
		t.Fatal(err)
	}
	if status, got := ask("POST", "v1/classify?mode=single", picture); status != 200 || got["digest"] != want["digest"] {
		t.Errorf("classify: %d %v, want %v", status, got, want)
	}
	if r, err := http.Get(base + "metrics"); err != nil || r.StatusCode != 200 {
		t.Errorf("metrics: %v %v", r, err)
	}
	// Another slab in its place, then one that is broken and changes nothing.
	for _, slab := range [][]byte{slatest.Slab(t, formattest.Odd()), []byte("broken")} {
		if err := os.WriteFile(at("tiny.slab"), slab, 0o644); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		name := any("")
		for range 200 {
			if _, model := ask("GET", "v1/model", nil); model["name"] == "odd" {
				name = model["name"]
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
		if name != "odd" {
			t.Error("the slab was not read again")
		}
	}
	if status, _ := ask("GET", "healthz", nil); status != 200 {
		t.Errorf("health: %d", status)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}
