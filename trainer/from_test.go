package trainer

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/trainer/dataset"
)

// fromConfig starts from the backbone and takes ten steps.
func fromConfig(method string) Config {
	c := DefaultConfig()
	c.From, c.Method, c.Transform, c.Epochs, c.BatchSize, c.LR = FromBackbone, method, "rotation2", 2, 16, 0.01
	c.TrainPerClass = 9
	return c
}

// A net that starts from a slab, of pictures in colour here shown grey ones of other things,
// knows much before it has taken a step: its heads are fitted to the slab's features.
func TestFromStartsWithFittedHeads(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the backbone")
	}
	for _, method := range []string{"baseline", "mt", "sla+sd"} {
		d, err := mini.Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c := fromConfig(method)
		c.TrainPerClass = 30
		r, err := newRun(t.Context(), d, c, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.startFrom(t.Context()); err != nil {
			t.Fatal(err)
		}
		scores, err := r.validate(t.Context(), r.graph.Export(&r.manifest))
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range scores {
			if s.Accuracy < 0.35 {
				t.Errorf("%s, %s: %v of %d images are right, of ten classes", method, s.Mode, s.Accuracy, s.N)
			}
		}
		if r.config.Net != "fast64s2" || r.manifest.Input.Channels != 3 || r.config.FromSHA256 == "" {
			t.Errorf("net %s, %d channels, from %q", r.config.Net, r.manifest.Input.Channels, r.config.FromSHA256)
		}
		r.graph.Close()
	}
}

// Stopped and resumed, such a run makes the slab of one that was not.
func TestFromResumes(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the backbone")
	}
	var slabs [][]byte
	for _, stop := range []int{0, 2} {
		dir := stopped(t, fromConfig("sla"), stop)
		if stop > 0 {
			f, err := Resume(t.Context(), dir, 0, nil)
			if err != nil {
				t.Fatal(err)
			}
			f.Data.Test = f.Data.Subset(&f.Data.Test, []int{0, 1, 2, 3})
			if _, _, err := f.Run(t.Context(), nil, nil); err != nil {
				t.Fatal(err)
			}
			f.Close()
		}
		b, err := os.ReadFile(filepath.Join(dir, SlabFile))
		if err != nil {
			t.Fatal(err)
		}
		slabs = append(slabs, b)
		page, err := os.ReadFile(filepath.Join(dir, ReportFile))
		if err != nil || !bytes.Contains(page, []byte("started from backbone")) {
			t.Errorf("%s: %v", ReportFile, err)
		}
	}
	if !bytes.Equal(slabs[0], slabs[1]) {
		t.Error("a run that was stopped made another slab")
	}
}

// Temperatures change no answer. Those of a net in colour are fitted to the images held out as it
// sees them, though the pictures are grey.
func TestFromTemperature(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the backbone")
	}
	f, err := Start(t.Context(), filepath.Join(t.TempDir(), "run"), mini, fromConfig("baseline"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Data.Test = f.Data.Subset(&f.Data.Test, []int{0, 1, 2, 3})
	model, _, err := f.Run(t.Context(), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, want := model.Metrics[0], f.run.best.model.Metrics[0]
	if got.Temperature <= 0 || got.Accuracy != want.Accuracy || got.N != want.N || got.Split != "validation" {
		t.Errorf("with temperature %+v, without %+v", got, want)
	}
}

func TestFromErrors(t *testing.T) {
	grey, err := Untrained("resnet8w8", 1, 28, 10, 1)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "grey.slab")
	if err := os.WriteFile(file, grey, 0o644); err != nil {
		t.Fatal(err)
	}
	colours := func() *dataset.Dataset {
		d := small(t)
		d.Colour()
		return d
	}
	for want, c := range map[string]struct {
		data   *dataset.Dataset
		change func(c *Config)
	}{
		"the slab to start from: open /no/where":   {small(t), func(c *Config) { c.From = "/no/where" }},
		"not a slab":                               {small(t), func(c *Config) { c.From = "from_test.go" }},
		"takes grey images and fashion-mini is in": {colours(), func(c *Config) { c.From = file }},
		"has changed since the run began":          {small(t), func(c *Config) { c.FromSHA256 = "abc" }},
		"training in episodes does not start from": {small(t), func(c *Config) { *c = episodesForTest("proto", "sla"); c.From = file }},
	} {
		config := fromConfig("baseline")
		c.change(&config)
		if _, _, err := Train(t.Context(), c.data, config, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, have %v", want, err)
		}
	}
}

// What is chosen goes with the pictures, and leaves alone what was given.
func TestChoose(t *testing.T) {
	data := func(channels int, counts ...int) *dataset.Dataset {
		d := &dataset.Dataset{Name: "photos", Height: 32, Width: 32, Channels: channels}
		for y, n := range counts {
			d.ClassNames = append(d.ClassNames, string(rune('a'+y)))
			for range n {
				d.Train.Labels = append(d.Train.Labels, y)
			}
		}
		return d
	}
	none := func(string) bool { return false }
	for name, c := range map[string]struct {
		data  *dataset.Dataset
		given []string
		want  func(c Config) bool
		said  string
	}{
		"six of sixty": {data(3, 60, 60, 60, 60, 60, 60), nil, func(c Config) bool {
			return c.From == FromBackbone && c.BatchSize == 32 && c.Minutes == 5 && c.Epochs == 0 && c.MaxEpochs >= 10 && c.Method == "sla+sd"
		}, "--from backbone"},
		"two of five": {data(3, 4, 4), nil, func(c Config) bool { return c.BatchSize == 2 && c.MaxEpochs == 60 }, "--batch 2"},
		"grey": {data(1, 60, 60), nil, func(c Config) bool {
			return c.From == NoSlab && c.Optimizer == muon && c.BatchSize == 16 && c.Method == AutoMethod && c.MaxEpochs == Saturated
		}, "--from none: the images are grey"},
		"many":         {data(3, 30_000, 30_000), nil, func(c Config) bool { return c.MaxEpochs == 10 && c.BatchSize == 32 }, "at most 10 epochs"},
		"skewed":       {data(3, 500, 5), nil, func(c Config) bool { return c.DRW && c.Balanced }, "500 images of a and 5 of b"},
		"epochs given": {data(3, 60, 60), []string{"epochs"}, func(c Config) bool { return c.Minutes == 0 && c.MaxEpochs == 0 }, ""},
		"net given":    {data(3, 60, 60), []string{"net"}, func(c Config) bool { return c.From == NoSlab }, ""},
		"views given":  {data(1, 60, 60), []string{"transform"}, func(c Config) bool { return c.Method == "sla+sd" }, ""},
		"few of many":  {data(3, 500, 400), []string{"train-per-class"}, func(c Config) bool { return c.MaxEpochs == 60 && c.BatchSize == 4 && !c.DRW }, "20 images are learned"},
		"losses given": {data(3, 500, 5), []string{"loss"}, func(c Config) bool { return !c.DRW }, ""},
	} {
		given := none
		if c.given != nil {
			given = func(flag string) bool { return flag == c.given[0] }
		}
		config := FastConfig()
		if given("train-per-class") {
			config.TrainPerClass = 10
		}
		got, why := Choose(c.data, config, given)
		if !c.want(got) || !strings.Contains(strings.Join(why, "\n"), c.said) {
			t.Errorf("%s: %+v, %q", name, got, why)
		}
	}
}
