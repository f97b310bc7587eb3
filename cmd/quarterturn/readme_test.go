package main

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/cmd/quarterturn/internal/parity"
	"github.com/quarterturn/quarterturn/wasm/module"
)

// The size and the number of targets that the README begins with are those of today.
func TestFiguresOfTheREADME(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(module.WASM)
	w.Close()
	hundreds := 100 * math.Round(float64(b.Len())/100_000)
	for _, want := range []string{fmt.Sprintf("**%.0f KB**", hundreds), fmt.Sprintf("**%d targets**", len(parity.Targets))} {
		if !strings.Contains(string(readme), want) {
			t.Errorf("the README does not say %s", want)
		}
	}
}
