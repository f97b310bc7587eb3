package main

import (
	"encoding/json"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer"
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
// it prints lines instead. Its methods may be called from several goroutines.
type progress struct {
	mu    sync.Mutex
	bar   *progressbar.ProgressBar
	total int
}

// set moves the bar; another total begins another bar. What becomes of a
// terminal that is gone matters to nobody.
func (p *progress) set(n, total int, what string) {
	if !onTerminal() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar == nil || p.total != total {
		p.total = total
		p.bar = progressbar.NewOptions(total, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionShowCount(), progressbar.OptionShowIts(), progressbar.OptionSetItsString("images"),
			progressbar.OptionSetPredictTime(true), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
	p.bar.Describe(what)
	_ = p.bar.Set(n)
}

// clear takes the bar off the line, so that a line can be printed.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.bar != nil {
		_ = p.bar.Clear()
	}
}

var onTerminal = sync.OnceValue(func() bool { return term.IsTerminal(int(os.Stderr.Fd())) })

// modeTable prints what the modes scored.
func modeTable(scores []trainer.Score, name func(mode string) string) {
	note("  %-28s %9s %7s %6s %7s", "mode", "accuracy", "NLL", "ECE", "passes")
	for _, x := range scores {
		note("  %-28s %8.2f%% %7.3f %6.3f %7.4g", name(x.Mode), 100*x.Accuracy, x.NLL, x.ECE, x.Passes)
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
