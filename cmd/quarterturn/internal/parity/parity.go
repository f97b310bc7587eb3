package parity

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/host"
	"github.com/quarterturn/quarterturn/sla"
)

// Targets are the names of all targets.
var Targets = []string{"native", "wazero", "wazero-simd", "wazero-interpreter", "wazero-interpreter-simd",
	"node-wasip1", "node-wasip1-simd", "node-js", "node-js-simd", "chromium", "chromium-simd", "firefox", "firefox-simd"}

// A Report is the outcome of a check.
type Report struct {
	Equal      bool     `json:"equal"`
	Images     int      `json:"images"`
	Modes      []string `json:"modes"`
	Targets    []Digest `json:"targets"`
	Difference string   `json:"difference,omitempty"` // where the first two targets part
}

// A Digest is that of one target: SHA-256 over the little-endian bits of the
// logits, mode after mode, in each the images in order.
type Digest struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

// A job is what a target runs.
type job struct {
	slab   []byte
	model  *format.Model
	images []*image.NRGBA
	modes  []sla.Mode
	trace  *tracePoint // run only this, and fingerprint every layer
}

// matched is the number of classes of the gallery that the first images make.
func (j *job) matched() int { return min(10, len(j.images)) }

type tracePoint struct {
	Image int    `json:"image"`
	Mode  string `json:"mode"`
}

// An outcome is what a target computed.
type outcome struct {
	logits []byte // little-endian float32: (modes, images, classes), then (images, matched classes)
	trace  []uint64
}

// A target runs a job.
type target func(ctx context.Context, j *job) (*outcome, error)

// find is the target of that name. With -simd behind it, it runs the build of the
// module that has kernels of vector operations.
func find(name string) (target, error) {
	engine, simd := strings.CutSuffix(name, "-simd")
	switch {
	case name == "native":
		return inProcess(host.WithEngine(host.Native)), nil
	case engine == "wazero":
		return inProcess(host.WithSIMD(simd)), nil
	case engine == "wazero-interpreter":
		return inProcess(host.WithEngine(host.WazeroInterpreter), host.WithSIMD(simd)), nil
	case engine == "node-wasip1":
		return node("wasip1", simd), nil
	case engine == "node-js":
		return node("js", simd), nil
	case engine == "chromium":
		return page(chromiumBrowser, simd), nil
	case engine == "firefox":
		return page(firefoxBrowser, simd), nil
	}
	return nil, fmt.Errorf("there is no target %q; the targets are %s", name, strings.Join(Targets, ", "))
}

// Check runs every mode of a slab on the images and compares the targets.
// progress, if not nil, is told each target before it runs.
func Check(ctx context.Context, slab []byte, images []*image.NRGBA, targets []string, progress func(name string)) (*Report, error) {
	model, err := format.Decode(slab)
	if err != nil {
		return nil, err
	}
	j := &job{slab: slab, model: model, images: images}
	r := &Report{Equal: true, Images: len(images), Modes: append(model.Modes(), sla.Matched.String())}
	for _, name := range model.Modes() {
		mode, err := sla.ParseMode(name)
		if err != nil {
			return nil, err
		}
		j.modes = append(j.modes, mode)
	}
	var run []target
	for _, name := range targets {
		t, err := find(name)
		if err != nil {
			return nil, err
		}
		run = append(run, t)
	}
	var first *outcome
	for i, t := range run {
		if progress != nil {
			progress(targets[i])
		}
		o, err := t(ctx, j)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", targets[i], err)
		}
		if want := 4 * len(images) * (len(j.modes)*model.Classes() + j.matched()); len(o.logits) != want {
			return nil, fmt.Errorf("%s gave %d bytes of logits, want %d", targets[i], len(o.logits), want)
		}
		sum := sha256.Sum256(o.logits)
		r.Targets = append(r.Targets, Digest{targets[i], hex.EncodeToString(sum[:])})
		if first == nil {
			first = o
		}
		if r.Equal && !slices.Equal(o.logits, first.logits) {
			r.Equal = false
			if r.Difference, err = locate(ctx, j, first, o, run[0], t, targets[0], targets[i]); err != nil {
				return nil, err
			}
		}
	}
	return r, nil
}

// locate says where two outcomes that differ first do: the image, the mode, and
// the first layer whose output is not the same.
func locate(ctx context.Context, j *job, a, b *outcome, runA, runB target, nameA, nameB string) (string, error) {
	at := 0
	for a.logits[at] == b.logits[at] {
		at++
	}
	traced := *j
	var mode string
	if n := len(j.images) * j.model.Classes(); at/4 < n*len(j.modes) {
		mode = j.modes[at/4/n].String()
		traced.trace = &tracePoint{at / 4 % n / j.model.Classes(), mode}
	} else {
		mode = sla.Matched.String()
		// No mode's trace has more views than the last's.
		traced.trace = &tracePoint{(at/4 - n*len(j.modes)) / j.matched(), j.modes[len(j.modes)-1].String()}
	}
	where := fmt.Sprintf("%s and %s part on image %d in mode %s", nameA, nameB, traced.trace.Image, mode)
	ta, err := runA(ctx, &traced)
	if err != nil {
		return "", fmt.Errorf("tracing %s: %w", nameA, err)
	}
	tb, err := runB(ctx, &traced)
	if err != nil {
		return "", fmt.Errorf("tracing %s: %w", nameB, err)
	}
	return where + ", first in " + firstDifference(&j.model.Manifest, ta.trace, tb.trace), nil
}

func firstDifference(m *format.Manifest, a, b []uint64) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return sla.TraceName(m, len(a), i)
		}
	}
	return "nothing that their traces show: the difference does not repeat"
}

// inProcess runs a job with an engine of package host.
func inProcess(options ...host.Option) target {
	return func(ctx context.Context, j *job) (*outcome, error) {
		c, err := host.Open(ctx, j.slab, append(options, host.WithPoolSize(1))...)
		if err != nil {
			return nil, err
		}
		defer c.Close(ctx)
		if j.trace != nil {
			mode, err := sla.ParseMode(j.trace.Mode)
			if err != nil {
				return nil, err
			}
			t, err := c.Trace(ctx, j.images[j.trace.Image], mode)
			return &outcome{trace: t}, err
		}
		o := &outcome{}
		for _, mode := range j.modes {
			for _, img := range j.images {
				p, err := c.Classify(ctx, img, host.WithMode(mode))
				if err != nil {
					return nil, err
				}
				o.logits = sla.AppendBits(o.logits, p.Logits)
			}
		}
		g := c.NewGallery()
		for i, img := range j.images[:min(2*j.matched(), len(j.images))] {
			if err := g.Enrol(ctx, strconv.Itoa(i%j.matched()), img); err != nil {
				return nil, err
			}
		}
		for _, img := range j.images {
			p, err := g.Classify(ctx, img)
			if err != nil {
				return nil, err
			}
			o.logits = sla.AppendBits(o.logits, p.Logits)
		}
		return o, nil
	}
}

// Synthetic makes n images that try the whole image path: noise, gradients and
// flat colour, of sides from 1 to some hundred pixels, opaque and not.
func Synthetic(n int) []*image.NRGBA {
	rng := rand.New(rand.NewPCG(2026, 11))
	images := make([]*image.NRGBA, n)
	for i := range images {
		w, h := 1+int(math.Exp(6*rng.Float64())), 1+int(math.Exp(6*rng.Float64()))
		img := image.NewNRGBA(image.Rect(0, 0, w, h))
		for y := range h {
			for x := range w {
				px := color.NRGBA{uint8(255 * x / w), uint8(255 * y / h), uint8(x ^ y), 255}
				switch i % 4 {
				case 0:
					px = color.NRGBA{uint8(rng.Uint32()), uint8(rng.Uint32()), uint8(rng.Uint32()), 255}
				case 1:
					px.A = uint8(rng.Uint32())
				case 2:
					px = color.NRGBA{uint8(10 * i), 200, uint8(5 * i), 255}
				}
				img.SetNRGBA(x, y, px)
			}
		}
		images[i] = img
	}
	return images
}
