package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/apache/beam/sdks/v2/go/pkg/beam"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/options/jobopts"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/runners"
	"github.com/apache/beam/sdks/v2/go/pkg/beam/x/beamx"

	"github.com/quarterturn/quarterturn/cmd/internal/score"
	"github.com/quarterturn/quarterturn/format/plain"
	"github.com/quarterturn/quarterturn/sla"
)

func main() {
	var j job
	flag.StringVar(&j.Model, "model", "", "the slab")
	flag.StringVar(&j.Mode, "mode", "auto", strings.Join(sla.ModeNames(), ", "))
	flag.IntVar(&j.Top, "top", 5, "how many classes to name")
	flag.StringVar(&j.Out, "out", "", "the file to write, or with shards the beginning of their names")
	flag.IntVar(&j.Shards, "shards", 1, "how many files to write")
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: quarterturn-beam --model F --out FILE.jsonl [--shards N] [--runner R ...] PATH...")
		flag.PrintDefaults()
	}
	flag.Parse()
	beam.Init() // on a worker, it does not return
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, &j, flag.Args()); err != nil {
		fmt.Fprintf(os.Stderr, "quarterturn-beam: %s\n", plain.Line(err.Error()))
		os.Exit(1)
	}
}

// run runs the pipeline and says what it did.
func run(ctx context.Context, j *job, paths []string) error {
	start, cores := time.Now(), coresHere()
	images, err := j.prepare(ctx, paths)
	if err != nil {
		return err
	}
	p, s := beam.NewPipelineWithRoot()
	j.build(s, images)
	result, err := beamx.RunWithMetrics(ctx, p)
	if err != nil {
		return err
	}
	if *jobopts.Async {
		fmt.Fprintf(os.Stderr, "submitted: %d images for %s; --async waits for no result\n", len(images), j.name(1))
		return nil
	}
	var bad int64
	for _, c := range result.Metrics().Query(func(r beam.MetricResult) bool { return r.Name() == badCount }).Counters() {
		bad += c.Result()
	}
	fmt.Fprintf(os.Stderr, "wrote %s: %d images, %d of them bad\n", j.name(1), len(images), bad)
	fmt.Fprintln(os.Stderr, score.SpeedOf(len(images), time.Since(start), cores).Sentence())
	if int(bad) == len(images) {
		return fmt.Errorf("none of the %d images could be classified; the lines say why of each", len(images))
	}
	return nil
}

// coresHere is how many cores the pipeline may use: those here, if it runs here; 0, which is unknown, if a
// runner elsewhere takes it. It is asked before the run, as prism enters an address of its own.
func coresHere() int {
	if *jobopts.Endpoint == "" && slices.Contains([]string{"", "prism", "direct"}, *runners.Runner) {
		return runtime.GOMAXPROCS(0)
	}
	return 0
}

// badCount is the name of the counter of images that could not be classified.
const badCount = "bad"

var bad = beam.NewCounter("quarterturn", badCount)
