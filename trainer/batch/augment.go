package batch

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/quarterturn/quarterturn/format"
)

// Augmentations lists what Config.Augment may name, in the order in which
// they are applied.
var Augmentations = []string{"crop", "crop-reflect", "flip", "flip-alternate", "rand", "cutout"}

// AugmentHelp lists the augmentations, and how strong they are.
const AugmentHelp = "crop (shifts of up to 4 pixels, black behind the edge), crop-reflect (of up to 2, mirrored behind it), " +
	"flip (left to right, half of the time), flip-alternate (every other epoch, half of the images at first), " +
	"rand (two of 12 changes of colour and geometry, of TrivialAugment's narrower strengths) and " +
	"cutout (a grey square of half the side)"

// pad is how many pixels "crop" may shift an image to each side: a crop of the
// image padded with black, as in the SLA paper. "crop-reflect" and "flip-alternate" are
// those of Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU": every two epochs
// see each image both ways, where independent draws would repeat half of them. "cutout" greys a square of half
// the image's side around a random pixel (DeVries and Taylor 2017); "rand" does
// randChanges of the changes, each of a strength drawn at random (as RandAugment,
// Cubuk et al. 2020, with the strengths of TrivialAugment, Müller and Hutter 2021).
const pad, reflectPad, randChanges = 4, 2, 2

// An augmenter changes images as it draws.
type augmenter struct {
	height, width, channels  int
	grey                     []byte // per channel, the level that is 0 for the net
	crop, flip, rand, cutout bool
	reflect, alternate       bool
	changes                  []change
}

func newAugmenter(list string, input format.Input) (*augmenter, error) {
	a := &augmenter{height: input.Height, width: input.Width, channels: input.Channels}
	for _, mean := range input.Mean {
		a.grey = append(a.grey, level(mean*255))
	}
	for _, c := range changes {
		if input.Channels == 3 || !c.colour {
			a.changes = append(a.changes, c)
		}
	}
	if list == "none" {
		return a, nil
	}
	for _, name := range strings.Split(list, ",") {
		switch name {
		case "crop":
			a.crop = true
		case "crop-reflect":
			a.reflect = true
		case "flip":
			a.flip = true
		case "flip-alternate":
			a.alternate = true
		case "rand":
			a.rand = true
		case "cutout":
			a.cutout = true
		default:
			return nil, fmt.Errorf("augmentation %q: want none or a list of %s", name, strings.Join(Augmentations, ", "))
		}
	}
	if a.crop && a.reflect || a.flip && a.alternate {
		return nil, fmt.Errorf("augmentation %q: there are two kinds of crop, or of flip; leave one out", list)
	}
	return a, nil
}

// An augmentation is one draw.
type augmentation struct {
	dy, dx  int // the shift
	flip    bool
	changes [randChanges]drawnChange
	y, x    int // the middle of the square cut out
}

// A drawnChange is a change and its strength between -1 and 1.
type drawnChange struct {
	index    int
	strength float32
}

// draw draws what to do to the image of an index, in an epoch.
func (a *augmenter) draw(index, epoch int, rng *rand.Rand) (d augmentation) {
	if a.crop {
		d.dy, d.dx = rng.IntN(2*pad+1)-pad, rng.IntN(2*pad+1)-pad
	}
	if a.reflect {
		d.dy, d.dx = rng.IntN(2*reflectPad+1)-reflectPad, rng.IntN(2*reflectPad+1)-reflectPad
	}
	if a.flip {
		d.flip = rng.IntN(2) == 1
	}
	if a.alternate {
		d.flip = (epoch+int(mixed(uint64(index))>>63))%2 == 1
	}
	if a.rand {
		for i := range d.changes {
			d.changes[i] = drawnChange{rng.IntN(len(a.changes)), 2*rng.Float32() - 1}
		}
	}
	if a.cutout {
		d.y, d.x = rng.IntN(a.height), rng.IntN(a.width)
	}
	return d
}

// apply writes to dst what an augmentation makes of src; images are (H, W, C).
func (a *augmenter) apply(dst, src []byte, d augmentation) {
	a.move(dst, src, func(y, x int) (int, int) {
		if d.flip {
			x = a.width - 1 - x
		}
		y, x = y+d.dy, x+d.dx
		if a.reflect {
			y, x = reflected(y, a.height), reflected(x, a.width)
		}
		return y, x
	}, nil)
	if a.rand {
		for _, c := range d.changes {
			a.changes[c.index].apply(a, dst, c.strength)
		}
	}
	if a.cutout {
		for y := max(0, d.y-a.height/4); y < min(a.height, d.y+a.height/4); y++ {
			for x := max(0, d.x-a.width/4); x < min(a.width, d.x+a.width/4); x++ {
				copy(dst[(y*a.width+x)*a.channels:], a.grey)
			}
		}
	}
}

// reflected is the place in an image of n pixels that is mirrored to i, beyond its edge.
// The edge itself is not doubled, as in PyTorch's padding of mode reflect.
func reflected(i, n int) int {
	if i < 0 {
		i = -i
	}
	if i >= n {
		i = 2*(n-1) - i
	}
	return max(i, 0) // of images of less than three pixels
}

// mixed scatters the bits of a number: splitmix64 (Steele et al. 2014).
func mixed(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// move fills dst with the pixels of src that source points to, and where it
// points outside with the given pixel, or with black if that is nil.
func (a *augmenter) move(dst, src []byte, source func(y, x int) (int, int), outside []byte) {
	for y := range a.height {
		for x := range a.width {
			to := dst[(y*a.width+x)*a.channels:][:a.channels]
			if sy, sx := source(y, x); sy >= 0 && sy < a.height && sx >= 0 && sx < a.width {
				copy(to, src[(sy*a.width+sx)*a.channels:])
			} else {
				clear(to)
				copy(to, outside)
			}
		}
	}
}

// A change is one of those that "rand" chooses from.
type change struct {
	name   string
	colour bool // for images with colours only
	apply  func(a *augmenter, image []byte, strength float32)
}

// Strengths of 1 are those of TrivialAugment's narrower set.
var changes = []change{
	{"nothing", false, func(*augmenter, []byte, float32) {}},
	{"brightness", false, func(_ *augmenter, image []byte, s float32) {
		for i, v := range image {
			image[i] = level(float32(v) * (1 + 0.9*s))
		}
	}},
	{"contrast", false, func(_ *augmenter, image []byte, s float32) {
		var sum int
		for _, v := range image {
			sum += int(v)
		}
		mean := float32(sum) / float32(len(image))
		for i, v := range image {
			image[i] = level(mean + (float32(v)-mean)*(1+0.9*s))
		}
	}},
	{"saturation", true, func(_ *augmenter, image []byte, s float32) {
		for i := 0; i < len(image); i += 3 {
			px := image[i : i+3]
			grey := 0.299*float32(px[0]) + 0.587*float32(px[1]) + 0.114*float32(px[2])
			for c, v := range px {
				px[c] = level(grey + (float32(v)-grey)*(1+0.9*s))
			}
		}
	}},
	{"posterize", false, func(_ *augmenter, image []byte, s float32) {
		mask := byte(0xff) << int(4*abs(s))
		for i := range image {
			image[i] &= mask
		}
	}},
	{"solarize", false, func(_ *augmenter, image []byte, s float32) {
		from := level(255 * (1 - abs(s)))
		for i, v := range image {
			if v > from {
				image[i] = 255 - v
			}
		}
	}},
	{"autocontrast", false, func(a *augmenter, image []byte, _ float32) {
		for c := range a.channels {
			low, high := byte(255), byte(0)
			for i := c; i < len(image); i += a.channels {
				low, high = min(low, image[i]), max(high, image[i])
			}
			for i := c; i < len(image) && high > low; i += a.channels {
				image[i] = byte(255 * int(image[i]-low) / int(high-low))
			}
		}
	}},
	{"rotate", false, func(a *augmenter, image []byte, s float32) {
		sin, cos := math.Sincos(float64(s) * math.Pi / 6)
		a.warp(image, cos, -sin, sin, cos, 0, 0)
	}},
	{"shear x", false, func(a *augmenter, image []byte, s float32) { a.warp(image, 1, 0, 0.3*float64(s), 1, 0, 0) }},
	{"shear y", false, func(a *augmenter, image []byte, s float32) { a.warp(image, 1, 0.3*float64(s), 0, 1, 0, 0) }},
	{"translate x", false, func(a *augmenter, image []byte, s float32) {
		a.warp(image, 1, 0, 0, 1, 0, float64(s)*float64(a.width)/4)
	}},
	{"translate y", false, func(a *augmenter, image []byte, s float32) {
		a.warp(image, 1, 0, 0, 1, float64(s)*float64(a.height)/4, 0)
	}},
}

// warp moves every pixel to that of the matrix (yy yx; xy xx) around the middle,
// plus a shift; what comes from outside is grey.
func (a *augmenter) warp(image []byte, yy, yx, xy, xx, dy, dx float64) {
	my, mx := float64(a.height-1)/2, float64(a.width-1)/2
	a.move(image, slices.Clone(image), func(y, x int) (int, int) {
		fy, fx := float64(y)-my, float64(x)-mx
		return int(math.Floor(yy*fy + yx*fx + my + dy + 0.5)), int(math.Floor(xy*fy + xx*fx + mx + dx + 0.5))
	}, a.grey)
}

func abs(v float32) float32 { return max(v, -v) }

// level is the nearest level of a byte.
func level(v float32) byte { return byte(min(max(v+0.5, 0), 255)) }
