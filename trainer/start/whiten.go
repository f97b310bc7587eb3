// Package start computes first weights in closed form.
//
// NewWhitening makes the frozen stem of a fast net from the training images. FitLinear makes
// the heads of a net whose other layers come from a slab, by ridge regression on features.
package start

import (
	"errors"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"

	"github.com/quarterturn/quarterturn/trainer/batch"
	"github.com/quarterturn/quarterturn/trainer/nets"
)

// A Whitening is the frozen stem of a fast net: the principal components of 3x3 patches of
// images, each over the root of its variance, plus and minus, so that the ReLU behind it
// loses nothing (Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", section
// 3.2, after Page 2018, "How to Train Your ResNet 8"; there patches are 2x2 and not centred).
type Whitening struct {
	Weight []float32 // (3, 3, channels, outputs): see nets.StemWidth
	Bias   []float32 // (outputs): takes the mean patch away
}

// whiteningFloor is added to the variances, as a share of the mean variance of a pixel.
const whiteningFloor = 5e-4

// How many views of images, and of patches in all, a whitening is made of.
const whiteningViews, whiteningPatches = 2000, 400_000

// NewWhitening computes the whitening of images (n, H, W, C) as the net sees them, in all
// their views: it is made for turned and recoloured images as for upright ones.
func NewWhitening(v *batch.Views, pixels []byte) (*Whitening, error) {
	in := v.Input
	size := in.Height * in.Width * in.Channels
	all := len(pixels) / size
	n := min(all, max(1, whiteningViews/len(v.Transforms)))
	sample := make([]byte, 0, n*size)
	for i := range n {
		sample = append(sample, pixels[i*all/n*size:][:size]...)
	}
	images := make([]float32, n*len(v.Transforms)*size)
	v.Render(images, 0, &batch.Batch{Images: sample})

	patch := 9 * in.Channels
	count, sum, product := 0, make([]float64, patch), make([]float64, patch*patch)
	inside := (in.Height - 2) * (in.Width - 2)
	step := max(1, len(images)/size*inside/whiteningPatches)
	x := make([]float64, patch)
	for at := 0; at < len(images)/size*inside; at += step {
		image, y, col := at/inside, at%inside/(in.Width-2), at%(in.Width-2)
		for tap := range 9 {
			from := images[image*size+((y+tap/3)*in.Width+col+tap%3)*in.Channels:]
			for c := range in.Channels {
				x[tap*in.Channels+c] = float64(from[c])
			}
		}
		count++
		for i, v := range x {
			sum[i] += v
			for k := i; k < patch; k++ {
				product[i*patch+k] += v * x[k]
			}
		}
	}
	covariance := mat.NewSymDense(patch, nil)
	var trace float64
	for i := range patch {
		for k := i; k < patch; k++ {
			covariance.SetSym(i, k, product[i*patch+k]/float64(count)-sum[i]/float64(count)*sum[k]/float64(count))
		}
		trace += covariance.At(i, i)
	}
	var eigen mat.EigenSym
	if !eigen.Factorize(covariance, true) || !(trace > 0) {
		return nil, errors.New("the training images are all of one colour: there is nothing to whiten")
	}
	values := eigen.Values(nil) // ascending
	var vectors mat.Dense
	eigen.VectorsTo(&vectors)
	outputs := nets.StemWidth(in.Channels)
	w := &Whitening{Weight: make([]float32, patch*outputs), Bias: make([]float32, outputs)}
	for o := range outputs / 2 {
		column := patch - 1 - o
		scale := 1 / math.Sqrt(max(0, values[column])+whiteningFloor*trace/float64(patch))
		var bias float64
		for i := range patch {
			v := vectors.At(i, column) * scale
			bias -= v * sum[i] / float64(count)
			w.Weight[i*outputs+o], w.Weight[i*outputs+outputs/2+o] = float32(v), float32(-v)
		}
		w.Bias[o], w.Bias[outputs/2+o] = float32(bias), float32(-bias)
	}
	return w, nil
}

// RandomWhitening stands for one where there are no images.
func RandomWhitening(channels int, rng *rand.Rand) *Whitening {
	outputs := nets.StemWidth(channels)
	w := &Whitening{Weight: make([]float32, 9*channels*outputs), Bias: make([]float32, outputs)}
	for i := range w.Weight {
		w.Weight[i] = float32(rng.NormFloat64() / math.Sqrt(float64(9*channels)))
	}
	return w
}
