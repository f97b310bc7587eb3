package trainer

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
	"github.com/quarterturn/quarterturn/trainer/fewshot"
)

// small is a part of fashion-mini that trains in a second.
func small(t testing.TB) *dataset.Dataset {
	t.Helper()
	d, err := dataset.Load(t.Context(), "fashion-mini")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Limit(20, 0, rand.New(rand.NewPCG(1, 1))); err != nil {
		t.Fatal(err)
	}
	d.Test = d.Subset(&d.Test, []int{0, 1, 2, 3, 4, 5, 6, 7})
	return d
}

func smallConfig() Config {
	c := DefaultConfig()
	c.Net, c.Epochs, c.BatchSize = "resnet8w8", 2, 16
	return c
}

func TestWorkersDoNotChangeTheSlab(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	d := small(t)
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	var first []byte
	for _, workers := range []int{1, 3} {
		runtime.GOMAXPROCS(workers)
		_, slab, err := Train(t.Context(), d, smallConfig(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if first == nil {
			first = slab
		} else if !bytes.Equal(slab, first) {
			t.Errorf("%d workers train another slab", workers)
		}
	}
	m, err := format.Decode(first)
	if err != nil {
		t.Fatal(err)
	}
	c, err := sla.New(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SelfTest(); err != nil {
		t.Error(err)
	}
	other := smallConfig()
	other.Seed = 2
	if _, slab, err := Train(t.Context(), d, other, nil); err != nil || bytes.Equal(slab, first) {
		t.Errorf("another seed trains the same slab (%v)", err)
	}
}

// Training must learn: the loss falls well below that of a guess.
func TestTrainingLearns(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	d := small(t)
	for _, method := range []string{"baseline", "da", "mt", "sla", "sla+sd"} {
		c := smallConfig()
		c.Method, c.Epochs = method, 6
		var losses []float64
		model, _, err := Train(t.Context(), d, c, func(e Event) {
			if e.Validation != nil {
				losses = append(losses, e.Loss)
			}
		})
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		if first, last := losses[0], losses[len(losses)-1]; last > 0.85*first {
			t.Errorf("%s: the loss goes from %v to %v", method, first, last)
		}
		if len(model.Metrics) != len(model.Modes()) || model.Recommended == "" {
			t.Errorf("%s: metrics %v, recommended %q", method, model.Metrics, model.Recommended)
		}
	}
}

func TestRecommend(t *testing.T) {
	m := &format.Manifest{Transforms: make([]format.Transform, 4)}
	for _, c := range []struct {
		single, aggregated, distilled float64
		want                          string
	}{
		{.900, .930, .910, "aggregated"},
		{.900, .930, .929, "distilled"},
		{.931, .930, .930, "single"},
		{.950, .930, .960, "distilled"},
	} {
		got := recommend(m, []format.Metric{{Mode: "single", Accuracy: c.single}, {Mode: "aggregated", Accuracy: c.aggregated}, {Mode: "distilled", Accuracy: c.distilled}})
		if got != c.want {
			t.Errorf("%+v: recommends %s", c, got)
		}
	}
}

func TestEvaluateScores(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	d := small(t)
	model, _, err := Train(t.Context(), d, smallConfig(), nil)
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := evaluate.Evaluate(t.Context(), evaluate.Ensemble{model}, evaluate.TestImages(d), nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := sla.New(model)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range metrics {
		mode, err := sla.ParseMode(x.Mode)
		if err != nil {
			t.Fatal(err)
		}
		right, nll := 0, 0.0
		for i, y := range d.Test.Labels {
			if err := errors.Join(c.Begin(28, 28), c.Rows(d.Image(&d.Test, i).Pix)); err != nil {
				t.Fatal(err)
			}
			r, err := c.Run(mode)
			if err != nil {
				t.Fatal(err)
			}
			if r.Logits[y] == slices.Max(r.Logits) {
				right++
			}
			nll -= math.Log(float64(r.Probabilities[y])) / 8
		}
		if x.N != 8 || x.Accuracy != float64(right)/8 || math.Abs(x.NLL-nll) > 1e-9 || x.ECE < 0 || x.ECE > 1 {
			t.Errorf("%+v, counted %d right, NLL %v", x, right, nll)
		}
	}
	d.ClassNames = d.ClassNames[:9]
	if _, err := evaluate.Evaluate(t.Context(), evaluate.Ensemble{model}, evaluate.TestImages(d), nil); err == nil || !strings.Contains(err.Error(), "only the slab has Ankle boot") {
		t.Errorf("a data set of other classes: %v", err)
	}
}

// An ensemble answers with the mean of its nets' probabilities, in the modes that
// all of them have.
func TestEnsemble(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	d := small(t)
	config := smallConfig()
	var e evaluate.Ensemble
	var classifiers []*sla.Classifier
	for _, method := range []string{"sla", "sla+sd"} {
		config.Method = method
		config.Seed++
		model, _, err := Train(t.Context(), d, config, nil)
		if err != nil {
			t.Fatal(err)
		}
		c, err := sla.New(model)
		if err != nil {
			t.Fatal(err)
		}
		e, classifiers = append(e, model), append(classifiers, c)
	}
	metrics, err := evaluate.Evaluate(t.Context(), e, evaluate.TestImages(d), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(metrics) != 2 || metrics[0].Mode != "single" || metrics[1].Mode != "aggregated" || e.Passes("aggregated") != 8 {
		t.Fatalf("metrics %+v, %d passes aggregated", metrics, e.Passes("aggregated"))
	}
	right, nll := 0, 0.0
	for i, y := range d.Test.Labels {
		mean := make([]float64, 10)
		for _, c := range classifiers {
			if err := errors.Join(c.Begin(28, 28), c.Rows(d.Image(&d.Test, i).Pix)); err != nil {
				t.Fatal(err)
			}
			r, err := c.Run(sla.Aggregated)
			if err != nil {
				t.Fatal(err)
			}
			for k, p := range r.Probabilities {
				mean[k] += float64(p) / 2
			}
		}
		if mean[y] == slices.Max(mean) {
			right++
		}
		nll -= math.Log(mean[y]) / 8
	}
	if x := metrics[1]; x.Accuracy != float64(right)/8 || math.Abs(x.NLL-nll) > 1e-9 {
		t.Errorf("%+v, counted %d right, NLL %v", x, right, nll)
	}
	config.Method = "baseline"
	other, _, err := Train(t.Context(), d, config, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := evaluate.Evaluate(t.Context(), append(e, other), evaluate.TestImages(d), nil); err == nil || !strings.Contains(err.Error(), "no mode in common") {
		t.Errorf("nets without a common mode: %v", err)
	}
}

func TestTrainErrors(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	for _, c := range []struct {
		change func(c *Config)
		want   string
	}{
		{func(c *Config) { c.Method = "slap" }, `method "slap": want baseline, da, mt, sla, sla+sd`},
		{func(c *Config) { c.Net = "resnet9" }, `net "resnet9"`},
		{func(c *Config) { c.Net = "resnet8w12" }, "multiple of 8"},
		{func(c *Config) { c.Transform = "color" }, "the images are grey"},
		{func(c *Config) { c.Transform = "none" }, "at least two transformations"},
		{func(c *Config) { c.Epochs = 0 }, "epochs"},
		{func(c *Config) { c.BatchSize = 1000 }, "more than the 180 training images"},
		{func(c *Config) { c.LR = 0 }, "learning rate"},
		{func(c *Config) { c.Schedule = "sine" }, `schedule "sine": want warmup-cosine, cosine, triangle, linear, step`},
		{func(c *Config) { c.LabelSmoothing = 1 }, "label smoothing"},
		{func(c *Config) { c.ClipNorm = -1 }, "clip"},
		{func(c *Config) { c.EMADecay = 1 }, "averaged weights"},
		{func(c *Config) { c.Augment = "crop,blur" }, `augmentation "blur": want none or a list of crop, crop-reflect, flip, flip-alternate, rand, cutout`},
		{func(c *Config) { c.Mix = "blend" }, `mix "blend": want mixup or cutmix`},
		{func(c *Config) { c.Mix, c.MixAlpha = "mixup", 0 }, "alpha"},
		{func(c *Config) { c.Method, c.StageHeads = "da", true }, "method da has no joint loss"},
		{func(c *Config) { c.Method, c.ServedMode = "baseline", "distilled" }, `serve "distilled": a slab of method baseline has baseline, or auto`},
		{func(c *Config) { c.Imbalance = 0.5 }, "imbalance must be at least 1"},
		{func(c *Config) { c.Imbalance = 50 }, "an imbalance of 50 leaves no training image of class"},
		{func(c *Config) { c.Seed = -1 }, "seed"},
		{func(c *Config) { c.TrainPerClass, c.Imbalance = 21, 2 }, "class T-shirt/top has 20 training images, and an imbalance of 21 a class needs as many"},
		{func(c *Config) { c.TrainPerClass = 3 }, "30 training images are too few"},
	} {
		config := smallConfig()
		c.change(&config)
		if _, _, err := Train(t.Context(), small(t), config, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := Train(cancelled, small(t), smallConfig(), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	wild := smallConfig()
	wild.LR, wild.WeightDecay = 100, 100
	if _, _, err := Train(t.Context(), small(t), wild, nil); !errors.Is(err, ErrDiverged) {
		t.Errorf("a learning rate of 100: %v", err)
	}
}

// The directions of a dataset's images are those of package sla, and separate pictures
// that are alike from others.
func TestDirections(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	d := small(t)
	model, _, err := Train(t.Context(), d, smallConfig(), nil)
	if err != nil {
		t.Fatal(err)
	}
	z, err := fewshot.Features(t.Context(), model, d, &d.Test)
	if err != nil {
		t.Fatal(err)
	}
	for i, v := range z {
		width := len(v) / model.Views()
		for j := range model.Views() {
			var square float64
			for _, x := range v[j*width : (j+1)*width] {
				square += float64(x) * float64(x)
			}
			if math.Abs(square-1) > 1e-5 {
				t.Fatalf("image %d, view %d: length² %v", i, j, square)
			}
		}
	}
}
