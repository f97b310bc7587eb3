package graph

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/batch"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
	"github.com/quarterturn/quarterturn/trainer/nets"
)

// The slab computes what the graph computes: with the batch's own statistics in
// place of the running ones, logits of training kernels (NHWC, normalisation
// apart) and of the inference kernels (planar, folded) agree for every view.
func TestExportedNetAgreesWithTheGraph(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	for _, name := range []string{"resnet8w8", "resnet8w8p", "conv4w8"} {
		t.Run(name, func(t *testing.T) { exportedNetAgrees(t, name, 2e-5) })
	}
	// Normalised over 20 numbers in their last stages, which are one pixel here.
	for _, name := range []string{"resnet18", "resnet12w16", "fast8", "fast16-24", "fast8s2"} {
		t.Run(name, func(t *testing.T) { exportedNetAgrees(t, name, 4e-4) })
	}
}

// useBatchStats puts a batch's own statistics in the place of the running ones.
func useBatchStats(g *Graph) {
	for _, c := range g.convs {
		if !c.frozen {
			copy(c.running.mean, c.unit.Mean)
			copy(c.running.variance, c.unit.Var)
		}
	}
}

func exportedNetAgrees(t *testing.T, name string, tolerance float64) {
	g := fixtureGraph(t, name, "sla+sd")
	if _, err := g.Run(); err != nil {
		t.Fatal(err)
	}
	useBatchStats(g)
	side := fixtureSide(name)
	net, err := nets.Parse(name, format.Input{Channels: 1, Height: side, Width: side})
	if err != nil {
		t.Fatal(err)
	}
	transforms, err := sla.ParseTransforms("rotation", 1)
	if err != nil {
		t.Fatal(err)
	}
	model := g.Export(&format.Manifest{
		Labels: []string{"a", "b", "c"}, Transforms: transforms, Layers: net.Layers(),
		Input:       format.Input{Channels: 1, Height: side, Width: side, Mean: []float32{0}, Std: []float32{1}},
		Recommended: format.ModeDistilled,
	})
	// Images are bytes to a slab, so the graph sees those same levels again.
	const images = 5
	pixels := make([]byte, images*side*side)
	rng := rand.New(rand.NewPCG(4, 4))
	for i := range pixels {
		pixels[i] = byte(rng.Uint32())
	}
	g.Load(batch.NewViews(model.Input, transforms), &batch.Batch{Images: pixels, Targets: make([]float32, images*3)})
	if _, err := g.Run(); err != nil {
		t.Fatal(err)
	}
	useBatchStats(g)
	model.Weights = g.Export(&model.Manifest).Weights
	if _, err := evaluate.EncodeWithSelfTest(model); err != nil {
		t.Fatal(err)
	}
	classifier, err := sla.New(model)
	if err != nil {
		t.Fatal(err)
	}
	joint, student := g.heads[0].Buffer(), g.heads[1].Buffer()
	d := &dataset.Dataset{Height: side, Width: side, Channels: 1}
	near := func(what string, got float32, want float64) {
		t.Helper()
		if math.Abs(float64(got)-want) > tolerance {
			t.Errorf("%s is %v in the slab, %v in the graph", what, got, want)
		}
	}
	for i := range images {
		img := d.Image(&dataset.Split{Pixels: pixels}, i)
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
	if testing.Short() {
		t.Skip("takes long")
	}
	m, _ := ParseMethod("baseline")
	for name, want := range map[string]int{
		"resnet8": 75290, "resnet20": 269722, "resnet20p": 272474, "resnet32": 464154, "resnet44": 658586, "resnet56": 853018,
		"resnet18": 11181642, // torchvision's, with 10 classes
		"fast64":   573312,   // 571,392 of filters, 640 biases, a head of 1,280; the frozen stem is not trained
		"conv4":    113482,   // the usual 113,088 without the biases that normalisation makes useless, and a head of 650
		"resnet12": 12430730, // the 12.42 million of Tian et al. 2020, and a head of 6,410
	} {
		net, err := nets.Parse(name, format.Input{Channels: 3, Height: 32, Width: 32})
		if err != nil {
			t.Fatal(err)
		}
		g, err := New(Spec{Net: net, Input: format.Input{Channels: 3, Height: 8, Width: 8},
			Joint: sla.Joint{Classes: 10, Views: 1}, Images: 1, Method: m, Rng: rand.New(rand.NewPCG(1, 1))})
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
		g.Close()
	}
}
