package graph

import (
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/batch"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/nets"
	"github.com/quarterturn/quarterturn/trainer/optim"
)

// A run of any length takes the memory that its first steps took: what the heap
// holds does not grow over 10,000 steps, and a step leaves little to collect.
func TestMemoryStaysFlat(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	net, err := nets.Parse("resnet8w8", format.Input{})
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseMethod("sla+sd")
	if err != nil {
		t.Fatal(err)
	}
	input := format.Input{Channels: 1, Height: 8, Width: 8, Mean: []float32{.5}, Std: []float32{.5}}
	transforms, err := sla.ParseTransforms("rotation", 1)
	if err != nil {
		t.Fatal(err)
	}
	joint := sla.Joint{Classes: 3, Views: 4}
	rng := rand.New(rand.NewPCG(1, 1))
	g, err := New(Spec{Net: net, Input: input, Joint: joint, Images: 2, Method: m, Temperature: 1, Beta: 1, Rng: rng})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	solver := &optim.SGD{LR: 0.001, Momentum: 0.9}
	views := batch.NewViews(input, transforms)
	b, err := batch.New(batch.Config{Augment: "crop,flip,rand,cutout", Mix: batch.CutMix, MixAlpha: 1}, input, joint.Classes,
		&dataset.Split{Pixels: make([]byte, 2*64), Labels: []int{0, 2}})
	if err != nil {
		t.Fatal(err)
	}
	steps := func(n int) {
		for range n {
			g.Load(views, b.Next([]int{0, 1}, rng))
			if _, err := g.Run(); err != nil {
				t.Fatal(err)
			}
			if err := g.Step(solver); err != nil {
				t.Fatal(err)
			}
		}
	}
	measure := func() (s runtime.MemStats) {
		runtime.GC()
		runtime.ReadMemStats(&s)
		return s
	}
	steps(1000)
	before := measure()
	steps(9000)
	after := measure()
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 64<<10 {
		t.Errorf("the heap grew by %d bytes over 9,000 steps", grown)
	}
	if step := (after.TotalAlloc - before.TotalAlloc) / 9000; step > 1<<20 {
		t.Errorf("a step allocates %d bytes", step)
	} else {
		t.Logf("a step allocates %d bytes", step)
	}
}
