//go:build !wasm

package sla

import (
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
)

// preprocess runs an image, given as planes of samples, through a preprocessor
// without normalisation and returns 8-bit levels.
func preprocess(t *testing.T, p *preprocessor, planes []float32, w, h int) []float32 {
	t.Helper()
	rgba := make([]byte, 0, 4*w*h)
	for i := range w * h {
		px := [4]byte{0, 0, 0, 255}
		for c := range 3 {
			px[c] = byte(planes[min(c, len(planes)/(w*h)-1)*w*h+i])
		}
		rgba = append(rgba, px[:]...)
	}
	if err := p.begin(w, h); err != nil {
		t.Fatal(err)
	}
	for y := range h {
		if err := p.rows(rgba[4*w*y : 4*w*(y+1)]); err != nil {
			t.Fatal(err)
		}
	}
	x := make([]float32, p.in.Channels*p.in.Width*p.in.Height)
	if err := normalise(p, x); err != nil {
		t.Fatal(err)
	}
	for i := range x {
		x[i] *= 255
	}
	return x
}

func TestResizeAgainstPyTorch(t *testing.T) {
	var cases []struct {
		Channels, Width, Height int
		ToWidth                 int `json:"to_width"`
		ToHeight                int `json:"to_height"`
		Seed                    uint32
		Out                     []float32
	}
	fixture(t, "resize.json", &cases)
	for _, c := range cases {
		samples := formattest.LCG(c.Seed, c.Channels*c.Width*c.Height)
		for i, v := range samples {
			samples[i] = float32(math.Floor(float64((v + 1) * 128)))
		}
		p := newPreprocessor(format.Input{Channels: c.Channels, Height: c.ToHeight, Width: c.ToWidth,
			Mean: []float32{0, 0, 0}, Std: []float32{1, 1, 1}})
		got := preprocess(t, p, samples, c.Width, c.Height)
		for i := range got {
			// Half a level of rounding to 8 bits, and a little for 16-bit weights.
			if d := math.Abs(float64(got[i] - c.Out[i])); d > 0.52 {
				t.Errorf("%dx%d to %dx%d: sample %d is %v, PyTorch says %v", c.Width, c.Height, c.ToWidth, c.ToHeight, i, got[i], c.Out[i])
				break
			}
		}
	}
}

func TestResizeKeepsConstantImages(t *testing.T) {
	p := newPreprocessor(format.Input{Channels: 1, Height: 9, Width: 7, Mean: []float32{0}, Std: []float32{1}})
	for _, size := range [][2]int{{1, 1}, {7, 9}, {1000, 3}, {3, 1000}, {641, 480}} {
		for _, level := range []float32{0, 1, 127, 255} {
			planes := make([]float32, size[0]*size[1])
			for i := range planes {
				planes[i] = level
			}
			for i, v := range preprocess(t, p, planes, size[0], size[1]) {
				if math.Round(float64(v)) != float64(level) {
					t.Fatalf("%v of level %v: sample %d became %v", size, level, i, v)
				}
			}
		}
	}
}

// A window of the input's size is taken as it is, wherever in the image it lies.
func TestCropKeepsSamples(t *testing.T) {
	for _, size := range [][2]int{{7, 9}, {12, 9}, {7, 20}} {
		width, height := size[0], size[1]
		plane := make([]float32, width*height)
		for i := range plane {
			plane[i] = float32(i * 7 % 256)
		}
		p := newPreprocessor(format.Input{Channels: 1, Height: 9, Width: 7, Mean: []float32{0}, Std: []float32{1}})
		preprocess(t, p, make([]float32, 9), 3, 3) // another image before
		for i, v := range preprocess(t, p, plane, width, height) {
			want := plane[(i/7+(height-9)/2)*width+i%7+(width-7)/2]
			if math.Round(float64(v)) != float64(want) {
				t.Fatalf("%dx%d: sample %d became %v, want %v", width, height, i, v, want)
			}
		}
	}
}

func TestPreprocessColours(t *testing.T) {
	rgba := []byte{200, 100, 50, 255, 200, 100, 50, 128, 9, 9, 9, 0, 255, 255, 255, 255}
	for _, c := range []struct {
		channels int
		want     []float32 // (v - 0.5) / 0.25 of these levels over 255
	}{
		{3, []float32{200, 100, 0, 255, 100, 50, 0, 255, 50, 25, 0, 255}},
		{1, []float32{124, 62, 0, 255}}, // 0.299 R + 0.587 G + 0.114 B
	} {
		p := newPreprocessor(format.Input{Channels: c.channels, Height: 2, Width: 2,
			Mean: []float32{.5, .5, .5}, Std: []float32{.25, .25, .25}})
		x := make([]float32, 4*c.channels)
		if err := errors.Join(p.begin(2, 2), p.rows(rgba), normalise(p, x)); err != nil {
			t.Fatal(err)
		}
		for i, level := range c.want {
			if got := float64(x[i])*0.25*255 + 127.5; math.Abs(got-float64(level)) > 1e-3 {
				t.Errorf("%d channels, sample %d is level %v, want %v", c.channels, i, got, level)
			}
		}
	}
}

func TestImageProtocol(t *testing.T) {
	c := open(t, formattest.Tiny(3))
	if _, err := c.Run(Single); err == nil {
		t.Error("ran without an image")
	}
	for _, size := range [][2]int{{0, 4}, {4, 0}, {-1, 4}, {MaxSide + 1, 1}} {
		if err := c.Begin(size[0], size[1]); err == nil {
			t.Errorf("took an image of %v", size)
		}
	}
	if err := c.Begin(5, 4); err != nil {
		t.Fatal(err)
	}
	if err := c.Rows(make([]byte, 19)); err == nil {
		t.Error("took a part of a row")
	}
	if err := c.Rows(make([]byte, 3*20)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Run(Single); err == nil {
		t.Error("ran with a row missing")
	}
	if err := c.Rows(make([]byte, 2*20)); err == nil {
		t.Error("took a row too many")
	}
	if err := c.Rows(make([]byte, 20)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Run(Single); err != nil {
		t.Error(err)
	}
}

// A resampled image preprocesses to the input that the image itself does.
func TestResampleIsPreprocessing(t *testing.T) {
	for _, channels := range []int{1, 3} {
		in := formattest.Tiny(channels).Input
		c := open(t, formattest.Tiny(channels))
		const w, h = 37, 19
		rgba := make([]byte, 4*w*h)
		for i, v := range formattest.LCG(9, len(rgba)) {
			rgba[i] = byte(127 * (v + 1))
		}
		input := func(w, h int, rgba []byte) []float32 {
			if err := errors.Join(c.Begin(w, h), c.Rows(rgba)); err != nil {
				t.Fatal(err)
			}
			x, err := c.Input()
			if err != nil {
				t.Fatal(err)
			}
			return slices.Clone(x)
		}
		want := input(w, h, rgba)
		samples, err := Resample(in, w, h, rgba)
		if err != nil {
			t.Fatal(err)
		}
		var small []byte
		for i := 0; i < len(samples); i += channels {
			small = append(small, samples[i], samples[i+(channels-1)/2], samples[i+channels-1], 255)
		}
		if !slices.Equal(input(in.Width, in.Height, small), want) {
			t.Errorf("%d channels: another input", channels)
		}
		if _, err := Resample(in, w, h, rgba[:4*w]); err == nil {
			t.Error("took an image with rows missing")
		}
	}
}

// normalise writes the whole input, (C, H, W).
func normalise(p *preprocessor, x []float32) error {
	for y := range p.in.Height {
		p.finish(x, y)
	}
	copy(x, planes(x, p.in.Channels))
	return p.complete()
}
