package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// words splits a line of an example as a shell does, as far as examples go: quotes keep
// blanks, a pipe ends the command.
func words(line string) []string {
	line, _, _ = strings.Cut(line, " | ")
	var out []string
	for _, w := range regexp.MustCompile(`'[^']*'|\S+`).FindAllString(line, -1) {
		out = append(out, strings.Trim(w, "'"))
	}
	return out
}

// Every command has examples, and each of them is a command line that parses.
func TestExamples(t *testing.T) {
	root := rootCommand()
	seen := 0
	check := func(c *cobra.Command) {
		if c.Example == "" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		for line := range strings.SplitSeq(c.Example, "\n") {
			args := words(line)
			if args[0] != "quarterturn" {
				continue // curl
			}
			seen++
			found, rest, err := rootCommand().Find(args[1:])
			if err != nil {
				t.Errorf("%s: %v", line, err)
				continue
			}
			if found.Name() != c.Name() && c != root && !strings.HasPrefix(found.CommandPath(), c.CommandPath()) && found.Name() != "bench" {
				t.Errorf("%s: an example of %s", line, found.CommandPath())
			}
			if err := found.ParseFlags(rest); err != nil {
				t.Errorf("%s: %v", line, err)
			} else if err := found.ValidateRequiredFlags(); err != nil {
				t.Errorf("%s: %v", line, err)
			} else if err := found.ValidateArgs(found.Flags().Args()); err != nil {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
	check(root)
	each(root, check)
	if seen < 20 {
		t.Errorf("%d examples", seen)
	}
}

// The flags of train stand under headings, each flag once.
func TestFlagSections(t *testing.T) {
	stdout, stderr, code := runCommand(t, "train", "--help")
	if code != 0 || stderr != "" {
		t.Fatalf("exit code %d, %q", code, stderr)
	}
	at := 0
	for _, heading := range []string{"Run", "Data", "Method", "Net", "Optimisation", "Loss", "Flags", "Global Flags"} {
		i := strings.Index(stdout, "\n"+heading+":\n")
		if i < at {
			t.Errorf("the heading %s is missing or misplaced", heading)
		}
		at = i
	}
	train, _, err := rootCommand().Find([]string{"train"})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"data", "method", "net", "lr", "loss", "resume", "device", "quiet"} {
		if n := len(regexp.MustCompile(`(?m)^ {2,6}(-q, )?--`+name+` `).FindAllString(stdout, -1)); n != 1 {
			t.Errorf("--%s is listed %d times", name, n)
		}
	}
	if train.Flags().Lookup("data") == nil {
		t.Error("--data is not a flag of train")
	}
	for i, line := range strings.Split(stdout, "\n") {
		if len(line) > 140 {
			t.Errorf("line %d has %d characters: %s", i+1, len(line), line)
		}
	}
}

// A slab is given alike everywhere, former names of flags work, and what is wrong is said.
func TestSlabArgument(t *testing.T) {
	t.Parallel()
	at := folder(t)
	for _, command := range []string{"inspect", "verify"} {
		a, _, code := runCommand(t, command, at("tiny.slab"))
		b, _, _ := runCommand(t, command, "--model", at("tiny.slab"))
		if a != b || code != 0 || a == "" {
			t.Errorf("%s: exit code %d, %q and %q", command, code, a, b)
		}
	}
	a, _, code := runCommand(t, "predict", at("tiny.slab"), at("picture.png"))
	b, _, _ := runCommand(t, "predict", "--model", at("tiny.slab"), at("picture.png"))
	if a != b || code != 0 || a == "" {
		t.Errorf("predict: exit code %d, %q and %q", code, a, b)
	}
	help, _, _ := runCommand(t, "calibrate", "--help")
	if strings.Contains(help, "--loss") || !strings.Contains(help, "--max-accuracy-drop") {
		t.Error("calibrate's help has the former name")
	}
	if _, stderr, code := runCommand(t, "calibrate", "--loss", "0.5", at("plain.slab"), "--data", "fashion-mini", "--out", at("x")); code != 2 || !strings.Contains(stderr, "needs a joint and a distilled head") {
		t.Errorf("calibrate --loss: %d, %q", code, stderr)
	}
}

// Results are on standard output; -q keeps progress off standard error, -v adds to it.
func TestQuietAndVerbose(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	train := func(args ...string) (stdout, stderr string) {
		stdout, stderr, code := runCommand(t, append([]string{"train", "--data", "fashion-mini", "--net", "resnet8w8", "--epochs", "1", "--batch", "16",
			"--train-per-class", "10", "--out"}, args...)...)
		if code != 0 {
			t.Fatalf("exit code %d, %s", code, stderr)
		}
		return stdout, stderr
	}
	loud, notes := train(filepath.Join(dir, "a"), "-v")
	quiet, nothing := train(filepath.Join(dir, "b"), "-q")
	if loud != quiet || !strings.Contains(quiet, "aggregated") || nothing != "" || !strings.Contains(notes, "processors") || !strings.Contains(notes, "epoch") {
		t.Errorf("%q and %q; -q wrote %q, -v %q", loud, quiet, nothing, notes)
	}
	for _, s := range []string{loud, notes} {
		if strings.Contains(s, "\x1b") {
			t.Error("an escape sequence where there is no terminal")
		}
	}
	if _, stderr, code := runCommand(t, "inspect", "-q", "-v", "x"); code != 2 || !strings.Contains(stderr, "quiet verbose") {
		t.Errorf("-q -v: %d, %q", code, stderr)
	}
}

func TestManAndCompletion(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "man1")
	if _, stderr, code := runCommand(t, "man", "--out", dir); code != 0 {
		t.Fatalf("exit code %d, %s", code, stderr)
	}
	pages := 0
	each(rootCommand(), func(c *cobra.Command) {
		name := strings.ReplaceAll(c.CommandPath(), " ", "-") + ".1"
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || !strings.Contains(string(b), ".SH EXAMPLE") {
			t.Errorf("%s: %v, %d bytes", name, err, len(b))
		}
		pages++
	})
	if pages < 18 {
		t.Errorf("%d pages", pages)
	}
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if stdout, _, code := runCommand(t, "completion", shell); code != 0 || !strings.Contains(stdout, "quarterturn") {
			t.Errorf("%s: exit code %d, %d bytes", shell, code, len(stdout))
		}
	}
}
