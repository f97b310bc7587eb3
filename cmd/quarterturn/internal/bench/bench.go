package bench

import (
	"context"
	"errors"
	"fmt"
	"image"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/host"
	"github.com/quarterturn/quarterturn/sla"
)

// Engines are the names of all engines.
var Engines = []string{"native", "wazero", "wazero-simd", "node", "node-simd"}

// A Report is what a benchmark found.
type Report struct {
	Rounds  int      `json:"rounds"`
	Engines []Engine `json:"engines"`
}

// An Engine is one engine's times.
type Engine struct {
	Name  string  `json:"name"`
	Open  float64 `json:"open_ms"`         // from the slab's bytes to ready, the module's compilation with it
	Start *Start  `json:"start,omitempty"` // what that consists of, in Node
	First float64 `json:"first_ms"`        // of the first answer, in the first mode
	Modes []Mode  `json:"modes"`
}

// A Start is the parts of a start, in milliseconds: compiling and instantiating the module,
// opening the slab.
type Start struct {
	Compile     float64 `json:"compile_ms"`
	Instantiate float64 `json:"instantiate_ms"`
	Open        float64 `json:"open_ms"`
}

// A Mode is the times of one mode, in milliseconds an image.
type Mode struct {
	Mode   string  `json:"mode"`
	Passes int     `json:"passes"`
	Median float64 `json:"ms"`
	Low    float64 `json:"ms_p10"` // a tenth of the rounds were faster
	High   float64 `json:"ms_p90"` // a tenth were slower
}

// A runner classifies the image in one mode.
type runner interface {
	run(ctx context.Context, mode sla.Mode) (ms float64, err error)
	close(ctx context.Context) error
}

func start(ctx context.Context, name string, slab []byte, img *image.NRGBA) (runner, error) {
	// With -simd behind it, an engine runs the build that has kernels of vector operations.
	switch engine, simd := strings.CutSuffix(name, "-simd"); {
	case name == "native":
		return openHost(ctx, slab, img, host.WithEngine(host.Native))
	case engine == "wazero":
		return openHost(ctx, slab, img, host.WithSIMD(simd))
	case engine == "node":
		return startNode(ctx, slab, img, simd)
	}
	return nil, fmt.Errorf("there is no engine %q; the engines are %s", name, strings.Join(Engines, ", "))
}

// Run times a slab on the engines, in so many rounds. progress, if not nil, is
// called after each.
func Run(ctx context.Context, slab []byte, engines []string, rounds int, progress func(done, of int)) (r *Report, err error) {
	model, err := format.Decode(slab)
	if err != nil {
		return nil, err
	}
	var modes []sla.Mode
	for _, name := range model.Modes() {
		mode, err := sla.ParseMode(name)
		if err != nil {
			return nil, err
		}
		modes = append(modes, mode)
	}
	img := noise(model.Input.Width, model.Input.Height)
	r = &Report{Rounds: rounds}
	var runners []runner
	defer func() {
		for _, x := range runners {
			err = errors.Join(err, x.close(context.WithoutCancel(ctx)))
		}
	}()
	times := make([][][]float64, len(engines)) // by engine and mode
	for i, name := range engines {
		begin := time.Now()
		x, err := start(ctx, name, slab, img)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		runners = append(runners, x)
		e := Engine{Name: name, Open: milliseconds(time.Since(begin))}
		if n, ok := x.(*nodeRunner); ok {
			e.Start = &n.start
		}
		if e.First, err = x.run(ctx, modes[0]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		r.Engines = append(r.Engines, e)
		times[i] = make([][]float64, len(modes))
	}
	for round := range rounds {
		for i, x := range runners {
			for k, mode := range modes {
				ms, err := x.run(ctx, mode)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", engines[i], err)
				}
				times[i][k] = append(times[i][k], ms)
			}
		}
		if progress != nil {
			progress(round+1, rounds)
		}
	}
	for i := range r.Engines {
		for k, name := range model.Modes() {
			t := times[i][k]
			slices.Sort(t)
			r.Engines[i].Modes = append(r.Engines[i].Modes, Mode{name, model.Passes(name), t[len(t)/2], t[len(t)/10], t[len(t)-1-len(t)/10]})
		}
	}
	return r, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// noise is an image of the net's size; how long a net takes does not depend on
// what it sees.
func noise(width, height int) *image.NRGBA {
	img := image.NewNRGBA(image.Rect(0, 0, width, height))
	rand.NewChaCha8([32]byte{}).Read(img.Pix)
	for i := 3; i < len(img.Pix); i += 4 {
		img.Pix[i] = 255
	}
	return img
}

// A hostRunner is an engine of package host.
type hostRunner struct {
	classifier *host.Classifier
	img        *image.NRGBA
}

func openHost(ctx context.Context, slab []byte, img *image.NRGBA, options ...host.Option) (runner, error) {
	c, err := host.Open(ctx, slab, append(options, host.WithPoolSize(1))...)
	if err != nil {
		return nil, err
	}
	return &hostRunner{c, img}, nil
}

func (h *hostRunner) run(ctx context.Context, mode sla.Mode) (float64, error) {
	begin := time.Now()
	_, err := h.classifier.Classify(ctx, h.img, host.WithMode(mode))
	return milliseconds(time.Since(begin)), err
}

func (h *hostRunner) close(ctx context.Context) error { return h.classifier.Close(ctx) }
