package trainer

import (
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
)

// A run's slab, calibrated on the images that it held out: what the wanted loss allows
// is kept there, the exits' shares are the passes, and nothing else of the slab changes.
func TestCalibrate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	c := DefaultConfig()
	c.Net, c.Epochs, c.Batch = "resnet8w8", 2, 32
	f, err := Start(dir, Source{Data: "fashion-mini"}, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	model, _, err := f.Run(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	d, held, err := HeldOut(dir)
	if err != nil {
		t.Fatal(err)
	}
	if held.hash() != f.run.held.hash() {
		t.Fatal("not the images that were held out")
	}
	passes := 5.0
	for _, loss := range []float64{0, 0.01, 0.05, 0.5} {
		m, slab, scores, err := Calibrate(t.Context(), model, d, held, "validation", loss)
		if err != nil {
			t.Fatal(err)
		}
		by := map[string]Score{}
		for _, s := range scores {
			by[s.Mode] = s
		}
		adaptive := by[format.ModeAdaptive]
		if adaptive.Accuracy < by[format.ModeAggregated].Accuracy-loss-1e-9 || adaptive.Passes > passes {
			t.Errorf("loss %v: accuracy %v of %v, %v passes, %v with less loss", loss, adaptive.Accuracy, by[format.ModeAggregated].Accuracy, adaptive.Passes, passes)
		}
		passes = adaptive.Passes
		var mean float64
		for k, x := range m.Exits {
			mean += float64(k+1) * x.Share
		}
		if math.Abs(mean-passes) > 1e-9 {
			t.Errorf("loss %v: the shares make %v passes, there were %v", loss, mean, passes)
		}
		read, err := format.Decode(slab)
		if err != nil {
			t.Fatal(err)
		}
		if read.Recommended != model.Recommended || len(read.Metrics) != len(model.Metrics)+1 || read.Metrics[len(model.Metrics)] != adaptive.Metric {
			t.Errorf("loss %v: recommends %s, metrics %+v", loss, read.Recommended, read.Metrics)
		}
	}
	if passes != 1 {
		t.Errorf("with half of the accuracy to lose there were %v passes", passes)
	}
	for want, call := range map[string]func() error{
		"too few": func() error {
			few := d.subset(held, []int{1, 2, 3})
			_, _, _, err := Calibrate(t.Context(), model, d, &few, "validation", 0)
			return err
		},
		"below 1": func() error { _, _, _, err := Calibrate(t.Context(), model, d, held, "validation", 1); return err },
		"needs a joint and a distilled head": func() error {
			m := *model
			m.Heads = m.Heads[:1]
			_, _, _, err := Calibrate(t.Context(), &m, d, held, "validation", 0)
			return err
		},
		"holds no run": func() error { _, _, err := HeldOut(t.TempDir()); return err },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, have %v", want, err)
		}
	}
}

// Logits that are too sure by a known factor have that factor as their temperature.
func TestTemperature(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for _, factor := range []float64{0.4, 1, 3} {
		var logits [][]float32
		var truth []int
		for range 20_000 {
			p, l := make([]float64, 4), make([]float32, 4)
			for k := range l {
				l[k] = float32(2 * rng.NormFloat64())
			}
			softmax(p, l, 1)
			y, u := 0, rng.Float64()
			for u -= p[0]; u > 0 && y < 3; u -= p[y] {
				y++
			}
			for k := range l {
				l[k] *= float32(factor)
			}
			logits, truth = append(logits, l), append(truth, y)
		}
		if got := float64(temperature(logits, truth)); math.Abs(got/factor-1) > 0.03 {
			t.Errorf("temperature %v of logits %v times too large", got, factor)
		}
	}
}
