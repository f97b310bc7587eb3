package main

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestImport(t *testing.T) {
	t.Parallel()
	at := folder(t)
	const fixtures = "../../format/convert/testdata/"
	// A slab comes back byte for byte.
	if _, stderr, code := runCommand(t, "export", at("tiny.slab"), "--out", at("tiny.safetensors")); code != 0 {
		t.Fatal(stderr)
	}
	if _, stderr, code := runCommand(t, "import", at("tiny.safetensors"), "--out", at("again.slab")); code != 0 {
		t.Fatal(stderr)
	}
	a, errA := os.ReadFile(at("tiny.slab"))
	b, errB := os.ReadFile(at("again.slab"))
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("another slab came back: %v, %v", errA, errB)
	}
	// A state dict becomes a slab that verifies and classifies with its labels.
	if err := os.WriteFile(at("labels.txt"), []byte("ant\r\nbee\ncow\ndog\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	normalisation := []string{"--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"}
	for file, size := range map[string]string{"other.safetensors": "12", "other.onnx": "0"} {
		args := append([]string{"import", fixtures + file, "--out", at("other.slab"), "--size", size, "--labels", at("labels.txt")}, normalisation...)
		if _, stderr, code := runCommand(t, args...); code != 0 {
			t.Errorf("%s: %s", file, stderr)
			continue
		}
		if _, stderr, code := runCommand(t, "verify", at("other.slab")); code != 0 {
			t.Errorf("%s: %s", file, stderr)
		}
		stdout, stderr, code := runCommand(t, "predict", at("other.slab"), at("picture.png"))
		if code != 0 || !strings.Contains(stdout, "bee ") || !strings.Contains(stdout, "(baseline)") {
			t.Errorf("%s: exit code %d, %q, %q", file, code, stdout, stderr)
		}
	}
	for args, want := range map[string]string{
		"picture.png": "want a name that ends in .safetensors or .onnx",
		"net.pth":     "can run code",
	} {
		if _, stderr, code := runCommand(t, "import", at(args), "--out", at("x.slab")); code == 0 || !strings.Contains(stderr, want) {
			t.Errorf("%s: exit code %d, %q", args, code, stderr)
		}
	}
	for _, bad := range []string{"bee\x1b[31m", " "} {
		if err := os.WriteFile(at("bad.txt"), []byte("ant\n"+bad+"\ncow\ndog\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, stderr, code := runCommand(t, "import", fixtures+"other.onnx", "--labels", at("bad.txt"), "--out", at("x.slab")); code != 1 || !strings.Contains(stderr, "line 2: ") {
			t.Errorf("the label %q: exit code %d, %q", bad, code, stderr)
		}
	}
	if _, stderr, code := runCommand(t, "import", fixtures+"basic.onnx", "--out", at("x.slab")); code != 1 || !strings.Contains(stderr, "give as many means and standard deviations") {
		t.Errorf("without a mean: exit code %d, %q", code, stderr)
	}
	if _, stderr, code := runCommand(t, "import", at("tiny.safetensors"), "--size", "8", "--out", at("x.slab")); code != 2 || !strings.Contains(stderr, "--size: this is a slab that was exported") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}
