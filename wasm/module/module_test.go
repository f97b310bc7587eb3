package module

import (
	"bytes"
	"compress/gzip"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/wasm/internal/gen"
	"github.com/quarterturn/quarterturn/wasm/internal/narrow"
)

var update = flag.Bool("update", false, "renew the committed modules")

// toolchain builds the modules: another Go makes other bytes.
const toolchain = "go1.26.8"

// build compiles package wasm. Without inlining and with the plainer collector the
// module is 38 KB (gzip) smaller, at equal speed.
func build(t *testing.T, goos string, flags ...string) []byte {
	t.Helper()
	out := filepath.Join(t.TempDir(), "module.wasm")
	args := append([]string{"build", "-trimpath", "-buildvcs=false", "-ldflags=-w -buildid=",
		"-gcflags=all=-l"}, flags...)
	cmd := exec.Command("go", append(args, "-o", out, "github.com/quarterturn/quarterturn/wasm")...)
	cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=wasm", "GOWASM=", "GOFLAGS=", "CGO_ENABLED=0",
		"GOEXPERIMENT=nogreenteagc", "GOTOOLCHAIN="+toolchain)
	if b, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building for %s: %v\n%s", goos, err, b)
	}
	module, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return module
}

func TestCommittedModulesAreFresh(t *testing.T) {
	finish := func(module []byte, vectors bool) []byte {
		out, err := narrow.Module(module, gen.Bodies(vectors))
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	wasip1, js := build(t, "wasip1", "-buildmode=c-shared"), build(t, "js")
	cmd := exec.Command("go", "env", "GOROOT")
	cmd.Env = append(os.Environ(), "GOTOOLCHAIN="+toolchain)
	root, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	glue, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(root)), "lib", "wasm", "wasm_exec.js"))
	if err != nil {
		t.Fatal(err)
	}
	for committed, want := range map[string][]byte{
		"quarterturn.wasm":              finish(wasip1, false),
		"quarterturn-simd.wasm":         finish(wasip1, true),
		"gojs/quarterturn-js.wasm":      finish(js, false),
		"gojs/quarterturn-js-simd.wasm": finish(js, true),
		"gojs/wasm_exec.js":             glue,
	} {
		if *update {
			if err := os.WriteFile(committed, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		have, err := os.ReadFile(committed)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(have, want) {
			t.Errorf("%s is not what the sources build: run go generate ./wasm/module", committed)
		}
	}
}

func TestModulesAreSmall(t *testing.T) {
	const limit = 620_000
	for name, module := range map[string][]byte{"plain": WASM, "SIMD": SIMD} {
		var b bytes.Buffer
		w, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		w.Write(module)
		w.Close()
		if b.Len() > limit {
			t.Errorf("the %s module is %d bytes gzipped, more than %d", name, b.Len(), limit)
		}
		t.Logf("%s: %d bytes, %d gzipped", name, len(module), b.Len())
	}
}

// What would make the module large or slow to start stays out of it.
func TestModuleImportsLittle(t *testing.T) {
	for _, goos := range []string{"wasip1", "js"} {
		cmd := exec.Command("go", "list", "-deps", "github.com/quarterturn/quarterturn/wasm")
		cmd.Env = append(os.Environ(), "GOOS="+goos, "GOARCH=wasm")
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, dep := range strings.Fields(string(out)) {
			switch {
			case dep == "fmt" || dep == "reflect" || dep == "os" || dep == "image" || strings.HasPrefix(dep, "encoding"),
				strings.HasPrefix(dep, "crypto"), strings.Contains(dep, "msgpack"), strings.Contains(dep, "gorgonia"):
				// GOOS=js reaches the host through syscall/js, which needs none of these either.
				t.Errorf("%s: the module imports %s", goos, dep)
			}
		}
	}
}
