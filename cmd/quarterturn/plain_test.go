package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/sla/slatest"
)

// What others named cannot move the cursor, make links, turn what follows or forge a line,
// whichever command prints it; JSON tells the names as they are.
func TestForeignNamesOnTerminals(t *testing.T) {
	at := folder(t)
	picture, err := os.ReadFile(at("picture.png"))
	if err != nil {
		t.Fatal(err)
	}
	m := formattest.Tiny(3)
	m.Labels = []string{"a\nFORGED.png: cat", "b\x1b]8;;x\x07link", "c\u202egnp.\u009b"}
	m.Name, m.Provenance.Data = "\x1b[2Jslab", "\x1b[31mdata\nFORGED"
	m.Layers[0].Name = "\x1b[1mstem"
	slab := at("\x1b[31m\nFORGED.slab")
	if err := os.WriteFile(slab, slatest.Slab(t, m), 0o644); err != nil {
		t.Fatal(err)
	}
	data := at("\x1b[31mdata\nFORGED")
	for i, class := range m.Labels {
		for k := range 4 {
			name := filepath.Join(data, class, strings.Repeat("x", k+1)+"\x1b[5m\nFORGED.png")
			content := append([]byte{}, picture...)
			if k == 3 {
				content = content[:40+i]
			}
			if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	image, none := at("\x07\nFORGED.png"), at("none\x1b[31m\nFORGED.png")
	if err := os.WriteFile(image, picture, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"inspect", slab},
		{"predict", slab, image, none},
		{"predict", slab, none},
		{"verify", slab},
		{"eval", slab, "--data", "folder:" + data, "--split", "train", "--skip-broken"},
		{"eval", slab, "--data", "folder:" + data, "--split", "train"},
		{"score", slab, "--out", at("\x1b[31m\nFORGED.jsonl"), data, image},
		{"train", data + "none"},
		{"\x1b[31m\nFORGED"},
	} {
		stdout, stderr, _ := runCommand(t, args...)
		text := stdout + stderr
		for line := range strings.SplitSeq(text, "\n") {
			if strings.HasPrefix(strings.TrimSpace(line), "FORGED") || strings.ContainsFunc(line, func(r rune) bool { return unicode.IsControl(r) || r == '\u202e' }) {
				t.Errorf("%q prints %q", args, line)
			}
		}
		if !strings.Contains(text, "FORGED") {
			t.Errorf("%q does not name the name: %q", args, text)
		}
	}
	stdout, _, code := runCommand(t, "predict", "--json", slab, image)
	if code != 0 || !strings.Contains(stdout, `"a\nFORGED.png: cat"`) {
		t.Errorf("exit code %d, %q", code, stdout)
	}
}
