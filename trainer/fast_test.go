package trainer

import (
	"bytes"
	"context"
	"errors"
	"math"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
	"github.com/quarterturn/quarterturn/trainer/loss"
	"github.com/quarterturn/quarterturn/trainer/nets"
)

func fastConfigForTest() Config {
	c := ConfigFor("fast16")
	c.TrainPerClass, c.Epochs, c.BatchSize = 20, 2, 20
	return c
}

// The recipe goes with every method and loss, and with what else a run may have; neither
// the number of workers nor the way of a run through stops changes the slab.
func TestFastNetsCompose(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	d, err := dataset.Load(t.Context(), "fashion-mini")
	if err != nil {
		t.Fatal(err)
	}
	d.Test = d.Subset(&d.Test, []int{0, 1, 2, 3})
	for name, change := range map[string]func(*Config){
		"baseline": func(c *Config) { c.Method = "baseline" },
		"da":       func(c *Config) { c.Method = "da"; c.Mix = "mixup" },
		"mt":       func(c *Config) { c.Method = "mt"; c.EMADecay = 0.9 },
		"sla":      func(c *Config) { c.Method, c.SumViews, c.StageHeads = "sla", true, true },
		"sla+sd":   func(c *Config) { c.Loss, c.DRW, c.Imbalance = "ldam", true, 5 },
		"sgd": func(c *Config) {
			c.Method, c.Optimizer, c.Schedule, c.LR, c.Loss = "baseline", sgd, "triangle", 0.01, "cb-focal"
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := fastConfigForTest()
			change(&c)
			model, _, err := Train(t.Context(), d, c, nil)
			if err != nil {
				t.Fatal(err)
			}
			classifier, err := sla.New(model)
			if err != nil {
				t.Fatal(err)
			}
			if err := classifier.SelfTest(); err != nil {
				t.Error(err)
			}
		})
	}
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	c := fastConfigForTest()
	c.Epochs, c.Steps, c.EMADecay = 3, 2*9+4, 0.9 // 9 steps an epoch, and a part of the last
	var first []byte
	for _, workers := range []int{1, 3} {
		runtime.GOMAXPROCS(workers)
		model, slab, err := Train(t.Context(), d, c, nil)
		if err != nil {
			t.Fatal(err)
		}
		if p := model.Provenance; p.Epochs == 3 && p.Steps != c.Steps {
			t.Errorf("%d steps, want %d", p.Steps, c.Steps)
		}
		if first == nil {
			first = slab
		} else if !bytes.Equal(slab, first) {
			t.Errorf("%d workers train another slab", workers)
		}
	}
	for _, stop := range []int{4, 20} {
		dir := filepath.Join(t.TempDir(), "run")
		f, err := Start(t.Context(), dir, mini, c, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		if _, _, err := f.Run(ctx, func(e Event) {
			if e.Steps != c.Steps {
				t.Errorf("%d steps are told of", e.Steps)
			}
			if e.Step == stop {
				cancel()
			}
		}, nil); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if f, err = Resume(t.Context(), dir, 0, nil); err != nil {
			t.Fatal(err)
		}
		f.Data.Test = d.Test
		if _, _, err := f.Run(t.Context(), nil, nil); err != nil {
			t.Fatal(err)
		}
		m, err := f.run.tempered(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if slab, err := evaluate.EncodeWithSelfTest(m); err != nil || !bytes.Equal(slab, first) {
			t.Errorf("stopped at step %d: another slab, %v", stop, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A plan fits the steps into the time, whatever the speeds; only the test of its own
// measuring needs a clock, and that asserts no time.
func TestPlan(t *testing.T) {
	if testing.Short() {
		t.Skip("measures steps")
	}
	for _, m := range []measured{
		{stepsPerEpoch: 88, step: 1, validation: 2, test: 20},
		{stepsPerEpoch: 7, step: 0.01, validation: 1, test: 0.1},
		{stepsPerEpoch: 1000, step: 0.25, validation: 0.1, test: 3},
	} {
		for _, seconds := range []float64{280, 300.5, 1800} {
			c, err := m.plan(seconds)
			if err != nil {
				t.Fatal(err)
			}
			if last := c.Steps - (c.Epochs-1)*m.stepsPerEpoch; last < 1 || last > m.stepsPerEpoch {
				t.Errorf("%+v: %d steps are not %d epochs", m, c.Steps, c.Epochs)
			}
			takes := float64(c.Steps)*m.step + float64(c.Epochs)*m.validation + m.test
			if takes > seconds+1e-9 || takes < seconds-m.step-m.validation {
				t.Errorf("%+v: %v s of %v", m, takes, seconds)
			}
		}
	}
	m := measured{stepsPerEpoch: 88, step: 1, test: 20, config: Config{Minutes: 1, Net: "fast64"}}
	chosen := m
	chosen.config.MaxEpochs = 20
	if c, err := chosen.plan(55); err != nil || c.Epochs != 1 || c.Steps < leastSteps || c.Steps > 88 {
		t.Errorf("with too little time for people's pictures: %d epochs, %d steps, %v", c.Epochs, c.Steps, err)
	}
	if c, err := chosen.plan(1e6); err != nil || c.Epochs != 20 || c.Steps != 0 {
		t.Errorf("with much time for people's pictures: %d epochs, %d steps, %v", c.Epochs, c.Steps, err)
	}
	if _, err := m.plan(55); err == nil || !strings.Contains(err.Error(), "1 minutes are too short for one epoch of fast64") {
		t.Errorf("an epoch that does not fit: %v", err)
	}

	d := small(t)
	c := FastConfig()
	c.Method, c.Net, c.Epochs, c.Minutes = "baseline", "", 0, 0.3
	planned, err := plan(t.Context(), d, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	if planned.Net == "" || planned.BatchSize == 0 || planned.Epochs == 0 || planned.Steps == 0 || planned.Minutes != c.Minutes {
		t.Errorf("the plan is %+v", planned)
	}
	if planned.Reopened(c) != c {
		t.Errorf("reopened, the plan is %+v", planned.Reopened(c))
	}
	large := &dataset.Dataset{Name: "large", ClassNames: []string{"a", "b"}, Height: 64, Width: 64, Channels: 1,
		Train: dataset.Split{Pixels: make([]byte, 200*64*64), Labels: slices.Repeat([]int{0, 1}, 100)}}
	for i := range large.Train.Pixels {
		large.Train.Pixels[i] = byte(i * i >> 4)
	}
	large.Test = large.Train
	long := c
	long.Minutes = 3
	if planned, err := plan(t.Context(), large, long, nil); err != nil || !strings.HasSuffix(planned.Net, nets.Halved) {
		t.Errorf("images of 64 pixels: %s, %v", planned.Net, err)
	}
	if c.Net = "fast7"; true {
		if _, err := plan(t.Context(), d, c, nil); err == nil || !strings.Contains(err.Error(), "multiples of 8") {
			t.Errorf("a net that is not: %v", err)
		}
	}
	c.Net, c.Minutes = "fast128-512", 0.001
	if _, err := plan(t.Context(), d, c, nil); err == nil || !strings.Contains(err.Error(), "too short") {
		t.Errorf("no time: %v", err)
	}
}

// With few images a baseline is done with them soon, and the rest of the time is SLA's.
func TestPlanChoosesTheMethod(t *testing.T) {
	if testing.Short() {
		t.Skip("measures the machine")
	}
	for _, c := range []struct {
		net      string
		perClass int
		minutes  float64 // far more and far less than it takes on any machine
		want     string
		student  bool
	}{{"fast8", 4, 2, "sla+sd", true}, {"fast64-256", 0, 0.3, "baseline", false}} {
		config := FastConfig()
		config.Method, config.Net, config.TrainPerClass, config.Epochs, config.Minutes, config.MaxEpochs = AutoMethod, c.net, c.perClass, 0, c.minutes, Saturated
		dir := filepath.Join(t.TempDir(), "run")
		f, err := Start(t.Context(), dir, mini, config, nil)
		if err != nil {
			t.Fatal(err)
		}
		if f.Config.Method != c.want || f.Config.SumViews != c.student || f.Config.Epochs == 0 || (f.Student == dir) != c.student {
			t.Errorf("%s, %d a class: %+v, for %q", c.net, c.perClass, f.Config, f.Student)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Planning ends with its context, and measures long runs no longer than it takes to know a speed.
func TestFieldPlanning(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	c := FastConfig()
	c.Method, c.Epochs, c.Minutes = AutoMethod, 0, 10000
	if _, err := chooseMethod(ctx, small(t), c, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("stopped: %v", err)
	}
	for minutes, want := range map[float64]time.Duration{0.01: 3 * time.Second, 5: 6 * time.Second, 10000: 30 * time.Second, 1e300: 30 * time.Second} {
		if got := measuring(minutes); got != want {
			t.Errorf("%v minutes: %v, want %v", minutes, got, want)
		}
	}
	m := measured{stepsPerEpoch: 10, step: 0.01, validation: 0.01}
	if c, err := m.plan(1e300); err != nil || c.Epochs < 1 || c.Steps < c.Epochs {
		t.Errorf("all the time there is: %d epochs, %d steps, %v", c.Epochs, c.Steps, err)
	}
	c.Minutes = math.Inf(1)
	if err := c.Check(); err == nil {
		t.Error("minutes without end are taken")
	}
}

func TestMethodFor(t *testing.T) {
	for epochs, want := range map[int]string{0: "baseline", 399: "baseline", 400: "sla+sd", 799: "sla+sd", 800: OfflineMethod, 1 << 30: OfflineMethod} {
		if got := methodFor(epochs, Saturated); got != want {
			t.Errorf("%d epochs: %s, want %s", epochs, got, want)
		}
	}
	// In a long tail SLA+SD is worth its cost earlier.
	for _, c := range []struct {
		counts    []int
		perClass  int
		imbalance float64
		want      string
	}{
		{[]int{5000, 400, 50}, 0, 0, "sla+sd"}, {[]int{500, 400, 50}, 0, 0, "sla+sd"}, {[]int{500, 400, 51}, 0, 0, "baseline"},
		{[]int{5000, 400, 50}, 100, 0, "baseline"}, {[]int{500, 500, 500}, 0, 100, "sla+sd"}, {[]int{500, 500, 500}, 0, 9, "baseline"}, {[]int{10, 0}, 0, 0, "sla+sd"},
	} {
		if got := methodFor(60, saturation(c.counts, &Config{TrainPerClass: c.perClass, Imbalance: c.imbalance})); got != c.want {
			t.Errorf("%+v: %s", c, got)
		}
	}
}

func TestFastConfigErrors(t *testing.T) {
	d := small(t)
	for _, c := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Optimizer = "adam" }, `optimizer "adam": want sgd or muon`},
		{func(c *Config) { c.Steps = 5 }, "does not end in the last epoch: 5, and there are 2 epochs of 9"},
		{func(c *Config) { c.BiasLR = -1 }, "cannot be negative"},
		{func(c *Config) { c.NormMomentum = 2 }, "between 0 and 1"},
		{func(c *Config) { c.Transform, c.Method = "color", "sla" }, "grey"},
		{func(c *Config) { c.Augment = "crop,crop-reflect" }, "two kinds"},
		{func(c *Config) { c.Minutes = -1 }, "minutes cannot be negative"},
	} {
		config := fastConfigForTest()
		c.change(&config)
		if _, _, err := Train(t.Context(), d, config, nil); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}

// The rates that were measured, at ten classes and at a hundred, and none beyond them.
func TestHeadRate(t *testing.T) {
	c := FastConfig()
	for classes, want := range map[int]float64{2: 0.3, 10: 0.3, 40: 2.4, 100: 9.486832980505138, 1000: 9.486832980505138} {
		if got := c.solver(classes).HeadLR; math.Abs(got-want) > 1e-12 {
			t.Errorf("%d classes: %v, want %v", classes, got, want)
		}
	}
	c.Loss = loss.LDAM
	if s := c.solver(10); math.Abs(s.HeadLR-0.01) > 1e-12 || math.Abs(s.BiasLR-100./30) > 1e-12 {
		t.Errorf("beside logits of 30 cosines: %v, %v", s.HeadLR, s.BiasLR)
	}
	c = DefaultConfig()
	if got := c.solver(100).HeadLR; got != 0 {
		t.Errorf("where heads learn as all else does: %v", got)
	}
}

// Behind classifiers that see angles the fast nets learn as much as behind others; with the rates for plain logits
// they have 44 % after these two epochs, and never more than 40 on the long tail of CIFAR-10.
func TestFastNetsLearnAngles(t *testing.T) {
	if testing.Short() {
		t.Skip("trains a net")
	}
	d, err := dataset.Load(t.Context(), "fashion-mini")
	if err != nil {
		t.Fatal(err)
	}
	c := ConfigFor("fast16-64")
	c.Method, c.Epochs, c.Imbalance, c.Loss, c.DRW, c.LabelSmoothing = "baseline", 2, 10, loss.LDAM, true, 0
	model, _, err := Train(t.Context(), d, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	scores, err := evaluate.Evaluate(t.Context(), evaluate.Ensemble{model}, evaluate.TestImages(d), nil)
	if err != nil || scores[0].Accuracy < 0.65 {
		t.Errorf("%+v, %v", scores, err)
	}
}

func TestFastBatch(t *testing.T) {
	for _, c := range []struct{ images, views, side, want int }{
		{45000, 1, 32, 512}, {45000, 4, 32, 128}, {54000, 1, 28, 512}, {5000, 1, 96, 128}, {3600, 4, 28, 128}, {1000, 1, 32, 48}, {100, 4, 32, 8}, {45000, 24, 32, 16},
	} {
		if got := fastBatch(c.images, c.views, c.side*c.side); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
