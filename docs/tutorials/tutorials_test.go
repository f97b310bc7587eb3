// Package tutorials holds the test that runs the tutorials.
package tutorials

import (
	"context"
	"fmt"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn/quarterturn/trainer/dataset"
)

// block is a fenced piece of a page; a comment in its first line names the file it is.
var (
	block    = regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$")
	fileName = regexp.MustCompile(`^(?://|#|<!--) ([\w.-]+\.[a-z]+)\b`)
)

// minutes is what a reader waits for and a test need not.
var minutes = regexp.MustCompile(`--minutes \d+`)

// script turns a page into one shell script: files are written where they come, and training takes
// seconds for minutes.
func script(t *testing.T, page string) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("set -euo pipefail\n")
	for _, m := range block.FindAllStringSubmatch(page, -1) {
		if m[1] == "sh" {
			for line := range strings.Lines(m[2]) {
				b.WriteString(minutes.ReplaceAllString(line, "--minutes 0.1"))
			}
			continue
		}
		if name := fileName.FindStringSubmatch(m[2]); name != nil {
			fmt.Fprintf(&b, "cat > %s <<'END OF FILE'\n%sEND OF FILE\n", name[1], m[2])
		}
	}
	return b.String()
}

// photos writes the folder that the tutorials begin with, and a picture.
func photos(t *testing.T, dir string) {
	t.Helper()
	d, err := dataset.Load(t.Context(), "fashion-mini")
	if err != nil {
		t.Fatal(err)
	}
	counts := map[int]int{}
	write := func(name string, i int) {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := os.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := png.Encode(f, d.Image(&d.Train, i)); err != nil {
			t.Fatal(err)
		}
	}
	classes := map[int]string{1: "trouser", 7: "sneaker", 8: "bag"}
	for i, y := range d.Train.Labels {
		if name := classes[y]; name != "" && counts[y] < 30 {
			counts[y]++
			write(filepath.Join(dir, "photos", name, fmt.Sprintf("%04d.png", counts[y])), i)
		} else if name == "trouser" {
			write(filepath.Join(dir, "picture.png"), i)
			if counts[7] == 30 && counts[8] == 30 {
				return
			}
		}
	}
}

func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v: %s", name, args, err, out)
	}
}

// Every command of every tutorial does what it should: the shell stops at the first that
// fails. What would come from a registry comes from this checkout.
func TestTutorials(t *testing.T) {
	if testing.Short() {
		t.Skip("trains several nets")
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	bin := t.TempDir()
	run(t, root, "go", "build", "-o", filepath.Join(bin, "quarterturn"), "./cmd/quarterturn")
	realGo, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	shim := func(name, text string) {
		if err := os.WriteFile(filepath.Join(bin, name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	shim("go", fmt.Sprintf(`if [ "$1 $2" = "get github.com/quarterturn/quarterturn" ]; then
  %[1]s mod edit -go=1.26.0 -require=$2@v0.0.0 -replace=$2=%[2]s && cp %[2]s/go.sum . && exit 0
fi
case "$1" in run|build) set -- "$1" -mod=mod $(shift; echo "$@") ;; esac
exec %[1]s "$@"
`, realGo, root))
	needs := map[string]func(t *testing.T){
		"web": func(t *testing.T) {
			if _, err := os.Stat(filepath.Join(root, "www/node_modules")); err != nil {
				t.Skip("www/node_modules is missing; run: npm ci --prefix www")
			}
			npm, err := exec.LookPath("npm")
			if err != nil {
				t.Fatal(err)
			}
			packed := t.TempDir()
			run(t, filepath.Join(root, "www"), "node", "pack.js", packed)
			tarballs, _ := filepath.Glob(filepath.Join(packed, "*.tgz"))
			shim("npm", fmt.Sprintf("[ \"$*\" = 'install quarterturn' ] && exec %s install --offline --no-audit --no-fund %s\nexec %s \"$@\"\n", npm, tarballs[0], npm))
		},
		"operations": func(t *testing.T) {
			if _, err := exec.LookPath("minisign"); err != nil {
				t.Skip("minisign is not installed")
			}
		},
		"research": func(t *testing.T) {
			if exec.Command("python3", "-c", "import numpy").Run() != nil {
				if exec.Command("/usr/bin/python3", "-c", "import numpy").Run() != nil {
					t.Skip("there is no Python with numpy")
				}
				shim("python3", "exec /usr/bin/python3 \"$@\"\n")
			}
		},
	}
	for _, name := range []string{"web", "go", "research", "operations"} {
		t.Run(name, func(t *testing.T) {
			if need := needs[name]; need != nil {
				need(t)
			}
			page, err := os.ReadFile(name + ".md")
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			photos(t, dir)
			for from, to := range map[string]string{"../examples/python/slab.py": "slab.py", "../../www/models/cifar10.slab": "model.slab"} {
				b, err := os.ReadFile(from)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(dir, to), b, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
			defer cancel()
			cmd := exec.CommandContext(ctx, "bash", "-m", "-c", script(t, string(page))) // -m: kill %1
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"), "PYTHONDONTWRITEBYTECODE=1", "GOFLAGS=")
			cmd.WaitDelay = 5 * time.Second
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			} else if testing.Verbose() {
				t.Logf("%s", out)
			}
		})
	}
}
