package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/quarterturn/quarterturn/format"
)

// printJSON writes a result, and nothing else, to standard output.
func printJSON(v any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// note writes a line for people to standard error.
func note(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

// A progress is a bar on a terminal and nothing elsewhere, where whoever uses
// it prints lines instead.
type progress struct{ bar *progressbar.ProgressBar }

func newProgress(total int, what string) progress {
	if !term.IsTerminal(int(os.Stderr.Fd())) {
		return progress{}
	}
	return progress{progressbar.NewOptions(total, progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSetDescription(what), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true),
		progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())}
}

// set moves the bar; what it says of a terminal that is gone matters to nobody.
func (p progress) set(n int, what string) {
	if p.bar != nil {
		p.bar.Describe(what)
		_ = p.bar.Set(n)
	}
}

// clear takes the bar off the line, so that a line can be printed.
func (p progress) clear() {
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

// modeTable prints what the modes scored.
func modeTable(metrics []format.Metric, passes func(mode string) int, name func(mode string) string) {
	note("  %-28s %9s %7s %6s %7s", "mode", "accuracy", "NLL", "ECE", "passes")
	for _, x := range metrics {
		note("  %-28s %8.2f%% %7.3f %6.3f %7d", name(x.Mode), 100*x.Accuracy, x.NLL, x.ECE, passes(x.Mode))
	}
}

// readSlab reads a slab's bytes and the model in them.
func readSlab(name string) ([]byte, *format.Model, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, err
	}
	m, err := format.Decode(b)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, m, nil
}

// writeFile writes a file under another name and then renames it, so that the
// file is whole or not there.
func writeFile(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*.tmp")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil {
		err = f.Chmod(0o644)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}
