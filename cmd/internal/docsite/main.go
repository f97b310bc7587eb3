// Command docsite writes the documentation as static files, for any host:
//
//	go run ./cmd/internal/docsite -out site -bench DIR
//
// The pages are the README, docs/ and the project's other pages, the help of every
// command, and the page of `quarterturn serve`, live, under try/. DIR holds the benchmark page, which
// `npm run page -- DIR` makes in www/bench; it goes under bench/. `make site` does both.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/trainer/backbone"
	"github.com/quarterturn/quarterturn/www"
)

// menu is what every page lists on its side.
var menu = []struct {
	Title string
	Pages []string // files of the repository
}{
	{"", []string{"README.md"}},
	{"Start", []string{"docs/tutorials/web.md", "docs/tutorials/go.md", "docs/tutorials/research.md", "docs/tutorials/operations.md", "docs/examples/README.md"}},
	{"Use", []string{"docs/commands.md", "www/quarterturn/README.md", "docs/service.md", "docs/security.md"}},
	{"Know", []string{"docs/results.md", "docs/performance.md", "docs/format.md", "docs/glossary.md", "www/models/README.md"}},
	{"Work on it", []string{"docs/architecture.md", "RATIONALE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"}},
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("docsite: ")
	out := flag.String("out", "", "folder to write")
	bench := flag.String("bench", "", "folder of the benchmark page")
	flag.Parse()
	if *out == "" || *bench == "" {
		log.Fatal("give -out DIR and -bench DIR, or run make site")
	}
	files, err := site(".", *bench)
	if err != nil {
		log.Fatal(err)
	}
	for name, b := range files {
		file := filepath.Join(*out, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			log.Fatal(err)
		}
		if err := atomicfile.Write(file, b); err != nil {
			log.Fatal(err)
		}
	}
	log.Printf("wrote %d files to %s", len(files), *out)
}

// site returns the files of the site by their names. root is the repository.
func site(root, bench string) (map[string][]byte, error) {
	pages := map[string][]byte{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/README.md", "docs/tutorials/*.md", "www/quarterturn/README.md", "www/models/README.md"} {
		names, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			short, err := filepath.Rel(root, name)
			if err != nil {
				return nil, err
			}
			pages[filepath.ToSlash(short)] = b
		}
	}
	files := map[string][]byte{"docs/site.css": []byte(style)}
	err := live(files, bench)
	if err != nil {
		return nil, err
	}
	if pages["docs/commands.md"], err = commands(root); err != nil {
		return nil, err
	}
	r := newRenderer(pages)
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		if files[htmlName(name)], err = r.render(name); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	// What the pages show or refer to lies where it does in the repository.
	for name := range r.others {
		b, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(name)))
		if err != nil {
			return nil, err
		}
		files[name] = b
	}
	return files, nil
}

// live adds the page, with the slabs that come along, and the benchmark.
func live(files map[string][]byte, bench string) error {
	page, err := www.Site([]www.Shown{{Slab: www.Model, Samples: www.ModelSamples()}, {Slab: backbone.Slab, Teach: true}})
	if err != nil {
		return err
	}
	for name, b := range page {
		files["try/"+name] = b
	}
	if _, err := os.Stat(filepath.Join(bench, "index.html")); err != nil {
		return fmt.Errorf("the benchmark page: %w", err)
	}
	return fs.WalkDir(os.DirFS(bench), ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		files["bench/"+name], err = os.ReadFile(filepath.Join(bench, name))
		return err
	})
}

// commands returns a page with the help of every command.
func commands(root string) ([]byte, error) {
	dir, err := os.MkdirTemp("", "docsite")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "quarterturn")
	build := exec.Command("go", "build", "-o", program, "./cmd/quarterturn")
	build.Dir, build.Stderr = root, os.Stderr
	if err := build.Run(); err != nil {
		return nil, fmt.Errorf("building the command: %w", err)
	}
	help := func(args ...string) (string, error) {
		b, err := exec.Command(program, append(args, "--help")...).Output()
		return string(b), err
	}
	text, err := help()
	if err != nil {
		return nil, err
	}
	var page strings.Builder
	page.WriteString("# The command line\n\n```text\n" + text + "```\n")
	names := subcommands(text)
	if len(names) == 0 {
		return nil, errors.New("the help of the command lists no commands")
	}
	for len(names) > 0 {
		name := names[0]
		names = names[1:]
		text, err := help(strings.Fields(name)...)
		if err != nil {
			return nil, fmt.Errorf("quarterturn %s --help: %w", name, err)
		}
		fmt.Fprintf(&page, "\n## quarterturn %s\n\n```text\n%s```\n", name, text)
		if name == "fewshot" {
			for _, sub := range subcommands(text) {
				names = append([]string{name + " " + sub}, names...)
			}
		}
	}
	return []byte(page.String()), nil
}

// subcommands reads the names of commands off a help text.
func subcommands(help string) (names []string) {
	in := false
	for line := range strings.Lines(help) {
		switch first, _, _ := strings.Cut(strings.TrimSpace(line), " "); {
		case strings.HasPrefix(line, "Flags:"):
			return names
		case !strings.HasPrefix(line, " "):
			title := strings.TrimSpace(line)
			in = strings.HasSuffix(title, ":") && title != "Usage:" && title != "Examples:"
		case in && first != "help":
			names = append(names, first)
		}
	}
	return names
}

// htmlName is the name of a page's file in the site.
func htmlName(page string) string {
	dir, base := path.Split(page)
	if base == "README.md" {
		return dir + "index.html"
	}
	return strings.TrimSuffix(page, ".md") + ".html"
}
