package score

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"runtime"
	"time"

	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/host"
	"github.com/quarterturn/quarterturn/host/imagefile"
)

// A Job is what Run does.
type Job struct {
	Classifier *host.Classifier
	Call       []host.CallOption
	Settings   string                                   // what besides the images decides the lines: a run resumes only where it is the same
	Table      func(lines io.Reader, w io.Writer) error // writes the lines as a table; nil: they stay lines
	Paths      []string                                 // which must be there
	Listed     []string                                 // which need not: images of them that are missing have lines that say so
	Store      Store                                    // of paths that are addresses, or nil
	Shard      Shard
	Out        string // the file of lines or the table
	Found      func(l *Listing)
	Progress   func(done, of int)
}

// A Report counts what a run did.
type Report struct {
	Images  int                `json:"images"`
	Bad     int                `json:"bad"`     // which could not be classified; their lines say why
	Resumed int                `json:"resumed"` // lines that were there already
	LeftOut imagefile.LeftOuts `json:"left_out,omitempty"`
	*Speed                     // of the lines that were not there already; nil if all were
}

// Run classifies the images of a job. Lines go to Out with .part behind its name, and
// where that is there already, the run resumes; once all is done the file gets its
// name. No two runs write one file: the second's error says so. Images that cannot be read have lines
// that say so; if none of several can be, that is an error as well, and the file is there.
func Run(ctx context.Context, j *Job) (r Report, err error) {
	start := time.Now()
	if Remote(j.Out) {
		return r, fmt.Errorf("%s: the file is written here, so that a stopped run can resume; name a local one, and copy it when it is whole", j.Out)
	}
	if j.Table == nil {
		if err := CheckOut(j.Out); err != nil {
			return r, err
		}
	}
	unlock, err := j.lock()
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	if _, err := os.Stat(j.Out); err == nil {
		return r, fmt.Errorf("%s is there already", j.Out)
	}
	list, err := List(ctx, j.Paths, j.Listed, j.Shard, j.Store, true)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, list.Close()) }()
	items := list.Images
	r.LeftOut = list.LeftOut
	if list.Found == 0 {
		return r, noImages(list)
	}
	if j.Found != nil {
		j.Found(list)
	}
	part, err := j.openPart(items, &r)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, part.Close()) }()
	r.Images = len(items)
	w := bufio.NewWriterSize(part, 1<<16)
	if err := errors.Join(j.classify(ctx, items[r.Resumed:], w, &r), w.Flush(), part.Sync()); err != nil {
		return r, err
	}
	if err := j.finish(); err != nil {
		return r, err
	}
	if n := r.Images - r.Resumed; n > 0 {
		r.Speed = SpeedOf(n, time.Since(start), workers())
	}
	if r.Images > 0 && r.Bad == r.Images {
		return r, fmt.Errorf("none of the %d images could be classified; %s says why of each", r.Images, j.Out)
	}
	return r, nil
}

// noImages says what was found in their place.
func noImages(l *Listing) error {
	err := fmt.Errorf("there are no images (%s)", imagefile.Formats)
	if len(l.LeftOut) > 0 {
		err = fmt.Errorf("%w; %s", err, l.LeftOut)
	}
	return err
}

func (j *Job) part() string     { return j.Out + ".part" }
func (j *Job) settings() string { return j.Out + ".settings" }

// openPart opens the unfinished file behind its last whole line, and counts its lines.
func (j *Job) openPart(items []Image, r *Report) (*os.File, error) {
	names := fnv.New64a()
	for _, i := range items {
		key, err := beginning(i.Name)
		if err != nil {
			return nil, err
		}
		names.Write(key)
	}
	settings := fmt.Sprintf("%s, shard %d/%d, %d images with names %x", j.Settings, j.Shard.Index, j.Shard.Of, len(items), names.Sum64())
	before, err := os.ReadFile(j.settings())
	if err == nil && len(before) == 0 { // of a computer that stopped while it was written
		err = os.ErrNotExist
	}
	switch {
	case errors.Is(err, os.ErrNotExist):
		if info, err := os.Stat(j.part()); err == nil && info.Size() > 0 {
			return nil, fmt.Errorf("%s is there without %s, so who made it is unknown; remove it", j.part(), j.settings())
		}
		if err := atomicfile.Write(j.settings(), []byte(settings)); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	case string(before) != settings:
		return nil, fmt.Errorf("%s was begun otherwise (%s; now %s): remove it and %s to begin again", j.part(), before, settings, j.settings())
	}
	f, err := os.OpenFile(j.part(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	end, err := j.resume(f, items, r)
	if err == nil {
		err = f.Truncate(end)
	}
	if err == nil {
		_, err = f.Seek(end, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// resume counts the whole lines of a file and checks that they are about the first
// items. end is where the last of them ends.
func (j *Job) resume(f io.Reader, items []Image, r *Report) (end int64, err error) {
	lines := bufio.NewReader(f)
	for {
		line, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return end, nil
		}
		if err != nil {
			return 0, err
		}
		var start []byte
		if r.Resumed < len(items) {
			if start, err = beginning(items[r.Resumed].Name); err != nil {
				return 0, err
			}
		}
		if start == nil || !bytes.HasPrefix(line, start) || !json.Valid(line) {
			return 0, fmt.Errorf("%s: line %d is not about the image it should be; remove it and %s to begin again", j.part(), r.Resumed+1, j.settings())
		}
		if bytes.HasPrefix(line[len(start):], []byte(`"error":`)) {
			r.Bad++
		}
		r.Resumed++
		end += int64(len(line))
	}
}

// workers is how many images are classified at the same time.
func workers() int { return runtime.GOMAXPROCS(0) }

// classify writes a line for each item, in their order, with all processors at work.
func (j *Job) classify(ctx context.Context, items []Image, w io.Writer, r *Report) error {
	type result struct {
		line []byte
		bad  bool
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Each item has a channel of its own, and those are read in order; the queue
	// bounds how far workers run ahead.
	type task struct {
		item *Image
		done chan result
	}
	tasks, order := make(chan task), make(chan chan result, 16*workers())
	go func() {
		defer close(tasks)
		defer close(order)
		for i := range items {
			t := task{&items[i], make(chan result, 1)}
			select {
			case order <- t.done:
			case <-ctx.Done():
				return
			}
			select {
			case tasks <- t:
			case <-ctx.Done():
				return
			}
		}
	}()
	for range workers() {
		go func() {
			for t := range tasks {
				line, bad, err := t.item.Classify(ctx, j.Store, j.Classifier, j.Call...)
				t.done <- result{line, bad, err}
			}
		}()
	}
	written := r.Resumed
	for done := range order {
		var x result
		select {
		case x = <-done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if x.err == nil {
			_, x.err = w.Write(x.line)
		}
		if x.err != nil {
			return x.err
		}
		if x.bad {
			r.Bad++
		}
		written++
		j.Progress(written, r.Images)
	}
	return ctx.Err()
}
