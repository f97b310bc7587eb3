package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/register"

	"github.com/quarterturn/quarterturn/cmd/internal/score"
	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/host"
	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/sla"
)

func init() {
	register.DoFn3x1[context.Context, score.Image, func(int, string), error](&classify{})
	register.DoFn3x1[context.Context, int, func(*string) bool, error](&write{})
	register.Emitter2[int, string]()
	register.Iter1[string]()
	register.Function1x2(noLine)
}

// A job is what the command line asks for.
type job struct {
	Model, Mode, Out string
	Top, Shards      int
}

// name is that of the file of a shard, counted from 1.
func (j *job) name(shard int) string {
	if j.Shards == 1 {
		return j.Out
	}
	return fmt.Sprintf("%s-%05d-of-%05d", j.Out, shard, j.Shards)
}

// prepare finds what is wrong with a job before anything runs, and lists its images.
func (j *job) prepare(ctx context.Context, paths []string) ([]score.Image, error) {
	switch {
	case j.Model == "" || j.Out == "" || len(paths) == 0:
		return nil, errors.New("want --model, --out and at least one path; --help says more")
	case j.Shards < 1 || j.Top < 0:
		return nil, errors.New("the number of shards must be at least 1, and that of classes not negative")
	}
	if err := score.CheckOut(j.Out); err != nil {
		return nil, err
	}
	c, _, err := j.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.Close(ctx); err != nil {
		return nil, err
	}
	for i := range j.Shards {
		if _, err := os.Stat(j.name(i + 1)); err == nil {
			return nil, fmt.Errorf("%s is there already", j.name(i+1))
		}
	}
	// Workers read from archives at any place, which compressed ones do not allow.
	found, err := score.List(ctx, paths, nil, score.Shard{Index: 1, Of: 1}, store{}, false)
	if err != nil {
		return nil, err
	}
	if len(found.LeftOut) > 0 {
		fmt.Fprintf(os.Stderr, "%s\n", found.LeftOut)
	}
	images := found.Images
	if len(images) == 0 {
		return nil, fmt.Errorf("there are no images (%s)", imagefile.Formats)
	}
	fmt.Fprintf(os.Stderr, "found %d images\n", len(images))
	return images, nil
}

// open makes a classifier for one image at a time.
func (j *job) open(ctx context.Context) (*host.Classifier, sla.Mode, error) {
	mode, err := sla.ParseMode(j.Mode)
	if err != nil {
		return nil, 0, err
	}
	slab, err := read(ctx, j.Model)
	if err != nil {
		return nil, 0, err
	}
	m, err := format.Decode(slab)
	if err == nil {
		mode, err = sla.ResolveMode(&m.Manifest, mode)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", j.Model, err)
	}
	c, err := host.Open(ctx, slab, host.WithEngine(host.Native), host.WithPoolSize(1))
	return c, mode, err
}

// build makes the pipeline: images -> spread over workers -> lines -> by shard ->
// files.
func (j *job) build(s beam.Scope, images []score.Image) {
	spread := beam.Reshuffle(s, beam.CreateList(s, images))
	lines := beam.ParDo(s, &classify{Job: *j}, spread)
	// A shard without images has a file as well.
	var shards []int
	for i := range j.Shards {
		shards = append(shards, i+1)
	}
	empty := beam.ParDo(s, noLine, beam.CreateList(s, shards))
	beam.ParDo0(s, &write{Job: *j}, beam.GroupByKey(s, beam.Flatten(s, lines, empty)))
}

func noLine(shard int) (int, string) { return shard, "" }

// classify turns an image into its shard and its line.
type classify struct {
	Job        job
	classifier *host.Classifier
	mode       sla.Mode
}

func (f *classify) Setup(ctx context.Context) (err error) {
	f.classifier, f.mode, err = f.Job.open(ctx)
	return err
}

func (f *classify) ProcessElement(ctx context.Context, i score.Image, emit func(int, string)) error {
	line, failed, err := i.Classify(ctx, store{}, f.classifier, host.WithMode(f.mode), host.WithTopK(f.Job.Top))
	if err != nil {
		return err
	}
	if failed {
		bad.Inc(ctx, 1)
	}
	emit(score.ShardOf(i.Name, f.Job.Shards).Index, string(line))
	return nil
}

func (f *classify) Teardown(ctx context.Context) error { return f.classifier.Close(ctx) }

// write writes the lines of a shard, sorted.
type write struct{ Job job }

func (f *write) ProcessElement(ctx context.Context, shard int, next func(*string) bool) error {
	var lines []string
	for line := ""; next(&line); {
		lines = append(lines, line)
	}
	slices.Sort(lines)
	name, text := f.Job.name(shard), []byte(strings.Join(lines, ""))
	if !score.Remote(name) {
		return atomicfile.Write(name, text)
	}
	return writeRemote(ctx, name, text)
}
