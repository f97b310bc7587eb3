package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/cmd/internal/score"
	"github.com/quarterturn/quarterturn/cmd/quarterturn/internal/bucket"
	"github.com/quarterturn/quarterturn/cmd/quarterturn/internal/table"
	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/host"
	"github.com/quarterturn/quarterturn/sla"
)

// A scoreCommandLine is what the flags of score say.
type scoreCommandLine struct {
	slabs            slabArgs
	mode, shard, out string
	top              int
	asJSON           bool
}

func scoreCommand() *cobra.Command {
	l := &scoreCommandLine{}
	cmd := &cobra.Command{
		Use:   "score SLAB --out FILE.jsonl|.csv|.parquet [--shard I/N|job/N] PATH...",
		Short: "Classify many images in a batch: all of folders and archives, a line each",
		Example: "  quarterturn score model.slab --out all.jsonl photos more.tar.gz\n" +
			"  quarterturn score model.slab --out all.csv photos\n" +
			"  quarterturn score model.slab --out part2.jsonl --shard 2/8 photos\n" +
			"  quarterturn score model.slab --out bucket.jsonl s3://pictures/2026 gs://more-pictures\n" +
			"  find photos -newer yesterday -print0 | quarterturn score model.slab --out today.jsonl -",
		Long: "Classify every image of folders and archives (tar, tar.gz, tar.bz2, zip) into a file of JSON lines, sorted by the\n" +
			"images' names, or into a table if its name ends in .csv or .parquet. The path - stands for a list of paths on standard input, one\n" +
			"a line or ended by zero bytes. Links are followed; what is not an image, or comes twice, is left out and listed.\n\n" +
			"A path s3://BUCKET/NAME or gs://BUCKET/NAME stands for that object, or for all whose names begin with NAME/. Access to S3 is\n" +
			"set as for Amazon's tools (AWS_ACCESS_KEY_ID, AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL, a machine's role), to Google's as\n" +
			"for gcloud (GOOGLE_APPLICATION_CREDENTIALS, gcloud auth application-default login, a machine's account); without, public\n" +
			"buckets are read. If the store cannot be reached the run stops, and can be resumed. Archives in buckets are left out:\n" +
			"fetch them first.\n\n" +
			"A stopped run resumes when the same command is given again; no two runs write one file. An image that cannot be read\n" +
			"gets a line that says so, as does one of a list that is not there; if none can be, the exit status is 1. With\n" +
			"--shard 2/8 only the second of eight parts is done, chosen by the names; the parts put together and sorted\n" +
			"(LC_ALL=C sort) are byte for byte what one run writes. --shard job/8 is the part of a pod in a Kubernetes Job of eight with\n" +
			"completionMode: Indexed, by its JOB_COMPLETION_INDEX; there a file that is complete from before is no error.\n" +
			"A name that is not Unicode is written exactly in image_base64. Compressed tar archives are unpacked to\n" +
			"the folder for temporary files (TMPDIR).\n\n" +
			"--json prints how many images there are, how many of them are bad and how many have lines from before (images,\n" +
			"bad, resumed), what was left out (left_out), and of the images of this run images_per_second and\n" +
			"core_hours_per_million_images, which counts all cores that the run may use.",
		RunE: func(cmd *cobra.Command, args []string) error {
			model, args, err := l.slabs.one(args)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return usagef("give at least one folder, archive or image, after the slab")
			}
			if l.out == "-" {
				return usagef("--out -: score writes a file, so that a stopped run can resume; name one, or print the answers with quarterturn predict")
			}
			return l.score(cmd, model, args)
		},
	}
	f := cmd.Flags()
	l.slabs.add(f, "the `slab`")
	f.StringVar(&l.out, "out", "", "the file to write")
	f.StringVar(&l.shard, "shard", "1/1", "which part of how many; job/N in a Kubernetes Job with completionMode: Indexed")
	modeFlag(f, &l.mode)
	f.IntVar(&l.top, "top", 5, "how many classes to name")
	atLeast(f, 0, "top")
	f.BoolVar(&l.asJSON, "json", false, "print what was done as JSON")
	return required(cmd, "out")
}

// score classifies the images of paths with the slab in a file.
func (l *scoreCommandLine) score(cmd *cobra.Command, model string, paths []string) error {
	given, listed, err := score.Expand(paths, cmd.InOrStdin())
	if err != nil {
		return err
	}
	mode, err := sla.ParseMode(l.mode)
	if err != nil {
		return usageError{err}
	}
	shard, ofJob, err := score.ParseShard(l.shard)
	if err != nil {
		return usageError{err}
	}
	if ofJob && isFile(l.out) { // a pod that is started once more must not fail: its file has its name since it is whole
		note("%s is there already: this part is done", l.out)
		if l.asJSON {
			return printJSON(score.Report{})
		}
		return nil
	}
	slab, m, err := readSlab(model)
	if err != nil {
		return err
	}
	if mode, err = sla.ResolveMode(&m.Manifest, mode); err != nil {
		return fmt.Errorf("%s: %w", model, err)
	}
	ctx := cmd.Context()
	c, err := host.Open(ctx, slab, host.WithEngine(host.Native))
	if err != nil {
		return err
	}
	defer c.Close(ctx)
	rows, err := table.For(l.out, min(l.top, m.Classes()))
	if err != nil {
		return usageError{err}
	}
	var bar progress
	r, err := score.Run(ctx, &score.Job{
		Classifier: c, Call: []host.CallOption{host.WithMode(mode), host.WithTopK(l.top)},
		Settings: fmt.Sprintf("slab %s, mode %s, top %d", format.Hex(m.Hash[:]), mode, l.top),
		Table:    rows,
		Paths:    given, Listed: listed, Store: bucket.New(), Shard: shard, Out: l.out,
		Found: func(l *score.Listing) {
			note("found %d images, %d of them in this part", l.Found, len(l.Images))
			tellLeftOut(warn, "", l.LeftOut)
		},
		Progress: func(done, of int) { bar.set(done, of, "scoring") },
	})
	bar.clear()
	if ctx.Err() != nil {
		return errors.New("stopped; the same command resumes")
	}
	if err != nil && l.asJSON && r.Images > 0 && r.Bad == r.Images {
		return errors.Join(printJSON(r), err) // the lines are written, though none is good
	}
	if err != nil {
		return err
	}
	note("wrote %s: %d images, %d of them bad, %d from before", l.out, r.Images, r.Bad, r.Resumed)
	if r.Speed != nil {
		note("%s", r.Speed.Sentence())
	}
	if l.asJSON {
		return printJSON(r)
	}
	return nil
}
