package abi

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
)

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// script reads a file of the JavaScript package.
func script(t *testing.T, name string) string {
	t.Helper()
	return read(t, "../../www/quarterturn/"+name)
}

// words returns the quoted words of what the first group of a pattern matches.
func words(t *testing.T, text, pattern string) []string {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("nothing is like %s", pattern)
	}
	var w []string
	for _, q := range regexp.MustCompile(`'([^']*)'`).FindAllStringSubmatch(m[1], -1) {
		w = append(w, q[1])
	}
	return w
}

func TestTheModuleExportsWhatIsListed(t *testing.T) {
	var exported []string
	for _, m := range regexp.MustCompile(`(?m)^//go:wasmexport (\S+)$`).FindAllStringSubmatch(read(t, "../main.go"), -1) {
		exported = append(exported, m[1])
	}
	listed := slices.Clone(Exports[:])
	slices.Sort(exported)
	slices.Sort(listed)
	if !slices.Equal(exported, listed) {
		t.Errorf("package wasm exports %v, listed are %v", exported, listed)
	}
	doc := read(t, "../doc.go")
	for _, name := range Exports {
		if !strings.Contains(doc, name) {
			t.Errorf("the documentation of package wasm lacks %s", name)
		}
	}
}

func TestJavaScriptSpeaksThisInterface(t *testing.T) {
	guest, types := script(t, "guest.js"), script(t, "quarterturn.d.ts")
	if !strings.Contains(guest, fmt.Sprintf("const ABI = %d;", Version)) {
		t.Errorf("guest.js speaks another version than %d", Version)
	}
	if got := words(t, guest, `(?s)export const modes = \[(.*?)\]`); !slices.Equal(got, sla.ModeNames()) {
		t.Errorf("guest.js has the modes %v, package sla %v", got, sla.ModeNames())
	}
	if got := words(t, types, `(?s)export type Mode =(.*?);`); !slices.Equal(got, sla.ModeNames()[1:]) {
		t.Errorf("quarterturn.d.ts has the modes %v, package sla %v", got, sla.ModeNames()[1:])
	}
	var names []string
	for _, r := range Results {
		names = append(names, r.Name)
	}
	if got := words(t, script(t, "errors.js"), `(?s)export const codes = \[(.*?)\]`); !slices.Equal(got, names) {
		t.Errorf("errors.js has the codes %v, want %v", got, names)
	}
	codes := words(t, types, `(?s)export type ErrorCode =(.*?);`)
	for _, name := range names[1:] {
		if !slices.Contains(codes, name) {
			t.Errorf("quarterturn.d.ts lacks the code %s", name)
		}
	}
	for _, m := range regexp.MustCompile(`'(qt_\w+)'`).FindAllStringSubmatch(guest, -1) {
		if !slices.Contains(Exports[:], m[1]) {
			t.Errorf("guest.js calls %s, which is no export", m[1])
		}
	}
	if !strings.Contains(script(t, "wasi.js"), "'GOGC="+GOGC+`\0'`) {
		t.Errorf("wasi.js starts the module with another GOGC than %s", GOGC)
	}
}

// The description of the HTTP interface has every mode wherever it has some.
func TestOpenAPIHasTheModes(t *testing.T) {
	var v any
	if err := json.Unmarshal([]byte(read(t, "../../host/openapi.json")), &v); err != nil {
		t.Fatal(err)
	}
	found := 0
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				walk(x)
			}
		case map[string]any:
			for _, x := range v {
				walk(x)
			}
			enum, _ := v["enum"].([]any)
			var names []string
			for _, x := range enum {
				name, _ := x.(string)
				names = append(names, name)
			}
			if !slices.Contains(names, sla.Baseline.String()) {
				return
			}
			found++
			want := sla.ModeNames()
			if names[0] != want[0] {
				want = want[1:] // an answer's mode is never auto
			}
			if !slices.Equal(names, want) {
				t.Errorf("openapi.json has the modes %v, want %v", names, want)
			}
		}
	}
	walk(v)
	if found < 2 {
		t.Errorf("openapi.json lists the modes %d times; want them in the question and in the answer", found)
	}
}

// The specification has a row for every mode and every kind of head.
func TestTheSpecificationHasModesAndHeads(t *testing.T) {
	spec := read(t, "../../docs/format.md")
	for _, name := range append(sla.ModeNames()[1:], format.HeadClass, format.HeadJoint, format.HeadDistilled) {
		if !regexp.MustCompile("(?m)^\\| `" + name + "` \\|").MatchString(spec) {
			t.Errorf("docs/format.md has no row for %s", name)
		}
	}
}

func TestCodes(t *testing.T) {
	for i, r := range Results {
		if got := Code(r.Err); got != int32(i) {
			t.Errorf("%s has the code %d, want %d", r.Name, got, i)
		}
	}
	_, err := sla.ParseMode("fastest")
	if r := Results[Code(err)]; r.Name != "mode" {
		t.Errorf("an error that wraps its kind has the code %s", r.Name)
	}
}
