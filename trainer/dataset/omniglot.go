package dataset

import (
	"archive/zip"
	"errors"
	"fmt"
	"image/png"
	"io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/sla"
)

// omniglotSide is that of the images, as is usual for Omniglot.
const omniglotSide = 28

// loadOmniglot reads the two smaller archives of Omniglot (Lake et al. 2015): five
// alphabets to train on and, as new classes, those of the other archive that are not
// among them. Each character was drawn once by each of twenty people: the last four
// of them are the test images of the first. The new classes have test images alone.
func loadOmniglot(dir string, new bool) (*Dataset, error) {
	known, err := readOmniglot(filepath.Join(dir, "images_background_small1.zip"), nil)
	if err != nil || !new {
		return known, err
	}
	var alphabets []string
	for _, l := range known.ClassNames {
		alphabets = append(alphabets, path.Dir(l))
	}
	d, err := readOmniglot(filepath.Join(dir, "images_background_small2.zip"), alphabets)
	if err != nil {
		return nil, err
	}
	d.Test = Split{Pixels: append(d.Train.Pixels, d.Test.Pixels...), Labels: append(d.Train.Labels, d.Test.Labels...)}
	d.Train = Split{}
	return d, nil
}

// readOmniglot reads an archive but for some alphabets.
func readOmniglot(name string, without []string) (*Dataset, error) {
	z, err := zip.OpenReader(name)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer z.Close()
	d := &Dataset{Height: omniglotSide, Width: omniglotSide, Channels: 1}
	in := format.Input{Channels: 1, Height: omniglotSide, Width: omniglotSide, Mean: []float32{0}, Std: []float32{1}}
	files := slices.DeleteFunc(z.File, func(f *zip.File) bool { return path.Ext(f.Name) != ".png" })
	slices.SortFunc(files, func(a, b *zip.File) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range files {
		// images_background_small1/Greek/character05/0398_07.png
		parts := strings.Split(f.Name, "/")
		drawer, found := strings.CutSuffix(f.Name[strings.LastIndex(f.Name, "_")+1:], ".png")
		if len(parts) != 4 || !found || !fs.ValidPath(f.Name) {
			return nil, fmt.Errorf("%s: %s is not named as a drawing of Omniglot is", name, f.Name)
		}
		if slices.Contains(without, parts[1]) {
			continue
		}
		label := parts[1] + "/" + parts[2]
		if n := len(d.ClassNames); n == 0 || d.ClassNames[n-1] != label {
			d.ClassNames = append(d.ClassNames, label)
		}
		pixels, err := readDrawing(f, in)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", name, f.Name, err)
		}
		s := &d.Train
		if drawer > "16" {
			s = &d.Test
		}
		s.Pixels, s.Labels = append(s.Pixels, pixels...), append(s.Labels, len(d.ClassNames)-1)
	}
	if len(d.ClassNames) < 2 {
		return nil, fmt.Errorf("%s holds no characters", name)
	}
	return d, nil
}

func readDrawing(f *zip.File, in format.Input) ([]byte, error) {
	r, err := f.Open()
	if err != nil {
		return nil, err
	}
	img, err := png.Decode(r)
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	w, h := img.Bounds().Dx(), img.Bounds().Dy()
	rgba := make([]byte, 4*w*h)
	imagefile.Rows(rgba, img, 0)
	return sla.Resample(in, w, h, rgba)
}
