package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/trainer"
)

// The npm package and the program have one version.
func TestOneVersion(t *testing.T) {
	b, err := os.ReadFile("../../www/quarterturn/package.json")
	if err != nil {
		t.Fatal(err)
	}
	var npm struct{ Version string }
	if err := json.Unmarshal(b, &npm); err != nil {
		t.Fatal(err)
	}
	tool := strings.TrimPrefix(trainer.Tool, "quarterturn ")
	if npm.Version != tool+".0" && npm.Version != tool {
		t.Errorf("the npm package has the version %s, the program %s", npm.Version, tool)
	}
	if v := version(); v != tool && !strings.HasPrefix(v, tool+" (") {
		t.Errorf("--version says %s", v)
	}
}
