package trainer

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/sla"
)

// The loss of an episode on joint classes and its gradient, through the normalisation of
// the features, against PyTorch's. There ridge regression is solved in the primal form.
func TestEpisodesAgainstPyTorch(t *testing.T) {
	var want struct {
		Way, Shot, Queries, Views, Features int
		Cases                               map[string]struct {
			Loss float64
			Dz   []float64
		}
	}
	b, err := os.ReadFile("testdata/episode.json")
	if err == nil {
		err = json.Unmarshal(b, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range shotHeads {
		e := Episode{h.name, want.Way, want.Shot, want.Queries}
		rows := e.Images() * want.Views
		values := tensor.New(tensor.WithShape(rows, want.Features), tensor.WithBacking(formattest.LCG(21, rows*want.Features)))
		g := G.NewGraph()
		z := G.NewTensor(g, tensor.Float32, 2, G.WithShape(rows, want.Features), G.WithName("z"), G.WithValue(values))
		directions, err := G.ApplyOp(newNormaliseOp("directions", rows, want.Features, 1), z)
		if err != nil {
			t.Fatal(err)
		}
		o, err := newEpisodeOp("episode", e, want.Views, want.Features)
		if err != nil {
			t.Fatal(err)
		}
		loss, err := G.ApplyOp(o, directions)
		if err == nil {
			_, err = G.Grad(loss, z)
		}
		if err != nil {
			t.Fatal(err)
		}
		vm := G.NewTapeMachine(g, G.BindDualValues(z))
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		expected := want.Cases[h.name]
		if got := float64(loss.Value().Data().(float32)); math.Abs(got-expected.Loss) > 1e-6*expected.Loss {
			t.Errorf("%s: the loss is %v, PyTorch says %v", h.name, got, expected.Loss)
		}
		grad, err := z.Grad()
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range floats(grad) {
			if math.Abs(float64(v)-expected.Dz[i]) > 1e-6 {
				t.Errorf("%s: gradient %d is %v, PyTorch says %v", h.name, i, v, expected.Dz[i])
			}
		}
		vm.Close()
	}
}

// Every episode of an epoch has images of as many classes as it should, none twice, and
// those shown come first, class by class.
func TestOrderOfEpisodes(t *testing.T) {
	e := Episode{"proto", 3, 2, 4}
	c := DefaultConfig().InEpisodes(e, 50)
	var s Split
	for i := range 70 {
		s.Classes = append(s.Classes, i%10)
	}
	s.Classes = append(s.Classes, 10, 10, 10, 10, 10) // too few for an episode
	order, err := c.order(rand.New(rand.NewPCG(1, 2)), &s)
	if err != nil || len(order) != 50*18 {
		t.Fatal(len(order), err)
	}
	drawn := map[int]bool{}
	for episode := range slices.Chunk(order, 18) {
		seen := map[int]bool{}
		for i, image := range episode {
			y := s.Classes[image]
			class := i / 2
			if i >= 6 {
				class = (i - 6) / 4
			}
			if seen[image] || y != s.Classes[episode[2*class]] || y == 10 {
				t.Fatalf("episode %v: image %d", episode, i)
			}
			seen[image], drawn[y] = true, true
		}
		if a, b, c := s.Classes[episode[0]], s.Classes[episode[2]], s.Classes[episode[4]]; a == b || b == c || a == c {
			t.Fatalf("classes %d, %d and %d", a, b, c)
		}
	}
	if len(drawn) != 10 {
		t.Errorf("%d classes were drawn", len(drawn))
	}
}

func episodesForTest(head, method string) Config {
	c := smallConfig().InEpisodes(Episode{head, 3, 2, 2}, 3)
	c.Net, c.Method, c.Epochs = "conv4w8", method, 3
	return c
}

// A run in episodes: other classes are held out than those of the slab, whose head says of
// its own what a gallery of the same images says; stopped in the middle of an epoch it goes
// on to the same slab.
func TestEpisodicRun(t *testing.T) {
	for _, c := range []Config{episodesForTest("proto", "sla"), episodesForTest("ridge", "baseline")} {
		dir := filepath.Join(t.TempDir(), "straight")
		f, err := Start(dir, mini, c, nil)
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
		for i, y := range f.run.train.Classes[:50] {
			if slices.Contains(f.run.held.Classes, slices.Index(fashionLabels, model.Labels[y])) {
				t.Fatalf("training image %d is of a class that is held out", i)
			}
		}
		checkPrototypes(t, f, model)

		g, err := Start(filepath.Join(t.TempDir(), "stopped"), mini, c, nil)
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
		if g, err = Resume(g.Dir, nil); err != nil {
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
func checkPrototypes(t *testing.T, f *Folder, model *format.Model) {
	t.Helper()
	classifier, err := sla.New(model)
	if err != nil {
		t.Fatal(err)
	}
	features := func(i int) []float32 {
		if err := show([]*sla.Classifier{classifier}, f.Data.Image(&f.run.train, i)); err != nil {
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
	for i, y := range f.run.train.Classes {
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
		"a batch of 9 images, but an episode has 12":       func(c *Config) { c.Batch = 9 },
		"neither mixed images":                             func(c *Config) { c.Mix = mixup },
		"10 classes are too few for episodes of 6: 6 are":  func(c *Config) { *c = c.InEpisodes(Episode{"proto", 6, 2, 2}, 3) },
		"0 classes have the 31 images that an episode nee": func(c *Config) { *c = c.InEpisodes(Episode{"proto", 3, 1, 30}, 3) },
	} {
		c := episodesForTest("proto", "sla")
		change(&c)
		if _, _, err := Train(t.Context(), small(t), c, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, have %v", want, err)
		}
	}
}
