// Command licences writes THIRD_PARTY_LICENCES: the licence and notice texts of
// everything that is compiled into the programs of this repository's main module, on
// any of the systems it is built for. With -check it compares instead of writing.
package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// A module is what `go list` says of one.
type module struct {
	Path, Version, Dir string
	Main               bool
	Replace            *module
}

// A text is a licence or notice, and the modules that come with it.
type text struct {
	body  string
	files []string // MODULE VERSION: FILE
}

// texts are the names of files that must go with copies of a program.
var texts = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([-._].*)?$`)

func main() {
	log.SetFlags(0)
	file := flag.String("file", "THIRD_PARTY_LICENCES", "the file to write")
	check := flag.Bool("check", false, "fail if the file is not what would be written")
	flag.Parse()
	want, err := collect()
	if err != nil {
		log.Fatal("licences: ", err)
	}
	if !*check {
		if err := os.WriteFile(*file, want, 0o644); err != nil {
			log.Fatal("licences: ", err)
		}
		return
	}
	if got, err := os.ReadFile(*file); err != nil || !bytes.Equal(got, want) {
		log.Fatalf("licences: %s is not what the dependencies say; run: go run ./cmd/internal/licences (%v)", *file, err)
	}
}

// collect returns the whole file.
func collect() ([]byte, error) {
	modules, err := compiledIn()
	if err != nil {
		return nil, err
	}
	var all []*text
	add := func(body, from string) {
		body = strings.TrimSpace(strings.ReplaceAll(body, "\r\n", "\n"))
		for _, t := range all {
			if t.body == body {
				t.files = append(t.files, from)
				return
			}
		}
		all = append(all, &text{body, []string{from}})
	}
	// go list knows no module for the standard library, of which the runtime is in every
	// program and wasm_exec.js in the npm package.
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, err
	}
	body, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(goroot)), "LICENSE"))
	if err != nil {
		return nil, err
	}
	add(string(body), "the Go standard library: LICENSE")
	if err := inTree(add); err != nil {
		return nil, err
	}
	for _, m := range modules {
		entries, err := os.ReadDir(m.Dir)
		if err != nil {
			return nil, err
		}
		found := false
		for _, e := range entries {
			if e.IsDir() || !texts.MatchString(e.Name()) || strings.HasSuffix(e.Name(), ".go") {
				continue
			}
			body, err := os.ReadFile(filepath.Join(m.Dir, e.Name()))
			if err != nil {
				return nil, err
			}
			add(string(body), fmt.Sprintf("%s %s: %s", m.Path, m.Version, e.Name()))
			found = true
		}
		if !found {
			return nil, fmt.Errorf("%s %s has no licence file in %s", m.Path, m.Version, m.Dir)
		}
	}

	var b bytes.Buffer
	b.WriteString("Quarterturn's programs contain software of others, under the licences below.\n" +
		"This file is generated: go run ./cmd/internal/licences\n")
	for _, t := range all {
		fmt.Fprintf(&b, "\n%s\n%s\n\n%s\n", strings.Repeat("=", 80), strings.Join(t.files, "\n"), t.body)
	}
	return b.Bytes(), nil
}

// inTree adds the licences of what lies in this repository but is not its own, such as
// the built-in pictures.
func inTree(add func(body, from string)) error {
	own, err := os.ReadFile("LICENSE")
	if err != nil {
		return err
	}
	return filepath.WalkDir(".", func(name string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && (e.Name() == "node_modules" || len(name) > 1 && strings.HasPrefix(e.Name(), ".")):
			return fs.SkipDir
		case e.IsDir() || e.Name() != "LICENSE":
			return nil
		}
		body, err := os.ReadFile(name)
		if err == nil && !bytes.Equal(body, own) {
			add(string(body), "in this repository: "+filepath.ToSlash(name))
		}
		return err
	})
}

// compiledIn returns the modules of all packages that the programs need on one of the
// systems, sorted by path.
func compiledIn() ([]module, error) {
	seen := map[string]module{}
	for _, target := range []string{"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64"} {
		goos, goarch, _ := strings.Cut(target, "/")
		cmd := exec.Command("go", "list", "-deps", "-json=Module", "./...")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+goos, "GOARCH="+goarch)
		cmd.Stderr = os.Stderr
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("go list for %s: %w", target, err)
		}
		for d := json.NewDecoder(bytes.NewReader(out)); ; {
			var p struct{ Module *module }
			if err := d.Decode(&p); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				return nil, err
			}
			m := p.Module
			if m == nil || m.Main {
				continue
			}
			if m.Replace != nil {
				m = m.Replace
			}
			seen[m.Path] = *m
		}
	}
	var modules []module
	for _, m := range seen {
		modules = append(modules, m)
	}
	slices.SortFunc(modules, func(a, b module) int { return cmp.Compare(a.Path, b.Path) })
	return modules, nil
}
