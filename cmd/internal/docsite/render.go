package main

import (
	"bytes"
	"fmt"
	"html/template"
	"net/url"
	"path"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"
)

// A renderer turns pages into HTML.
type renderer struct {
	markdown goldmark.Markdown
	pages    map[string][]byte
	others   map[string]bool // files of the repository that pages link to
}

func newRenderer(pages map[string][]byte) *renderer {
	return &renderer{goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID())), pages, map[string]bool{}}
}

// render returns a page's HTML.
func (r *renderer) render(name string) ([]byte, error) {
	source := r.pages[name]
	document := r.markdown.Parser().Parse(text.NewReader(source))
	title := ""
	err := ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		var err error
		switch n := n.(type) {
		case *ast.Heading:
			if title == "" {
				title = string(n.Lines().Value(source))
			}
		case *ast.Link:
			n.Destination, err = r.link(name, n.Destination)
		case *ast.Image:
			n.Destination, err = r.link(name, n.Destination)
		}
		return ast.WalkContinue, err
	})
	if err != nil {
		return nil, err
	}
	var body, page bytes.Buffer
	if err := r.markdown.Renderer().Render(&body, source, document); err != nil {
		return nil, err
	}
	err = layout.Execute(&page, map[string]any{
		"Title": title, "Body": template.HTML(body.String()), "Menu": r.menuOf(name), "Root": toRoot(name),
	})
	return page.Bytes(), err
}

// link turns a destination in the repository into one in the site. A folder stands for
// the page in it; what is no page is copied.
func (r *renderer) link(from string, destination []byte) ([]byte, error) {
	u, err := url.Parse(string(destination))
	if err != nil || u.IsAbs() || u.Path == "" {
		return destination, err
	}
	target := path.Join(path.Dir(from), u.Path)
	switch _, page := r.pages[target]; {
	case strings.HasPrefix(target, "../"):
		return nil, fmt.Errorf("the link %s leads out of the repository", destination)
	case page:
		u.Path = strings.TrimSuffix(u.Path, path.Base(u.Path)) + path.Base(htmlName(target))
	case strings.HasSuffix(u.Path, "/"):
		if r.pages[target+"/README.md"] == nil {
			return nil, fmt.Errorf("the link %s leads to a folder without a README.md", destination)
		}
		u.Path += "index.html"
	default:
		r.others[target] = true
	}
	return []byte(u.String()), nil
}

// An entry of the menu.
type entry struct {
	Title, Link string
	Here        bool
}

type section struct {
	Title   string
	Entries []entry
}

func (r *renderer) menuOf(name string) []section {
	var out []section
	for _, m := range menu {
		s := section{Title: m.Title}
		for _, page := range m.Pages {
			first, _, _ := strings.Cut(string(r.pages[page]), "\n")
			s.Entries = append(s.Entries, entry{strings.TrimPrefix(first, "# "), toRoot(name) + htmlName(page), page == name})
		}
		out = append(out, s)
	}
	return out
}

// toRoot is the way from a page up to the site's root.
func toRoot(name string) string { return strings.Repeat("../", strings.Count(name, "/")) }

var layout = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{.Title}}{{if ne .Title "Quarterturn"}} - Quarterturn{{end}}</title>
<link rel="stylesheet" href="{{.Root}}docs/site.css">
<nav aria-label="Pages">
{{range .Menu}}{{if .Title}}<h2>{{.Title}}</h2>
{{end}}<ul>
{{range .Entries}}<li><a href="{{.Link}}"{{if .Here}} aria-current="page"{{end}}>{{.Title}}</a></li>
{{end}}</ul>
{{end}}<p><a href="{{.Root}}try/index.html">Try it in this browser</a> <a href="{{.Root}}bench/index.html">Time it in this browser</a></p>
</nav>
<main>
{{.Body}}</main>
</html>
`))

const style = `:root { color-scheme: light dark; --line: light-dark(#d4d4d4, #444); --soft: light-dark(#f4f4f2, #222); }
body { margin: 0; font: 16px/1.55 system-ui, sans-serif; display: grid; grid-template-columns: 15rem minmax(0, 1fr); }
nav { padding: 1.5rem 1rem; border-right: 1px solid var(--line); font-size: .9rem; }
nav h2 { font-size: .8rem; margin: 1.2rem 0 .3rem; opacity: .7; }
nav ul { list-style: none; margin: 0; padding: 0; }
nav a { display: block; padding: .15rem 0; text-decoration: none; }
nav a[aria-current] { font-weight: 600; color: inherit; }
main { padding: 1.5rem 2rem 4rem; max-width: 54rem; }
pre { background: var(--soft); padding: .8rem 1rem; overflow-x: auto; font-size: .85rem; line-height: 1.4; }
code { font-family: ui-monospace, monospace; font-size: .9em; }
table { border-collapse: collapse; display: block; overflow-x: auto; font-size: .9rem; }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .7rem .3rem 0; text-align: left; vertical-align: top; }
img { max-width: 100%; height: auto; }
@media (max-width: 45rem) { body { display: block; } nav { border-right: 0; border-bottom: 1px solid var(--line); } main { padding: 1rem; } }
`
