package sla

import (
	"errors"

	"github.com/quarterturn/quarterturn/format"
)

// ErrImage says that an image cannot be classified as it was given.
var ErrImage = errors.New("unusable image")

type imageError string

func (e imageError) Error() string { return string(e) }
func (imageError) Unwrap() error   { return ErrImage }

// MaxSide is the longest side, in pixels, of an image that can be classified.
const MaxSide = 1 << 15

// A resampler holds, for one axis, which source samples each output sample
// takes and with what weights: a triangle filter, stretched when shrinking, as
// in Pillow's BILINEAR with antialiasing. Weights are integers that add up to
// exactly 1<<16, so that resampling has no rounding that could differ.
type resampler struct {
	first  []int    // per output sample, the first source sample
	start  []int    // per output sample, where its weights begin; one extra at the end
	weight []uint32 // the weights, one after the other
}

// reset makes r resample n source samples, from offset on, to m. It uses the memory
// of what it held.
func (r *resampler) reset(offset, n, m int) {
	if most := maxWeights(n, m); cap(r.weight) < most {
		r.weight = make([]uint32, 0, most)
	}
	r.first, r.start, r.weight = r.first[:0], append(r.start[:0], 0), r.weight[:0]
	// With distances in units of 1/(2m) source samples, sample i lies at (2i+1)m
	// and output o at (2o+1)n; the filter falls to zero at twice max(n, m).
	reach := 2 * max(n, m)
	for o := range m {
		centre := (2*o + 1) * n
		lo := max(0, (centre-reach)/(2*m)-1)
		hi := min(n, (centre+reach)/(2*m)+2)
		tent := func(i int) int { return max(0, reach-abs((2*i+1)*m-centre)) }
		for tent(lo) == 0 {
			lo++
		}
		for tent(hi-1) == 0 {
			hi--
		}
		total := 0
		for i := lo; i < hi; i++ {
			total += tent(i)
		}
		// Rounding the running sum, not each weight, keeps the total exact.
		r.first = append(r.first, offset+lo)
		sum, before := 0, 0
		for i := lo; i < hi; i++ {
			sum += tent(i)
			upTo := (sum<<17 + total) / (2 * total)
			r.weight = append(r.weight, uint32(upTo-before))
			before = upTo
		}
		r.start = append(r.start, len(r.weight))
	}
}

// maxWeights is no less than the number of weights for n samples to m: the filter is
// 2·max(n, m)/m source samples wide.
func maxWeights(n, m int) int { return 2*max(n, m) + 2*m }

// maxImageMemory is how many bytes the largest image takes in a preprocessor.
func maxImageMemory(in *format.Input) int {
	axis := func(m int) int { return 4*maxWeights(MaxSide, m) + 2*8*(m+1) }
	return axis(in.Width) + axis(in.Height) + in.Channels*MaxSide
}

func abs(v int) int {
	if v < 0 {
		return -v
	}
	return v
}

// end is the source sample after the last one that output o takes.
func (r *resampler) end(o int) int { return r.first[o] + r.start[o+1] - r.start[o] }

// Resample crops and resizes a whole image of straight RGBA, width x height x 4 bytes,
// as preprocessing does, up to the normalisation: it returns the 8-bit samples (H, W, C)
// of the input. These, taken as an image, preprocess to the same input again. Sides
// below 1 or above MaxSide, and another number of bytes, are an error.
func Resample(in format.Input, width, height int, rgba []byte) ([]uint8, error) {
	p := newPreprocessor(in)
	if err := p.begin(width, height); err != nil {
		return nil, err
	}
	if err := p.rows(rgba); err != nil {
		return nil, err
	}
	if err := p.complete(); err != nil {
		return nil, err
	}
	return p.levels, nil
}

const errIncomplete imageError = "the image is not complete: not all of its rows were given"

// Normalised returns, per channel, what the net is fed for each 8-bit level v:
// (v/255 - mean) / std. Training and inference both look it up here.
func Normalised(in format.Input) [][256]float32 {
	table := make([][256]float32, in.Channels)
	for c := range table {
		for v := range 256 {
			table[c][v] = (float32(v)/255 - in.Mean[c]) / in.Std[c]
		}
	}
	return table
}

// A preprocessor turns RGBA rows into the net's input. It cuts the centred
// window with the input's aspect ratio, resizes it, and normalises. The rows
// stream through, so its memory does not depend on the height of the image.
type preprocessor struct {
	in            format.Input
	norm          [][256]float32 // see Normalised
	width, height int            // of the announced image
	scaled        bool           // its window has another size than the input
	y             int            // rows that have come
	across, down  resampler
	samples       []uint8  // one row of the window, C samples a pixel
	line          []uint16 // one row resized across: (width, C), 8 fraction bits
	sums          []uint32 // (height, width, C): weighted sums of lines
	levels        []uint8  // (height, width, C): what they come to, the resized image
	live          int      // the first output row that is not complete yet
}

func newPreprocessor(in format.Input) *preprocessor {
	p := &preprocessor{in: in, norm: Normalised(in)}
	p.line = make([]uint16, in.Width*in.Channels)
	p.sums = make([]uint32, in.Height*in.Width*in.Channels)
	p.levels = make([]uint8, len(p.sums))
	return p
}

// begin announces an image of that many pixels. The errors of a preprocessor are
// ErrImage.
func (p *preprocessor) begin(width, height int) error {
	if width < 1 || height < 1 || width > MaxSide || height > MaxSide {
		return imageError("an image must have sides of 1 to " + itoa(MaxSide) + " pixels")
	}
	if width != p.width || height != p.height {
		p.width, p.height = width, height
		w, h := window(width, height, p.in.Width, p.in.Height)
		p.scaled = w != p.in.Width || h != p.in.Height
		p.across.reset((width-w)/2, w, p.in.Width)
		p.down.reset((height-h)/2, h, p.in.Height)
		if n := w * p.in.Channels; n > cap(p.samples) {
			p.samples = make([]uint8, n)
		} else {
			p.samples = p.samples[:n]
		}
	}
	p.y, p.live = 0, 0
	if p.scaled {
		clear(p.sums)
	}
	return nil
}

// window is the size of the largest part of a width x height image that has the
// aspect ratio w:h.
func window(width, height, w, h int) (int, int) {
	if width*h >= height*w {
		return max(1, (2*height*w+h)/(2*h)), height
	}
	return width, max(1, (2*width*h+w)/(2*w))
}

// rows takes the next whole rows, 4 bytes a pixel: R, G, B and straight alpha.
func (p *preprocessor) rows(rgba []byte) error {
	stride := 4 * p.width
	if stride == 0 || len(rgba)%stride != 0 || p.y+len(rgba)/stride > p.height {
		return imageError("the rows given are not whole rows of the announced image")
	}
	for ; len(rgba) > 0; rgba = rgba[stride:] {
		p.row(rgba[:stride])
		p.y++
	}
	return nil
}

func (p *preprocessor) row(rgba []byte) {
	if p.y < p.down.first[0] || p.live == p.in.Height {
		return // outside the window
	}
	x0 := p.across.first[0]
	n := len(p.line)
	if !p.scaled {
		p.sample(p.levels[p.live*n:(p.live+1)*n], rgba[4*x0:])
		p.live++
		return
	}
	p.sample(p.samples, rgba[4*x0:])
	p.resizeAcross(x0)
	for o := p.live; o < p.in.Height && p.down.first[o] <= p.y; o++ {
		weight := p.down.weight[p.down.start[o]+p.y-p.down.first[o]]
		sums := p.sums[o*n : (o+1)*n]
		for i, v := range p.line {
			sums[i] += weight * uint32(v)
		}
		if p.down.end(o) == p.y+1 {
			p.live = o + 1
			levels := p.levels[o*n : (o+1)*n]
			for i, sum := range sums {
				levels[i] = uint8((sum + 1<<23) >> 24)
			}
		}
	}
}

// sample composes the window's part of a row over black and, for a grey net,
// takes the luma (ITU-R 601, the integer weights of image/color and Pillow).
func (p *preprocessor) sample(to []uint8, rgba []byte) {
	grey := p.in.Channels == 1
	for len(to) > 0 {
		px := rgba[:4:4]
		rgba = rgba[4:]
		r, g, b, a := uint32(px[0]), uint32(px[1]), uint32(px[2]), uint32(px[3])
		if a != 255 {
			r, g, b = (r*a+127)/255, (g*a+127)/255, (b*a+127)/255
		}
		if grey {
			to[0] = uint8((19595*r + 38470*g + 7471*b + 1<<15) >> 16)
			to = to[1:]
		} else {
			to[0], to[1], to[2] = uint8(r), uint8(g), uint8(b)
			to = to[3:]
		}
	}
}

// resizeAcross makes a line of the samples. Every sample times 1<<16, rounded to 8
// fraction bits, is what a window as wide as the input comes to.
func (p *preprocessor) resizeAcross(x0 int) {
	channels := p.in.Channels
	if len(p.samples) == len(p.line) {
		for i, v := range p.samples {
			p.line[i] = uint16(v) << 8
		}
		return
	}
	for o := range p.in.Width {
		weights := p.across.weight[p.across.start[o]:p.across.start[o+1]]
		from := (p.across.first[o] - x0) * channels
		for c := range channels {
			sum, k := uint32(1<<7), from+c
			for _, w := range weights {
				sum += w * uint32(p.samples[k])
				k += channels
			}
			p.line[o*channels+c] = uint16(sum >> 8)
		}
	}
}

// complete tells whether all rows have come; the error says that they have not.
func (p *preprocessor) complete() error {
	if p.width == 0 || p.y != p.height {
		return errIncomplete
	}
	return nil
}

// finish writes row y of the net's input, dense (H, W, C), once all rows have come.
func (p *preprocessor) finish(x []float32, y int) {
	n := len(p.line)
	to, levels := x[y*n:(y+1)*n], p.levels[y*n:(y+1)*n]
	if len(p.norm) == 1 {
		norm := &p.norm[0]
		for i, v := range levels {
			to[i] = norm[v]
		}
		return
	}
	r, g, b := &p.norm[0], &p.norm[1], &p.norm[2]
	for len(levels) > 0 {
		to[0], to[1], to[2] = r[levels[0]], g[levels[1]], b[levels[2]]
		to, levels = to[3:], levels[3:]
	}
}

// planes returns (C, H, W) of x, dense (H, W, C).
func planes(x []float32, channels int) []float32 {
	plane := len(x) / channels
	out := make([]float32, len(x))
	for i, v := range x {
		out[i%channels*plane+i/channels] = v
	}
	return out
}
