package main

import (
	"bytes"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// Every link of every page of the documentation leads to a file of the site, and to an
// anchor that is there.
func TestSiteHasNoDeadLinks(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the command")
	}
	bench := t.TempDir()
	if _, err := site("../../..", bench); err == nil || !strings.Contains(err.Error(), "benchmark page") {
		t.Fatalf("without the benchmark page: %v", err)
	}
	if err := os.WriteFile(filepath.Join(bench, "index.html"), []byte("<p>benchmark"), 0o644); err != nil {
		t.Fatal(err)
	}
	files, err := site("../../..", bench)
	if err != nil {
		t.Fatal(err)
	}
	ids, links := map[string]map[string]bool{}, map[string][]string{}
	for name, b := range files {
		if path.Ext(name) != ".html" || strings.HasPrefix(name, "try/") || strings.HasPrefix(name, "bench/") || strings.HasPrefix(name, "docs/examples/browser") {
			continue
		}
		ids[name] = map[string]bool{}
		for z := html.NewTokenizer(bytes.NewReader(b)); ; {
			if z.Next() == html.ErrorToken {
				break
			}
			for _, a := range z.Token().Attr {
				switch a.Key {
				case "id":
					ids[name][a.Val] = true
				case "href", "src":
					links[name] = append(links[name], a.Val)
				}
			}
		}
	}
	checked := 0
	for name, list := range links {
		for _, link := range list {
			if strings.Contains(link, "://") {
				continue
			}
			target, anchor, _ := strings.Cut(link, "#")
			if target = path.Join(path.Dir(name), target); strings.HasPrefix(link, "#") {
				target = name
			}
			checked++
			if files[target] == nil {
				t.Errorf("%s: the link %s leads nowhere", name, link)
			} else if anchor != "" && ids[target] != nil && !ids[target][anchor] {
				t.Errorf("%s: %s has no heading for the link %s", name, target, link)
			}
		}
	}
	if checked < 300 || len(ids) < 20 {
		t.Errorf("%d links of %d pages", checked, len(ids))
	}
	if b := files["docs/commands.html"]; !bytes.Contains(b, []byte("quarterturn fewshot eval")) || !bytes.Contains(b, []byte("--weight-decay")) {
		t.Error("the page of the commands is not whole")
	}
}

// Paths of the repository that pages name in code are there.
func TestPathsInPagesExist(t *testing.T) {
	const root = "../../.."
	named := regexp.MustCompile("`((?:format|sla|wasm|host|trainer|www|cmd|docs|\\.ci)/[\\w./-]+)`")
	seen := 0
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "www/*/README.md"} {
		pages, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, page := range pages {
			if filepath.Base(page) == "CHANGELOG.md" { // tells of what was
				continue
			}
			b, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range named.FindAllStringSubmatch(string(b), -1) {
				seen++
				if _, err := os.Stat(filepath.Join(root, m[1])); err != nil && !strings.Contains(m[1], "node_modules") {
					t.Errorf("%s names %s, which is not there", filepath.Base(page), m[1])
				}
			}
		}
	}
	if seen < 50 {
		t.Errorf("only %d paths", seen)
	}
}
