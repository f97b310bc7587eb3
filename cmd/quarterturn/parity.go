package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quarterturn/quarterturn/cmd/quarterturn/internal/parity"
	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/trainer/dataset"
)

func parityCommand() *cobra.Command {
	var slabs slabArgs
	var dir string
	var targets []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "parity SLAB",
		Short: "Run a slab on every target and compare the bits",
		Long: "Run a slab on every target, in every mode, and compare the logits bit for bit. If one differs, the first layer\n" +
			"that does is named. A target that is missing is an error; leave it out of --targets.",
		Example: "  quarterturn parity model.slab\n" +
			"  quarterturn parity model.slab --targets native,wazero --images photos",
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := slabs.only(args)
			if err != nil {
				return err
			}
			slab, _, err := readSlab(name)
			if err != nil {
				return err
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
	f.StringSliceVar(&targets, "targets", parity.Targets, "the targets to compare")
	f.BoolVar(&asJSON, "json", false, "print the result as JSON")
	return cmd
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

// parityImages reads a folder of images, or gives built-in ones: pictures of
// the embedded data set, and synthetic ones of many sizes.
func parityImages(ctx context.Context, dir string) ([]*image.NRGBA, error) {
	if dir == "" {
		d, err := dataset.Load("fashion-mini")
		if err != nil {
			return nil, err
		}
		images := parity.Synthetic(24)
		for i := range 16 {
			images = append(images, d.Image(&d.Test, i))
		}
		return images, nil
	}
	var images []*image.NRGBA
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		if !imagefile.Known(name) {
			return nil
		}
		img, err := imagefile.ReadFile(ctx, name, imagefile.Limits{})
		if err != nil {
			return err
		}
		images = append(images, img.NRGBA())
		return nil
	})
	if err == nil && len(images) == 0 {
		err = fmt.Errorf("%s holds no PNG, JPEG, GIF or WebP images", dir)
	}
	if errors.Is(err, os.ErrNotExist) {
		err = fmt.Errorf("there is no folder %s", dir)
	}
	return images, err
}
