package host

import (
	"context"

	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/sla"
)

// The modes, for WithMode. sla.Mode says what each computes; its String, MarshalText and
// UnmarshalText are their names, "aggregated" and so on.
const (
	Auto       = sla.Auto // the one that the slab recommends
	Baseline   = sla.Baseline
	Single     = sla.Single
	Aggregated = sla.Aggregated
	Distilled  = sla.Distilled
	Adaptive   = sla.Adaptive
)

// ParseMode returns the mode of a name. The error is sla.ErrMode.
func ParseMode(name string) (sla.Mode, error) { return sla.ParseMode(name) }

// ClassifyFile decodes the bytes of an image file, PNG, JPEG, GIF or WebP, as package
// imagefile does with its default limits, and classifies what is in it. Errors are those
// of imagefile.Decode (ErrNotImage, ErrUnsupported, ErrTooLarge, ErrBroken) and those of
// Classify. For other limits, or a file on disk, call imagefile and Classify.
func (c *Classifier) ClassifyFile(ctx context.Context, file []byte, opts ...CallOption) (*Prediction, error) {
	img, err := imagefile.Decode(ctx, file, imagefile.Limits{})
	if err != nil {
		return nil, err
	}
	return c.Classify(ctx, img, opts...)
}
