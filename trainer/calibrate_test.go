package trainer

import (
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
)

// A run's slab, calibrated on the images that it held out: what the wanted loss allows
// is kept there, the exits' shares are the passes, and nothing else of the slab changes.
func TestCalibrate(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	dir := filepath.Join(t.TempDir(), "run")
	c := DefaultConfig()
	c.Net, c.Epochs, c.BatchSize = "resnet8w8", 2, 32
	f, err := Start(t.Context(), dir, dataset.Source{Data: "fashion-mini"}, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	model, _, err := f.Run(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	d, held, err := HeldOut(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if held.Hash() != f.run.held.Hash() {
		t.Fatal("not the images that were held out")
	}
	validation := evaluate.Images{Data: d, Split: held, Name: "validation"}
	passes := 5.0
	for _, loss := range []float64{0, 0.01, 0.05, 0.5} {
		m, scores, err := evaluate.Calibrate(t.Context(), model, validation, loss)
		if err != nil {
			t.Fatal(err)
		}
		slab, err := evaluate.EncodeWithSelfTest(m)
		if err != nil {
			t.Fatal(err)
		}
		by := map[string]evaluate.Score{}
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
			few := d.Subset(held, []int{1, 2, 3})
			_, _, err := evaluate.Calibrate(t.Context(), model, evaluate.Images{Data: d, Split: &few, Name: "validation"}, 0)
			return err
		},
		"below 1": func() error {
			_, _, err := evaluate.Calibrate(t.Context(), model, validation, 1)
			return err
		},
		"needs a joint and a distilled head": func() error {
			m := *model
			m.Heads = m.Heads[:1]
			_, _, err := evaluate.Calibrate(t.Context(), &m, validation, 0)
			return err
		},
		"holds no run": func() error { _, _, err := HeldOut(t.Context(), t.TempDir()); return err },
	} {
		if err := call(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, have %v", want, err)
		}
	}
}
