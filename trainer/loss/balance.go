package loss

import (
	"fmt"
	"math"
	"slices"

	"github.com/quarterturn/quarterturn/trainer/internal/rows"
)

// The losses for classes of unequal numbers of images, beside the plain
// cross-entropy, ce.
const (
	cbRW    = "cb-rw"    // class-balanced weights (Cui et al. 2019)
	cbFocal = "cb-focal" // these, and the focal loss (Lin et al. 2017)
	LDAM    = "ldam"     // margins that depend on the class (Cao et al. 2019)
)

// DRWStart is the share of a run after which deferred weights count: Cao et al. defer them
// for 160 of 200 epochs.
const DRWStart = 0.8

// CosineScale is what the cosines of classifiers that see angles are multiplied by to be logits.
const CosineScale = 30

const (
	focalGamma = 1 // Cui et al.'s and Cao et al.'s choice for the long-tailed CIFAR-10
	cbBeta     = 0.9999
	ldamMargin = 0.5 // the largest, of the rarest class, as a cosine
)

// A Balance changes a cross-entropy so that rare classes count for more. Joint labels
// (y, j) are treated as class y is: every image is in the batch under every
// transformation, so that a joint class has as many of them as its class has. The
// distilled head's cross-entropy is changed like the others, its distillation is not,
// and the teacher's logits are without margins.
type Balance struct {
	On      bool      // the weights count; until then every image counts alike
	Weights []float64 // per class, of mean 1
	Margins []float64 // per class, taken off the logit of the label; nil: none
	Gamma   float64   // of the focal loss; 0: cross-entropy
}

// NewBalance makes the Balance of a loss for classes of so many images. With deferred
// re-weighting (DRW) the losses ldam and ce get weights, too, late in the run.
func NewBalance(loss string, drw bool, counts []int) (*Balance, error) {
	b := &Balance{}
	switch loss {
	case "", "ce", cbRW:
	case cbFocal:
		b.Gamma = focalGamma
	case LDAM:
		// Cao et al., eq. 13: proportional to n^(-1/4).
		least := float64(slices.Min(counts))
		for _, n := range counts {
			b.Margins = append(b.Margins, CosineScale*ldamMargin*math.Pow(least/float64(n), 0.25))
		}
	default:
		return nil, fmt.Errorf("loss %q: want ce, %s, %s or %s", loss, cbRW, cbFocal, LDAM)
	}
	if drw || loss == cbRW || loss == cbFocal {
		// Cui et al., eq. 11: the inverse of the effective number of images.
		var sum float64
		for _, n := range counts {
			w := (1 - cbBeta) / (1 - math.Pow(cbBeta, float64(n)))
			b.Weights = append(b.Weights, w)
			sum += w
		}
		for i := range b.Weights {
			b.Weights[i] *= float64(len(counts)) / sum
		}
	}
	b.On = !drw
	return b, nil
}

// weight is how much an image with a target, a distribution over the classes, counts.
func (b *Balance) weight(target []float32) float64 {
	if !b.On || b.Weights == nil {
		return 1
	}
	var w float64
	for y, t := range target {
		w += float64(t) * b.Weights[y]
	}
	return w
}

// total is the weight of all images of a batch: a mean over them is divided by it.
func (b *Balance) total(targets []float32, classes int) (w float64) {
	for ; len(targets) > 0; targets = targets[classes:] {
		w += b.weight(targets[:classes])
	}
	return w
}

// loss is that of one row of logits, with label(k) the probability that k is its label
// and class(k) the class that k is about; grad gets its gradient. A label that is
// spread over classes has its share of each one's margin and focal factor.
func (b *Balance) loss(grad []float64, logits []float32, label func(k int) float64, class func(k int) int) (loss float64) {
	shifted := make([]float64, len(logits))
	for k, v := range logits {
		shifted[k] = float64(v)
		if b.Margins != nil {
			shifted[k] -= label(k) * b.Margins[class(k)]
		}
	}
	p := grad
	logSum := rows.Softmax(p, shifted, 1)
	if b.Gamma == 0 {
		for k := range p {
			t := label(k)
			loss -= t * (shifted[k] - logSum)
			grad[k] = p[k] - t
		}
		return loss
	}
	// -t (1-p)^γ log p, differentiated.
	slope := make([]float64, len(p))
	var sum float64
	for k := range p {
		t, log := label(k), shifted[k]-logSum
		far := math.Pow(1-p[k], b.Gamma)
		loss -= t * far * log
		if p[k] < 1 {
			slope[k] = t * (b.Gamma*far/(1-p[k])*p[k]*log - far)
		}
		sum += slope[k]
	}
	for k := range p {
		grad[k] = slope[k] - p[k]*sum
	}
	return loss
}
