package nhwc

import (
	"unsafe"

	"github.com/quarterturn/quarterturn/trainer/internal/parallel"
)

// Winograd's algorithm F(4x4, 3x3) (Lavin and Gray 2016, "Fast Algorithms for Convolutional
// Neural Networks"): a tile of 4x4 pixels of a 3x3 convolution of stride 1 is
//
//	Y = Aᵀ [ sum over input channels of (G w Gᵀ) ⊙ (Bᵀ X B) ] A
//
// for its window X of 6x6 pixels: 36 products where the direct way has 144. The gradients
// are those of this very computation: with D = A dY Aᵀ, that of G w Gᵀ is D ⊙ (Bᵀ X B),
// summed over the tiles, that of Bᵀ X B is D ⊙ (G w Gᵀ), summed over output channels. So
// all three are 36 matrix products, a frequency each, for the kernels that direct
// convolutions have.
//
// F(2x2, 3x3) has smaller errors and 1.8 times as many products a pixel. From 16 channels
// up F(4x4, 3x3) is faster than direct sums on every map of the fast nets, by 1.0 to 1.6.
const (
	tileSide     = 4
	tileIn       = 6
	frequencies  = tileIn * tileIn
	planePadding = 16 // floats between frequencies, so that they do not fall on the same cache lines
)

// A transformKernel makes y = M x Mᵀ of a tile, for n channels: distances in bytes.
type transformKernel = func(x *float32, xPixel, xRow uintptr, y *float32, yPixel, yRow, n uintptr)

// tilesMemory is how many bytes of transformed tiles, of inputs and outputs, are worked
// on at a time: they should stay in a core's second cache. Where the transformed weights do
// not, it is as many as these take, so that reading weights does not outweigh the rest: a
// step of fast64-256 takes 0.82 of the time.
const tilesMemory = 1 << 20

// A winograd is a Conv by this algorithm, for many images at a time.
type winograd struct {
	*Conv
	rows, columns int // of tiles of an image
	tiles         int // most that are worked on at a time: some images, or part of one

	transformed []float32 // weights: (frequency, block of Out, In, Out in the block)
	turned      []float32 // (frequency, block of In, Out, In in the block)
	scratch     []float32
}

func newWinograd(c *Conv) *winograd {
	w := &winograd{Conv: c, rows: (c.OutHeight() + tileSide - 1) / tileSide, columns: (c.OutWidth() + tileSide - 1) / tileSide}
	w.tiles = max(8, max(tilesMemory, 4*frequencies*c.In*c.Out)/(4*frequencies*(c.In+c.Out)))
	return w
}

// perImage is the number of tiles of an image.
func (w *winograd) perImage() int { return w.rows * w.columns }

// images is how many images are worked on at a time.
func (w *winograd) images() int { return max(1, w.tiles/w.perImage()) }

// A tileSpace is a worker's memory.
type tileSpace struct {
	in, out []float32 // (frequency, tile, In or Out)
	weights []float32 // a gradient, zero between groups: (frequency, In, Out)
	patch   []float32 // a tile that reaches beyond the image
}

func (s *tileSpace) prepare(w *winograd, backward bool) {
	need := min(w.tiles, w.images()*w.perImage())
	grow(&s.in, frequencies*(need*w.In+planePadding))
	grow(&s.out, frequencies*(need*w.Out+planePadding))
	grow(&s.patch, frequencies*max(w.In, w.Out))
	if backward {
		grow(&s.weights, frequencies*w.weightPlane())
	}
}

// plane is the distance of frequencies of so many tiles.
func plane(tiles, channels int) int { return tiles*channels + planePadding }

func (w *winograd) weightPlane() int { return w.In*w.Out + planePadding }

const float = unsafe.Sizeof(float32(0))

// bytes of so many floats.
func bytes(floats int) uintptr { return uintptr(floats) * float }

// block is how many output channels a kernel makes at a time.
func block(channels int) int {
	set, vectors := choose(channels)
	return set.lanes * vectors
}

// prepareWeights transforms the weights, (3, 3, In, Out), for forward, and for backward if
// the gradient of the input is wanted, too.
func (w *winograd) prepareWeights(weight []float32, inputGradient bool) {
	w.transform(grow(&w.transformed, frequencies*w.weightPlane()), weight, w.In, w.Out)
	if !inputGradient {
		return
	}
	t := grow(&w.scratch, len(weight))
	for tap := range 9 {
		from, to := weight[tap*w.In*w.Out:][:w.In*w.Out], t[tap*w.In*w.Out:]
		for i := range w.In {
			for o := range w.Out {
				to[o*w.In+i] = from[i*w.Out+o]
			}
		}
	}
	w.transform(grow(&w.turned, frequencies*w.weightPlane()), t, w.Out, w.In)
}

func (w *winograd) transform(to, weight []float32, in, out int) {
	set, _ := choose(out)
	block, plane := block(out), bytes(w.weightPlane())
	parallel.For(out/block, func(_, k int) {
		for i := range in {
			set.winogradWeights(&weight[i*out+k*block], bytes(in*out), bytes(3*in*out),
				&to[(k*in+i)*block], plane, tileIn*plane, uintptr(block))
		}
	})
}

// spans calls f with runs of tiles of the images from n0 to n1.
func (w *winograd) spans(n0, n1 int, f func(from, to int)) {
	total := (n1 - n0) * w.perImage()
	for from := 0; from < total; from += w.tiles {
		f(from, min(total, from+w.tiles))
	}
}

// place is where tile t of an image is: the first pixel of its output, and how many of its
// rows and columns the image has.
func (w *winograd) place(t int) (y, x, height, width int) {
	t %= w.perImage()
	y, x = t/w.columns*tileSide, t%w.columns*tileSide
	return y, x, min(tileSide, w.OutHeight()-y), min(tileSide, w.OutWidth()-x)
}

// first and last say whether tile t is that of its image.
func (w *winograd) first(t int) bool { return t%w.perImage() == 0 }
func (w *winograd) last(t int) bool  { return (t+1)%w.perImage() == 0 }

// gather transforms tile t of a padded image with channels channels: a window of size
// pixels a side from the tile's place on, displaced by border, into the column of its
// tile.
func (w *winograd) gather(s *tileSpace, kernel transformKernel, to *float32, plane int, image []float32, t, size, border, channels int) {
	y, x, height, width := w.place(t)
	row := (w.Width + 2) * channels
	from := image[(y+border)*row+(x+border)*channels:]
	pixel := channels
	if over := size - tileSide; height < tileSide || width < tileSide {
		patch := s.patch[:size*size*channels]
		clear(patch)
		for r := range height + over {
			copy(patch[r*size*channels:][:(width+over)*channels], from[r*row:])
		}
		from, row = patch, size*channels
	}
	kernel(&from[0], bytes(pixel), bytes(row), to, bytes(plane), tileIn*bytes(plane), uintptr(channels))
}

// gatherInput and gatherGrad are that for inputs and for gradients of outputs.
func (w *winograd) gatherInput(s *tileSpace, image []float32, t, at, tiles int) {
	set, _ := choose(w.In)
	w.gather(s, set.winogradInput, &s.in[at*w.In], plane(tiles, w.In), image, t, tileIn, 0, w.In)
}

func (w *winograd) gatherGrad(s *tileSpace, image []float32, t, at, tiles int) {
	set, _ := choose(w.Out)
	w.gather(s, set.winogradGrad, &s.out[at*w.Out], plane(tiles, w.Out), image, t, tileSide, 1, w.Out)
}

// scatterOutput writes tile t of the output into a padded image.
func (w *winograd) scatterOutput(s *tileSpace, image []float32, t, at, tiles int) {
	set, _ := choose(w.Out)
	y, x, height, width := w.place(t)
	row, plane := (w.OutWidth()+2)*w.Out, bytes(plane(tiles, w.Out))
	to := image[(y+1)*row+(x+1)*w.Out:]
	if height == tileSide && width == tileSide {
		set.winogradOutput(&s.out[at*w.Out], plane, tileIn*plane, &to[0], bytes(w.Out), bytes(row), uintptr(w.Out))
		return
	}
	set.winogradOutput(&s.out[at*w.Out], plane, tileIn*plane, &s.patch[0], bytes(w.Out), bytes(tileSide*w.Out), uintptr(w.Out))
	for r := range height {
		copy(to[r*row:][:width*w.Out], s.patch[r*tileSide*w.Out:])
	}
}

// scatterInput adds the gradient of tile t's window to a padded image.
func (w *winograd) scatterInput(s *tileSpace, image []float32, t, at, tiles int) {
	set, _ := choose(w.In)
	y, x, height, width := w.place(t)
	row, plane := (w.Width+2)*w.In, bytes(plane(tiles, w.In))
	to := image[y*row+x*w.In:]
	if height == tileSide && width == tileSide {
		set.winogradGradInput(&s.in[at*w.In], plane, tileIn*plane, &to[0], bytes(w.In), bytes(row), uintptr(w.In))
		return
	}
	patch := s.patch[:frequencies*w.In]
	clear(patch)
	set.winogradGradInput(&s.in[at*w.In], plane, tileIn*plane, &patch[0], bytes(w.In), bytes(tileIn*w.In), uintptr(w.In))
	for r := range height + 2 {
		add(to[r*row:][:(width+2)*w.In], patch[r*tileIn*w.In:][:(width+2)*w.In])
	}
}

// multiply makes y (tiles, out) = x (tiles, in) times packed weights.
func multiply(y, x, weights []float32, tiles, in, out int) {
	set, vectors := choose(out)
	block, byTile := set.lanes*vectors, set.forward[vectors]
	for k := 0; k < out; k += block {
		for t := 0; t < tiles; t += len(byTile) - 1 {
			tile := min(len(byTile)-1, tiles-t)
			byTile[tile](&x[t*in], bytes(in), 0, uintptr(in), 1, &weights[k*in], bytes(block), &y[t*out+k], bytes(out))
		}
	}
}

// multiplyGrad adds xᵀ dy to dw (in, out), for x (tiles, in) and dy (tiles, out).
func multiplyGrad(dw, x, dy []float32, tiles, in, out int) {
	set, vectors := choose(out)
	byTile := set.weights[vectors]
	for k := 0; k < out; k += set.lanes * vectors {
		for i := 0; i < in; i += len(byTile) - 1 {
			tile := min(len(byTile)-1, in-i)
			byTile[tile](&x[i], bytes(in), 0, uintptr(tiles), 1, &dy[k], bytes(out), 0, &dw[i*out+k], bytes(out))
		}
	}
}

// forward convolves the images from n0 to n1, no more than images. load returns an image's
// input, and output where its output is to be; done is called when it is there.
func (w *winograd) forward(s *tileSpace, n0, n1 int, load, output func(n int) []float32, done func(n int)) {
	s.prepare(w, false)
	var x, y []float32
	w.spans(n0, n1, func(from, to int) {
		tiles := to - from
		for t := from; t < to; t++ {
			if w.first(t) {
				x = load(n0 + t/w.perImage())
			}
			w.gatherInput(s, x, t, t-from, tiles)
		}
		for f := range frequencies {
			multiply(s.out[f*plane(tiles, w.Out):], s.in[f*plane(tiles, w.In):], w.transformed[f*w.weightPlane():], tiles, w.In, w.Out)
		}
		for t := from; t < to; t++ {
			n := n0 + t/w.perImage()
			if w.first(t) {
				y = output(n)
			}
			w.scatterOutput(s, y, t, t-from, tiles)
			if w.last(t) {
				done(n)
			}
		}
	})
}

// backward adds the weight gradient of the images from n0 to n1 to the worker's, see
// takeWeights, and writes the gradient of the input, with a border of zeros, if output is
// not nil. loads return an image's input and the gradient of its output.
func (w *winograd) backward(s *tileSpace, n0, n1 int, load, loadGrad, output func(n int) []float32, done func(n int)) {
	s.prepare(w, true)
	var x, dy, dx []float32
	w.spans(n0, n1, func(from, to int) {
		tiles := to - from
		for t := from; t < to; t++ {
			if n := n0 + t/w.perImage(); w.first(t) {
				x, dy = load(n), loadGrad(n)
			}
			w.gatherInput(s, x, t, t-from, tiles)
			w.gatherGrad(s, dy, t, t-from, tiles)
		}
		for f := range frequencies {
			in, out := s.in[f*plane(tiles, w.In):], s.out[f*plane(tiles, w.Out):]
			multiplyGrad(s.weights[f*w.weightPlane():], in, out, tiles, w.In, w.Out)
			if output != nil {
				multiply(in, out, w.turned[f*w.weightPlane():], tiles, w.Out, w.In)
			}
		}
		if output == nil {
			return
		}
		for t := from; t < to; t++ {
			n := n0 + t/w.perImage()
			if w.first(t) {
				dx = output(n)
				clear(dx)
			}
			w.scatterInput(s, dx, t, t-from, tiles)
			if w.last(t) {
				clearBorder(dx, w.Height, w.Width, w.In)
				done(n)
			}
		}
	})
}

// takeWeights moves the weight gradient that a worker has to the group whose images it
// was made of.
func (w *winograd) takeWeights(s *tileSpace, group int) {
	s.prepare(w, true) // a group may be without images
	set, _ := choose(w.Out)
	plane, to := bytes(w.weightPlane()), w.partial[group]
	for i := range w.In {
		set.winogradGradWeights(&s.weights[i*w.Out], plane, tileIn*plane, &to[i*w.Out], bytes(w.In*w.Out), bytes(3*w.In*w.Out), uintptr(w.Out))
	}
	clear(s.weights)
}

// clearBorder writes zeros to the border of a padded image.
func clearBorder(image []float32, height, width, channels int) {
	row := (width + 2) * channels
	clear(image[:row])
	clear(image[(height+1)*row:][:row])
	for y := 1; y <= height; y++ {
		clear(image[y*row:][:channels])
		clear(image[(y+1)*row-channels:][:channels])
	}
}
