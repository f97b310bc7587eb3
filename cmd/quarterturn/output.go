package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"github.com/quarterturn/quarterturn/format/plain"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
)

// printJSON writes a result, and nothing else, to standard output.
func printJSON(v any) error {
	e := json.NewEncoder(os.Stdout)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// quiet and verbose are set by -q and -v, before a command runs.
var quiet, verbose bool

// printText writes a result for people to standard output, in lines that hold nothing that a
// terminal obeys. Names in it that could hold line feeds go through plain.Name.
func printText(text string) error {
	_, err := os.Stdout.WriteString(plain.Lines(text))
	return err
}

// logger takes the lines of note, warn and detail, and the error that ends the process, if
// it is not nil: serve --log-format json sets it.
var logger *slog.Logger

// say writes a line to standard error.
func say(level slog.Level, format string, args ...any) {
	if logger != nil {
		logger.Log(context.Background(), level, fmt.Sprintf(format, args...))
		return
	}
	fmt.Fprintln(os.Stderr, plain.Line(fmt.Sprintf(format, args...)))
}

// note writes a line of progress to standard error, unless -q was given.
func note(format string, args ...any) {
	if !quiet {
		say(slog.LevelInfo, format, args...)
	}
}

// warn writes a line that even -q lets through: about something that went wrong, though
// the command goes on.
func warn(format string, args ...any) { say(slog.LevelWarn, format, args...) }

// detail writes a line to standard error if -v was given.
func detail(format string, args ...any) {
	if verbose {
		say(slog.LevelDebug, format, args...)
	}
}

// A progress is a bar on a terminal and nothing elsewhere, where whoever uses
// it prints lines instead. Its methods may be called from several goroutines.
type progress struct {
	mu    sync.Mutex
	bar   *progressbar.ProgressBar
	total int
}

// set moves the bar; another total begins another bar. Errors of writing to a terminal
// are ignored: it may be gone while the work goes on.
func (p *progress) set(n, total int, what string) {
	if quiet || !onTerminal() {
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

// onTerminal says whether standard error is a terminal that can redraw a line.
var onTerminal = sync.OnceValue(func() bool {
	return os.Getenv("TERM") != "dumb" && term.IsTerminal(int(os.Stderr.Fd()))
})

// modeTable returns a table of what the modes scored.
func modeTable(scores []evaluate.Score, name func(mode string) string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  %-28s %9s %7s %6s %7s\n", "mode", "accuracy", "NLL", "ECE", "passes")
	for _, x := range scores {
		fmt.Fprintf(&b, "  %-28s %8.2f%% %7.3f %6.3f %7.4g\n", plain.Line(name(x.Mode)), 100*x.Accuracy, x.NLL, x.ECE, x.Passes)
	}
	return b.String()
}

// asItIs names a mode in a table of one slab.
func asItIs(mode string) string { return mode }

// checkOther refuses to write what is made of a file over that file, perhaps somebody's only copy.
func checkOther(in, out string) error {
	a, err := os.Stat(in)
	if err != nil {
		return nil // which reading it tells
	}
	if b, err := os.Stat(out); err == nil && os.SameFile(a, b) {
		return usagef("--out %s is the file to be read, and would be lost; take another name", out)
	}
	return nil
}
