package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// docs/service.md speaks of every flag of serve and of no other, with their defaults.
func TestServiceDocs(t *testing.T) {
	b, err := os.ReadFile("../../docs/service.md")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	flags := serveCommand().Flags()
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" && f.Name != "model" && f.Name != "addr" && !strings.Contains(text, "--"+f.Name) {
			t.Errorf("docs/service.md does not speak of --%s", f.Name)
		}
	})
	for _, m := range regexp.MustCompile(`--([a-z][a-z-]+)`).FindAllStringSubmatch(text, -1) {
		if flags.Lookup(m[1]) == nil && m[1] != "data-binary" {
			t.Errorf("docs/service.md speaks of --%s, which there is not", m[1])
		}
	}
	for _, m := range regexp.MustCompile("`--([a-z-]+)` \\| `(QUARTERTURN_[A-Z_]+)` \\| (\\d+s?) ").FindAllStringSubmatch(text, -1) {
		if f := flags.Lookup(m[1]); f.DefValue != m[3] || environmentName(f.Name) != m[2] {
			t.Errorf("%v: the default is %s, the variable %s", m[0], f.DefValue, environmentName(f.Name))
		}
	}
}

// What "go install" takes has no replace directive in its way.
func TestGoInstallable(t *testing.T) {
	b, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if regexp.MustCompile(`(?m)^\s*(replace|exclude)\b`).Match(b) {
		t.Error("go.mod has a replace or exclude directive")
	}
}
