package trainer

import (
	"bytes"
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/batch"
	"github.com/quarterturn/quarterturn/trainer/fewshot"
)

func episodesForTest(head, method string) Config {
	c := smallConfig().InEpisodes(fewshot.Episode{Head: head, Way: 3, Shot: 2, Queries: 2}, 3)
	c.Net, c.Method, c.Epochs = "conv4w8", method, 3
	return c
}

// A run in episodes: other classes are held out than those of the slab, whose head says of
// its own what a gallery of the same images says; stopped in the middle of an epoch it goes
// on to the same slab.
func TestEpisodicRun(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	for _, c := range []Config{episodesForTest("proto", "sla"), episodesForTest("ridge", "baseline")} {
		dir := filepath.Join(t.TempDir(), "straight")
		f, err := Start(t.Context(), dir, mini, c, nil)
		if err != nil {
			t.Fatal(err)
		}
		model, scores, err := f.Run(t.Context(), nil, nil)
		if err != nil || f.Close() != nil {
			t.Fatal(err)
		}
		if len(model.Labels) != 7 || len(scores) != len(model.Modes()) ||
			scores[0].Split != "3-way 2-shot validation" || scores[0].N != validationEpisodes*6 || scores[0].Accuracy < .4 {
			t.Errorf("labels %q, scores %+v", model.Labels, scores)
		}
		for i, y := range f.run.train.Labels[:50] {
			if slices.Contains(f.run.held.Labels, slices.Index(f.Data.ClassNames, model.Labels[y])) {
				t.Fatalf("training image %d is of a class that is held out", i)
			}
		}
		checkPrototypes(t, f, model)

		g, err := Start(t.Context(), filepath.Join(t.TempDir(), "stopped"), mini, c, nil)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, _, err = g.Run(ctx, func(e Event) {
			if e.Step == 4 { // in the second epoch
				cancel()
			}
		}, nil)
		if !errors.Is(err, context.Canceled) || g.Close() != nil {
			t.Fatal(err)
		}
		if g, err = Resume(t.Context(), g.Dir, 0, nil); err != nil {
			t.Fatal(err)
		}
		if _, _, err := g.Run(t.Context(), nil, nil); err != nil || g.Close() != nil {
			t.Fatal(err)
		}
		want, _ := os.ReadFile(filepath.Join(dir, SlabFile))
		got, err := os.ReadFile(filepath.Join(g.Dir, SlabFile))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: the slab after a stop differs (%v)", c.Episode.Head, err)
		}
	}
}

// checkPrototypes compares the head of a slab with a gallery.
func checkPrototypes(t *testing.T, f *RunDir, model *format.Model) {
	t.Helper()
	classifier, err := sla.New(model)
	if err != nil {
		t.Fatal(err)
	}
	features := func(i int) []float32 {
		img := f.Data.Image(&f.run.train, i)
		if err := errors.Join(classifier.Begin(img.Rect.Dx(), img.Rect.Dy()), classifier.Rows(img.Pix)); err != nil {
			t.Fatal(err)
		}
		z, err := classifier.Features(math.MaxInt)
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	width := len(features(0))
	gallery := make([]float32, width*model.Classes())
	seen := make([]int, model.Classes())
	for i, y := range f.run.train.Labels {
		if seen[y]++; seen[y] <= 20 {
			for k, v := range features(i) {
				gallery[y*width+k] += v
			}
		}
	}
	features(0)
	matched, err := classifier.Match(gallery, math.MaxInt)
	if err != nil {
		t.Fatal(err)
	}
	logits := slices.Clone(matched.Logits)
	mode := sla.Aggregated
	if model.Views() == 1 {
		mode = sla.Baseline
	}
	r, err := classifier.Run(mode)
	if err != nil {
		t.Fatal(err)
	}
	for y, v := range r.Logits {
		if math.Abs(float64(v-logits[y])) > 1e-5 {
			t.Errorf("class %d: the head says %v, a gallery %v", y, v, logits[y])
		}
	}
}

func TestEpisodeErrors(t *testing.T) {
	for want, change := range map[string]func(c *Config){
		`head "svm": want proto or ridge`:                  func(c *Config) { c.Episode.Head = "svm" },
		"at least 2 classes":                               func(c *Config) { c.Episode.Way = 1 },
		`method "da": episodes are for baseline and sla`:   func(c *Config) { c.Method = "da" },
		"number of episodes":                               func(c *Config) { c.Episodes = 0 },
		"a batch of 9 images, but an episode has 12":       func(c *Config) { c.BatchSize = 9 },
		"neither mixed images":                             func(c *Config) { c.Mix = batch.Mixup },
		"10 classes are too few for episodes of 6: 6 are":  func(c *Config) { *c = c.InEpisodes(fewshot.Episode{Head: "proto", Way: 6, Shot: 2, Queries: 2}, 3) },
		"0 classes have the 31 images that an episode nee": func(c *Config) { *c = c.InEpisodes(fewshot.Episode{Head: "proto", Way: 3, Shot: 1, Queries: 30}, 3) },
	} {
		c := episodesForTest("proto", "sla")
		change(&c)
		if _, _, err := Train(t.Context(), small(t), c, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, have %v", want, err)
		}
	}
}
