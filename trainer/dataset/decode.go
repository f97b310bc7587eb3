package dataset

import (
	"context"
	"fmt"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/sla"
)

// readSquare decodes an image file, crops it to a square and resamples that to
// (size, size, 3), by the very code that classifies later.
func readSquare(ctx context.Context, path string, size int, rgb []byte) (grey bool, err error) {
	p, err := imagefile.ReadFile(ctx, path, imagefile.Limits{})
	if err != nil {
		return false, err
	}
	in := format.Input{Channels: 3, Height: size, Width: size, Mean: []float32{0, 0, 0}, Std: []float32{1, 1, 1}}
	n := p.NRGBA()
	square, err := sla.Resample(in, n.Rect.Dx(), n.Rect.Dy(), n.Pix)
	if err != nil {
		return false, fmt.Errorf("%s: %w", path, err)
	}
	copy(rgb, square)
	return p.Grey, nil
}
