package batch

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/internal/parallel"
)

// Config says what becomes of the images of a batch.
type Config struct {
	Augment        string  // none, or a list: see AugmentHelp
	Mix            string  // Mixup, CutMix or empty
	MixAlpha       float64 // a mixture's share is drawn from Beta(MixAlpha, MixAlpha)
	LabelSmoothing float64 // the share of a label spread over all classes (Szegedy et al. 2016)
}

// Check finds what is wrong with a Config in itself.
func (c Config) Check() error {
	switch {
	case c.Mix != "" && c.Mix != Mixup && c.Mix != CutMix:
		return fmt.Errorf("mix %q: want %s or %s", c.Mix, Mixup, CutMix)
	case c.Mix != "" && !(c.MixAlpha > 0):
		return errors.New("alpha of the mixture must be above 0")
	case !(c.LabelSmoothing >= 0 && c.LabelSmoothing < 1):
		return errors.New("label smoothing must be at least 0 and below 1")
	}
	return nil
}

// A Batch is images and their labels.
type Batch struct {
	Images  []byte    // (n, H, W, C), augmented, not mixed yet
	Targets []float32 // (n, N), a distribution over the classes a row, mixed
	Teacher []float32 // (n, N), a teacher's logits; nil without one
	Mixture *Mixture  // nil: none
	mixed   []byte    // what Mixed returns
}

// A Batcher makes batches of the images of a split.
type Batcher struct {
	Epoch int // counted from 0; it matters to flip-alternate

	config    Config
	input     format.Input
	classes   int
	split     *dataset.Split
	on, off   float32 // the targets of an image's class and of the others
	augmenter *augmenter
	batch     Batch
}

// New makes a Batcher of the images of a split, which are of the input's size, and which have
// so many classes.
func New(c Config, input format.Input, classes int, s *dataset.Split) (*Batcher, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	share := c.LabelSmoothing / float64(classes)
	b := &Batcher{config: c, input: input, classes: classes, split: s, on: float32(1 - c.LabelSmoothing + share), off: float32(share)}
	var err error
	b.augmenter, err = newAugmenter(c.Augment, input)
	return b, err
}

// Next makes a batch of the images with the given indices, which is valid until the next
// call. All draws are made first, in order, so that the work may be shared out.
func (b *Batcher) Next(indices []int, rng *rand.Rand) *Batch {
	draws := make([]augmentation, len(indices))
	for i := range draws {
		draws[i] = b.augmenter.draw(indices[i], b.Epoch, rng)
	}
	m := b.drawMixture(len(indices), rng)
	size := b.input.Height * b.input.Width * b.input.Channels
	if len(b.batch.Targets) != len(indices)*b.classes {
		b.batch = Batch{Images: make([]byte, len(indices)*size), Targets: make([]float32, len(indices)*b.classes)}
	}
	b.batch.Mixture = m
	parallel.For(len(indices), func(_, i int) {
		b.augmenter.apply(b.batch.Images[i*size:(i+1)*size], b.split.Pixels[indices[i]*size:][:size], draws[i])
		b.target(b.batch.Targets[i*b.classes:(i+1)*b.classes], indices, i, m)
	})
	return &b.batch
}

// target writes the distribution over the classes of image i of a batch.
func (b *Batcher) target(target []float32, indices []int, i int, m *Mixture) {
	for y := range target {
		target[y] = b.off
	}
	label := b.split.Labels[indices[i]]
	if m == nil {
		target[label] = b.on
		return
	}
	target[label] += float32(m.Share * (b.on - b.off))
	target[b.split.Labels[indices[m.Partner[i]]]] += float32((1 - m.Share) * (b.on - b.off))
}
