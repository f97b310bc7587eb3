package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/cmd/quarterturn/internal/parity"
	"github.com/quarterturn/quarterturn/format/plain"
	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/trainer/dataset"
)

func parityCommand() *cobra.Command {
	var slabs slabArgs
	var dir, files string
	var targets []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "parity SLAB",
		Short: "Run a slab on every target and compare the bits",
		Long: "Run a slab on every target, in every mode, and compare the logits bit for bit. If one differs, the first layer\n" +
			"that does is named. A target that is missing is an error; leave it out of --targets.\n\n" +
			"With --files the image files of a folder are classified from their bytes on, wherever files are read: by predict,\n" +
			"over HTTP, and in Chromium and Firefox as File, ImageBitmap and <img>. Each file's digests are compared.",
		Example: "  quarterturn parity model.slab\n" +
			"  quarterturn parity model.slab --targets native,wazero --images photos\n" +
			"  quarterturn parity model.slab --files photos",
		RunE: func(cmd *cobra.Command, args []string) error {
			_, slab, _, err := slabs.read(args)
			if err != nil {
				return err
			}
			if files != "" {
				if dir != "" {
					return usagef("give --images or --files, not both")
				}
				if !cmd.Flags().Changed("targets") {
					targets = parity.FileTargets
				}
				return parityOfFiles(cmd.Context(), slab, files, targets, asJSON)
			}
			images, err := parityImages(cmd.Context(), dir)
			if err != nil {
				return err
			}
			r, err := parity.Check(cmd.Context(), slab, images, targets, func(name string) { note("running %s", name) })
			if err != nil {
				return err
			}
			if asJSON {
				err = printJSON(r)
			} else {
				err = printParity(r)
			}
			if err == nil && !r.Equal {
				err = errors.New("the targets differ: " + r.Difference)
			}
			return err
		},
	}
	f := cmd.Flags()
	slabs.add(f, "the `slab`")
	f.StringVar(&dir, "images", "", "a folder of images; by default built-in ones of many sizes")
	f.StringVar(&files, "files", "", "a `folder` of image files, to compare from their bytes on")
	f.StringSliceVar(&targets, "targets", parity.Targets, "the targets to compare; with --files "+strings.Join(parity.FileTargets, ","))
	offerList(f, "targets", parity.Targets...)
	f.BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
}

// parityOfFiles compares what all places make of the image files of a folder.
func parityOfFiles(ctx context.Context, slab []byte, dir string, targets []string, asJSON bool) error {
	files, err := imageFiles(ctx, dir)
	if err != nil {
		return err
	}
	var names []string
	for _, file := range files {
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		names = append(names, name)
	}
	r, err := parity.Files(ctx, slab, dir, names, targets, func(name string) { note("running %s", name) })
	if err != nil {
		return err
	}
	if asJSON {
		err = printJSON(r)
	} else {
		err = printFileParity(r)
	}
	if err == nil && !r.Equal {
		err = errors.New("the places do not agree on every file")
	}
	return err
}

func printFileParity(r *parity.FilesReport) error {
	width := 0
	for _, f := range r.Files {
		width = max(width, len(plain.Name(f.Name)))
	}
	differ := 0
	for _, f := range r.Files {
		first := f.Answers[0]
		text := first.Digest
		if text == "" {
			text = "not read: " + first.Error
		}
		if f.Equal {
			text += "  equal"
		}
		if err := printText(fmt.Sprintf("%-*s  %s\n", width, plain.Name(f.Name), plain.Line(text))); err != nil {
			return err
		}
		if f.Equal {
			continue
		}
		differ++
		for _, a := range f.Answers[1:] {
			if a.Digest == first.Digest {
				continue
			}
			text := a.Digest
			if text == "" {
				text = "not read: " + a.Error
			}
			if err := printText(fmt.Sprintf("%*s  %s by %s\n", width, "", plain.Line(text), a.Way)); err != nil {
				return err
			}
		}
	}
	var ways []string
	for _, a := range r.Files[0].Answers {
		ways = append(ways, a.Way)
	}
	return printText(fmt.Sprintf("\n%d files, mode %s, %d of them with equal digests by %s\n", len(r.Files), r.Mode, len(r.Files)-differ, strings.Join(ways, ", ")))
}

func printParity(r *parity.Report) error {
	fmt.Printf("%d images, modes %s\n\n", r.Images, strings.Join(r.Modes, ", "))
	for _, t := range r.Targets {
		mark := ""
		if t.Digest != r.Targets[0].Digest {
			mark = "  differs"
		}
		fmt.Printf("%-20s %s%s\n", t.Name, t.Digest, mark)
	}
	if r.Equal {
		fmt.Printf("\nall %d targets computed the same bits\n", len(r.Targets))
	}
	return nil
}

// parityImages reads a folder of images, or returns built-in ones: pictures of
// the embedded data set, and synthetic ones of many sizes.
func parityImages(ctx context.Context, dir string) ([]*image.NRGBA, error) {
	if dir == "" {
		d, err := dataset.Load(ctx, "fashion-mini")
		if err != nil {
			return nil, err
		}
		images := parity.Synthetic(24)
		for i := range 16 {
			images = append(images, d.Image(&d.Test, i))
		}
		return images, nil
	}
	names, err := imageFiles(ctx, dir)
	if err != nil {
		return nil, err
	}
	var images []*image.NRGBA
	for _, name := range names {
		img, err := imagefile.ReadFile(ctx, name, imagefile.Limits{})
		if err != nil {
			return nil, err
		}
		images = append(images, img.NRGBA())
	}
	return images, nil
}

// imageFiles lists the images of a folder, and says how many there are and what is left out.
func imageFiles(ctx context.Context, dir string) ([]string, error) {
	found, err := imagefile.List(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no folder %s", dir)
	}
	if err != nil {
		return nil, err
	}
	tellLeftOut(warn, "", found.LeftOut)
	if len(found.Files) == 0 {
		return nil, fmt.Errorf("%s holds no %s images", dir, imagefile.Formats)
	}
	note("found %d images in %s", len(found.Files), dir)
	return found.Files, nil
}
