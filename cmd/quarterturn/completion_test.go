package main

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// offered returns what a shell would offer for the last of the arguments, which has begun.
func offered(t *testing.T, args ...string) (words []string, directive string) {
	t.Helper()
	stdout, _, code := runCommand(t, append([]string{cobra.ShellCompNoDescRequestCmd}, args...)...)
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	if code != 0 {
		t.Errorf("%q: exit code %d", args, code)
	}
	return lines[:len(lines)-1], lines[len(lines)-1]
}

func TestCompletion(t *testing.T) {
	const nothingElse, noBlank, files = ":4", ":6", ":0"
	for _, c := range []struct {
		line, words, directive string
	}{
		{"score x.slab --mode ", "auto baseline single aggregated distilled adaptive", nothingElse},
		{"predict --mode=a", "auto aggregated adaptive", nothingElse},
		{"export x.slab --mode h", "heads", nothingElse},
		{"eval --split ", "test train", nothingElse},
		{"train --method sla", "sla sla+sd sla+od", nothingElse},
		{"fewshot train --method ", "sla baseline", nothingElse},
		{"train --net resnet2", "resnet20", nothingElse},
		{"train --augment flip", "flip flip-alternate", noBlank},
		{"train --augment crop,flip-alternate,", "crop,flip-alternate,crop-reflect crop,flip-alternate,flip crop,flip-alternate,rand crop,flip-alternate,cutout", noBlank},
		{"train --from b", "backbone", files},
		{"bench --engines native,n", "native,node native,node-simd", noBlank},
		{"parity --targets firefox", "firefox firefox-simd", noBlank},
		{"score --model ", "", files},
	} {
		if words, directive := offered(t, strings.Split(c.line, " ")...); strings.Join(words, " ") != c.words || directive != c.directive {
			t.Errorf("%s: %q, %s", c.line, words, directive)
		}
	}
}

// Whatever is offered is in the flag's help, and is a value that the command takes: it goes on until
// it misses a file, or the program for a GPU.
func TestOfferedWords(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	lines := map[string][]string{
		"quarterturn train":         {"train", missing},
		"quarterturn fewshot train": {"fewshot", "train", "--data", "folder:" + missing, "--out", missing + "/out"},
		"quarterturn fewshot eval":  {"fewshot", "eval", missing, "--data", "fashion-mini"},
		"quarterturn predict":       {"predict", missing, "picture.png"},
		"quarterturn score":         {"score", missing, "--out", "lines.jsonl", "."},
		"quarterturn export":        {"export", missing, "--out", "x.onnx"},
		"quarterturn eval":          {"eval", missing, "--data", "fashion-mini"},
		"quarterturn calibrate":     {"calibrate", missing, "--data", "fashion-mini", "--out", "x.slab"},
		"quarterturn bench":         {"bench", missing},
		"quarterturn parity":        {"parity", missing},
		"quarterturn serve":         {"serve", missing},
		"quarterturn new":           {"new", "--out", missing + "/x.slab"},
	}
	seen := 0
	each(rootCommand(), func(c *cobra.Command) {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			for _, word := range f.Annotations[wordsKey] {
				seen++
				if !strings.Contains(f.Usage+f.DefValue, word) {
					t.Errorf("%s --%s: %s is not in the help", c.CommandPath(), f.Name, word)
				}
				args := lines[c.CommandPath()]
				if args == nil {
					t.Errorf("%s --%s is not tested", c.CommandPath(), f.Name)
				} else if err := run(t.Context(), append(slices.Clone(args), "--"+f.Name, word)); err == nil || !strings.Contains(err.Error(), missing) && !strings.Contains(err.Error(), "no "+gpuWorker) {
					t.Errorf("%s --%s %s: %v", c.CommandPath(), f.Name, word, err)
				}
			}
		})
	})
	if seen < 100 {
		t.Errorf("%d words were tested", seen)
	}
}
