package trainer

import (
	"bytes"
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
)

// small is a part of fashion-mini that trains in a second.
func small(t testing.TB) *Dataset {
	t.Helper()
	d, err := Load("fashion-mini")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.limit(20, 0, rand.New(rand.NewPCG(1, 1))); err != nil {
		t.Fatal(err)
	}
	d.Test = d.subset(&d.Test, []int{0, 1, 2, 3, 4, 5, 6, 7})
	return d
}

func smallConfig() Config {
	c := DefaultConfig()
	c.Net, c.Epochs, c.Batch = "resnet8w8", 2, 16
	return c
}

func TestWorkersDoNotChangeTheSlab(t *testing.T) {
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
	d := small(t)
	for _, m := range methods {
		c := smallConfig()
		c.Method, c.Epochs = m.name, 6
		var losses []float64
		model, _, err := Train(t.Context(), d, c, func(e Event) {
			if e.Validation != nil {
				losses = append(losses, e.Loss)
			}
		})
		if err != nil {
			t.Fatalf("%s: %v", m.name, err)
		}
		if first, last := losses[0], losses[len(losses)-1]; last > 0.85*first {
			t.Errorf("%s: the loss goes from %v to %v", m.name, first, last)
		}
		if len(model.Metrics) != len(model.Modes()) || model.Recommended == "" {
			t.Errorf("%s: metrics %v, recommended %q", m.name, model.Metrics, model.Recommended)
		}
	}
}

// The slab computes what the graph computes: with the batch's own statistics in
// place of the running ones, logits of training kernels (NHWC, normalisation
// apart) and of the inference kernels (planar, folded) agree for every view.
func TestExportedNetAgreesWithTheGraph(t *testing.T) {
	for _, name := range []string{"resnet8w8", "resnet8w8p", "conv4w8"} {
		t.Run(name, func(t *testing.T) { exportedNetAgrees(t, name, 2e-5) })
	}
	// Normalised over 20 numbers in their last stages, which are one pixel here.
	for _, name := range []string{"resnet18", "resnet12w16"} {
		t.Run(name, func(t *testing.T) { exportedNetAgrees(t, name, 4e-4) })
	}
}

func exportedNetAgrees(t *testing.T, name string, tolerance float64) {
	g := fixtureGraph(t, name, "sla+sd")
	if _, err := g.run(); err != nil {
		t.Fatal(err)
	}
	for _, c := range g.convs {
		copy(c.running.mean, c.unit.Mean)
		copy(c.running.variance, c.unit.Var)
	}
	net, _ := parseNet(name)
	transforms, err := sla.ParseTransforms("rotation", 1)
	if err != nil {
		t.Fatal(err)
	}
	model := g.export(&format.Manifest{
		Labels: []string{"a", "b", "c"}, Transforms: transforms, Layers: net.layers(),
		Input:       format.Input{Channels: 1, Height: 8, Width: 8, Mean: []float32{0}, Std: []float32{1}},
		Recommended: format.ModeDistilled,
	})
	// Images are bytes to a slab, so the graph sees those same levels again.
	const images, side = 5, 8
	pixels := make([]byte, images*side*side)
	rng := rand.New(rand.NewPCG(4, 4))
	for i := range pixels {
		pixels[i] = byte(rng.Uint32())
	}
	b, err := newBatcher(DefaultConfig(), model.Input, net.border(), transforms, 3, &Split{Pixels: pixels, Classes: make([]int, images)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range images {
		for j, tr := range transforms {
			size := len(g.inputs) / images / 4
			image := pixels[i*side*side : (i+1)*side*side]
			b.view(g.inputs[(i*4+j)*size:][:size], image, image, nil, tr)
		}
	}
	if _, err := g.run(); err != nil {
		t.Fatal(err)
	}
	for _, c := range g.convs {
		copy(c.running.mean, c.unit.Mean)
		copy(c.running.variance, c.unit.Var)
	}
	model.Weights = g.export(&model.Manifest).Weights
	if _, err := seal(model); err != nil {
		t.Fatal(err)
	}
	classifier, err := sla.New(model)
	if err != nil {
		t.Fatal(err)
	}
	joint, student := g.heads[0].buffer(), g.heads[1].buffer()
	d := &Dataset{Height: side, Width: side, Channels: 1}
	near := func(what string, got float32, want float64) {
		t.Helper()
		if math.Abs(float64(got)-want) > tolerance {
			t.Errorf("%s is %v in the slab, %v in the graph", what, got, want)
		}
	}
	for i := range images {
		img := d.Image(&Split{Pixels: pixels}, i)
		if err := errors.Join(classifier.Begin(side, side), classifier.Rows(img.Pix)); err != nil {
			t.Fatal(err)
		}
		r, err := classifier.Run(sla.Aggregated)
		if err != nil {
			t.Fatal(err)
		}
		for y := range 3 {
			var sum float64
			for j := range 4 {
				v := float64(joint[(i*4+j)*12+y*4+j])
				near("a view's logit", r.Views[j*3+y], v)
				sum += v / 4
			}
			near("an aggregated logit", r.Logits[y], sum)
		}
		if r, err = classifier.Run(sla.Distilled); err != nil {
			t.Fatal(err)
		}
		for y := range 3 {
			near("a distilled logit", r.Logits[y], float64(student[i*3+y]))
		}
	}
}

// The counts of He et al. 2015 and of the SLA paper, with a 10-way head.
func TestParameterCount(t *testing.T) {
	m, _ := parseMethod("baseline")
	for name, want := range map[string]int{
		"resnet8": 75290, "resnet20": 269722, "resnet20p": 272474, "resnet32": 464154, "resnet44": 658586, "resnet56": 853018,
		"resnet18": 11181642, // torchvision's, with 10 classes
		"conv4":    113482,   // the usual 113,088 without the biases that normalisation makes useless, and a head of 650
		"resnet12": 12430730, // the 12.42 million of Tian et al. 2020, and a head of 6,410
	} {
		net, err := parseNet(name)
		if err != nil {
			t.Fatal(err)
		}
		g, err := newGraph(graphSpec{net: net, input: format.Input{Channels: 3, Height: 8, Width: 8},
			joint: sla.Joint{Classes: 10, Views: 1}, images: 1, method: m, rng: rand.New(rand.NewPCG(1, 1))})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, p := range g.params {
			n += len(p.value)
		}
		if n != want {
			t.Errorf("%s has %d parameters, want %d", name, n, want)
		}
		g.close()
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
	d := small(t)
	model, _, err := Train(t.Context(), d, smallConfig(), nil)
	if err != nil {
		t.Fatal(err)
	}
	metrics, err := Evaluate(t.Context(), Ensemble{model}, d, &d.Test, "test", 0, nil)
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
		for i, y := range d.Test.Classes {
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
	d.Labels = d.Labels[:9]
	if _, err := Evaluate(t.Context(), Ensemble{model}, d, &d.Test, "test", 0, nil); err == nil || !strings.Contains(err.Error(), "10 classes") {
		t.Errorf("a data set of other classes: %v", err)
	}
}

// An ensemble answers with the mean of its nets' probabilities, in the modes that
// all of them have.
func TestEnsemble(t *testing.T) {
	d := small(t)
	config := smallConfig()
	var e Ensemble
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
	metrics, err := Evaluate(t.Context(), e, d, &d.Test, "test", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(metrics) != 2 || metrics[0].Mode != "single" || metrics[1].Mode != "aggregated" || e.Passes("aggregated") != 8 {
		t.Fatalf("metrics %+v, %d passes aggregated", metrics, e.Passes("aggregated"))
	}
	right, nll := 0, 0.0
	for i, y := range d.Test.Classes {
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
	if _, err := Evaluate(t.Context(), append(e, other), d, &d.Test, "test", 0, nil); err == nil || !strings.Contains(err.Error(), "no mode in common") {
		t.Errorf("nets without a common mode: %v", err)
	}
}

func TestTrainErrors(t *testing.T) {
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
		{func(c *Config) { c.Batch = 1000 }, "more than the 180 training images"},
		{func(c *Config) { c.Rate = 0 }, "learning rate"},
		{func(c *Config) { c.Schedule = "linear" }, `schedule "linear": want one-cycle, cosine, step`},
		{func(c *Config) { c.Smoothing = 1 }, "label smoothing"},
		{func(c *Config) { c.Clip = -1 }, "clip"},
		{func(c *Config) { c.Average = 1 }, "averaged weights"},
		{func(c *Config) { c.Augment = "crop,blur" }, `augmentation "blur": want none or a list of crop, flip, rand, cutout`},
		{func(c *Config) { c.Mix = "blend" }, `mix "blend": want mixup or cutmix`},
		{func(c *Config) { c.Mix, c.MixAlpha = "mixup", 0 }, "alpha"},
		{func(c *Config) { c.Method, c.StageHeads = "da", true }, "method da has no joint loss"},
		{func(c *Config) { c.Method, c.Serve = "baseline", "distilled" }, `serve "distilled": a slab of method baseline has baseline, or auto`},
		{func(c *Config) { c.Imbalance = 0.5 }, "imbalance must be at least 1"},
		{func(c *Config) { c.Imbalance = 50 }, "an imbalance of 50 leaves no training image of class"},
		{func(c *Config) { c.Seed = -1 }, "seed"},
		{func(c *Config) { c.TrainPerClass = 21 }, "class T-shirt/top has 20 training images, 21 are wanted"},
		{func(c *Config) { c.TrainPerClass = 5 }, "50 training images are too few"},
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
	wild.Rate, wild.Decay = 100, 100
	if _, _, err := Train(t.Context(), small(t), wild, nil); !errors.Is(err, ErrDiverged) {
		t.Errorf("a learning rate of 100: %v", err)
	}
}

// The import law: what runs models never sees what trains them.
func TestImportLaw(t *testing.T) {
	const module = "github.com/quarterturn/quarterturn/"
	const training = "/msgpack gorgonia.org gonum.org quarterturn/trainer"
	for pkg, forbidden := range map[string]string{
		"format": training + " fmt reflect quarterturn/sla quarterturn/host",
		"sla":    training + " fmt reflect quarterturn/host",
		"host":   training,
		"www":    training + " quarterturn/host",
	} {
		out, err := exec.Command("go", "list", "-deps", module+pkg).Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, dep := range strings.Fields(string(out)) {
			for _, f := range strings.Fields(forbidden) {
				if dep == f || strings.ContainsAny(f, "/.") && strings.Contains(dep, f) {
					t.Errorf("%s imports %s", pkg, dep)
				}
			}
		}
	}
}
