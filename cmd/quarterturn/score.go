package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/cmd/internal/score"
	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/host"
	"github.com/quarterturn/quarterturn/sla"
)

func scoreCommand() *cobra.Command {
	var slabs slabArgs
	var modeName, shardName, out string
	var top int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "score SLAB --out FILE.jsonl [--shard I/N] PATH...",
		Short: "Classify many images in a batch: all of folders and tar files, a line each",
		Example: "  quarterturn score model.slab --out all.jsonl photos more.tar\n" +
			"  quarterturn score model.slab --out part2.jsonl --shard 2/8 photos",
		Long: "Classify every image of folders and tar files (not compressed) into a file of JSON lines, sorted by the images'\n" +
			"names. A stopped run resumes when the same command is given again. An image that cannot be read gets a line that\n" +
			"says so. With --shard 2/8 only the second of eight parts is done, chosen by the names; the parts put together and\n" +
			"sorted (LC_ALL=C sort) are byte for byte what one run writes.",
		RunE: func(cmd *cobra.Command, args []string) error {
			model, args, err := slabs.one(args)
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return usagef("give at least one folder, tar file or image, after the slab")
			}
			mode, err := sla.ParseMode(modeName)
			if err != nil {
				return usageError{err}
			}
			shard, err := score.ParseShard(shardName)
			if err != nil {
				return usageError{err}
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
			var bar progress
			start := time.Now()
			r, err := score.Run(ctx, &score.Job{
				Classifier: c, Call: []host.CallOption{host.WithMode(mode), host.WithTopK(top)},
				Settings: fmt.Sprintf("slab %s, mode %s, top %d", format.Hex(m.Hash[:]), mode, top),
				Paths:    args, Shard: shard, Out: out,
				Progress: func(done, of int) { bar.set(done, of, "scoring") },
			})
			bar.clear()
			if ctx.Err() != nil {
				return errors.New("stopped; the same command resumes")
			}
			if err != nil {
				return err
			}
			seconds := time.Since(start).Seconds()
			note("wrote %s: %d images, %d of them bad, %d from before; %.0f images/s", out, r.Images, r.Bad, r.Resumed, float64(r.Images-r.Resumed)/seconds)
			if asJSON {
				return printJSON(r)
			}
			return nil
		},
	}
	f := cmd.Flags()
	slabs.add(f, "the `slab`")
	f.StringVar(&out, "out", "", "the file to write")
	f.StringVar(&shardName, "shard", "1/1", "which part of how many")
	f.StringVar(&modeName, "mode", "auto", strings.Join(sla.ModeNames(), ", "))
	f.IntVar(&top, "top", 5, "how many classes to name")
	f.BoolVar(&asJSON, "json", false, "print what was done as JSON")
	return required(cmd, "out")
}
