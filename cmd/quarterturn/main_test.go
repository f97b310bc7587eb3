package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
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
		"picture.png": picture.Bytes(), "cut.png": picture.Bytes()[:60], "letter.txt": []byte("Dear reader"),
	} {
		if err := os.WriteFile(at(name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(at("run"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("run/config.json"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	return at
}

// Whatever is wrong, there is one line that says so and what to do, nothing on
// standard output, and the right exit code.
func TestBadInput(t *testing.T) {
	at := folder(t)
	for _, c := range []struct {
		args string // @name is a file of the folder
		code int
		want string
	}{
		{"frobnicate", 2, `unknown command "frobnicate"`},
		{"predict", 2, "give a slab, as the first argument or with --model"},
		{"predict --model @a --model @b @picture.png", 2, "this command takes one slab"},
		{"verify @tiny.slab @plain.slab", 2, `unexpected argument`},
		{"eval --model @tiny.slab @plain.slab --data fashion-mini", 2, `the slabs were given with --model`},
		{"predict --model @tiny.slab", 2, "give at least one image, after the slab"},
		{"predict --model @tiny.slab --fast @picture.png", 2, "unknown flag: --fast"},
		{"predict --model @none.slab @picture.png", 1, "none.slab: no such file"},
		{"predict --model @cut.slab @picture.png", 1, "corrupt slab"},
		{"predict --model @newer.slab @picture.png", 1, "update quarterturn"},
		{"predict --model @page.slab @picture.png", 1, "page.slab: not a slab: magic at byte 0: this looks like an HTML"},
		{"predict --model @tiny.slab @none.png", 1, "none.png: no such file"},
		{"predict --model @tiny.slab @letter.txt", 1, "letter.txt: not an image of a known kind"},
		{"predict --model @tiny.slab @cut.png", 1, "cut.png: "},
		{"score --model @tiny.slab --out @lines --shard 3/2 @picture.png", 2, `shard "3/2"`},
		{"score --model @tiny.slab --out @picture.png @picture.png", 1, "picture.png is there already"},
		{"score --model @tiny.slab --out @lines @none", 1, "none: no such file"},
		{"score --model @tiny.slab --out @lines.xlsx @picture.png", 2, "end the name in .jsonl"},
		{"score --model @tiny.slab --out @lines -", 1, "standard input (-) lists no files"},
		{"score --model @tiny.slab --out @bad @letter.txt", 1, "none of the 1 images could be classified"},
		{"serve --model @tiny.slab --tls-cert @letter.txt", 2, "go together"},
		{"predict --model @tiny.slab --mode fastest @picture.png", 2, "there is no mode fastest; use auto, baseline"},
		{"predict --model @plain.slab --mode aggregated @picture.png", 1, "this slab does not have the mode aggregated; it has baseline"},
		{"inspect @letter.txt", 1, "not a slab"},
		{"verify @cut.slab", 1, "corrupt slab"},
		{"fewshot eval --model @tiny.slab --data fashion-mini --way 11", 1, "10 classes have the 20 images that an episode needs, want 11"},
		{"fewshot train --data fashion-mini --out @new --head svm", 1, `head "svm": want proto or ridge`},
		{"fewshot train --data fashion-mini --out @new --way 6", 1, "10 classes are too few for episodes of 6"},
		{"fewshot train --data fashion-mini", 2, `required flag(s) "out" not set`},
		{"train --data fashion-mini --out @new --device tpu", 2, `device "tpu": want cpu, cuda or auto`},
		{"train --data omniglot:@none --out @lines", 1, "images_background_small1.zip"},
		{"calibrate --out @lines", 2, "give --run, or a slab and --data"},
		{"calibrate --run @none --out @lines", 1, "holds no run"},
		{"calibrate --model @plain.slab --data fashion-mini --out @lines", 1, "do not have the same classes"},
		{"train --out @lines --data fashion-mini --loss hinge", 1, `loss "hinge": want ce, cb-rw, cb-focal or ldam`},
		{"eval --model @tiny.slab --data mnist", 1, `data "mnist" is neither a folder nor`},
		{"eval --model @tiny.slab --data fashion-mini", 1, "do not have the same classes: the slab has cat, dog, été; fashion-mini has T-shirt"},
		{"eval --model @tiny.slab --data fashion-mini --split middle", 2, "want test or train"},
		{"train --data fashion-mini --out @run", 1, "holds a run already"},
		{"train --data fashion-mini --out @new --method slap", 1, "want baseline, da, mt, sla, sla+sd"},
		{"train --data fashion-mini --out @new --transform color3", 1, "the images are grey"},
		{"train --data cifar10:@none --out @new", 1, "no data_batch"},
		{"train --data fashion-mini", 2, "give --out, the folder of the run"},
		{"train", 2, "give a folder of pictures or --data, or --resume"},
		{"train @new --data fashion-mini", 2, "not both"},
		{"train --data fashion-mini --out @new --net resnet8 --from backbone", 2, "leave out --net or --from"},
		{"train --resume @run --batch 3", 2, "leave out --batch"},
		{"train --resume @none", 1, "holds no run"},
		{"train --resume @run", 1, "config.json"},
		{"parity --model @tiny.slab --targets native,abacus", 1, `there is no target "abacus"`},
		{"parity --model @tiny.slab --images @none", 1, "there is no folder"},
		{"parity --model @tiny.slab --images @run", 1, "holds no PNG"},
		{"bench --model @tiny.slab --engines native,v8", 1, `there is no engine "v8"; the engines are native, wazero, wazero-simd, node`},
		{"bench --model @tiny.slab --rounds 0", 2, "--rounds must be at least 1"},
		{"export @tiny.slab --out @tiny.pb", 2, "want a name that ends in .onnx or .safetensors"},
		{"export @cut.slab --out @cut.onnx", 1, "corrupt slab"},
		{"new --net resnet9 --out @nine.slab", 1, `net "resnet9", did you mean resnet8`},
		{"new --net resnet8 --size 0 --out @none.slab", 2, "at least 1"},
		{"reproduce nothing --out @runs", 2, `there is no experiment "nothing"`},
		{"reproduce cifar10 --out @runs", 1, "cifar10 needs the folder of the data set"},
		{"serve --model @tiny.slab --addr nowhere:http:x", 1, "too many colons"},
	} {
		var args []string
		for _, a := range strings.Fields(c.args) {
			if before, name, ok := strings.Cut(a, "@"); ok {
				a = before + at(name)
			}
			args = append(args, a)
		}
		stdout, stderr, code := runCommand(t, args...)
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		last := lines[len(lines)-1]
		if code != c.code || !strings.Contains(last, c.want) || !strings.HasPrefix(last, "quarterturn: ") || stdout != "" {
			t.Errorf("%s: exit code %d, standard output %q, last words %q; want %d and %q", c.args, code, stdout, last, c.code, c.want)
		}
	}
	if _, err := os.Stat(at("new")); err == nil {
		t.Error("a run that could not begin left its folder behind")
	}
}

func TestPredict(t *testing.T) {
	at := folder(t)
	stdout, stderr, code := runCommand(t, "predict", "--model", at("tiny.slab"), "--json", "--top", "2", "--mode", "aggregated", at("picture.png"))
	var p score.Line
	if err := json.Unmarshal([]byte(stdout), &p); err != nil || code != 0 || stderr != "" {
		t.Fatalf("exit code %d, %q, %q, %v", code, stdout, stderr, err)
	}
	if p.Mode != "aggregated" || p.Passes != 4 || len(p.Top) != 2 || p.Top[0].Probability < p.Top[1].Probability || !regexp.MustCompile("^[0-9a-f]{64}$").MatchString(p.Digest) {
		t.Errorf("%+v", p)
	}
	// A bad image among good ones is reported; the others are classified.
	stdout, stderr, code = runCommand(t, "predict", "--model", at("tiny.slab"), at("picture.png"), at("letter.txt"), at("picture.png"))
	if code != 1 || strings.Count(stdout, "picture.png:") != 2 || !strings.Contains(stderr, "1 of 3 images") {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
}

func TestInspectAndVerify(t *testing.T) {
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
	if code != 0 || strings.TrimSpace(stdout) != `{"images":2,"bad":1,"resumed":0}` {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
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
