package trainer

import (
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
)

// A run of any length takes the memory that its first steps took: what the heap
// holds does not grow over 10,000 steps, and a step leaves little to collect.
func TestMemoryStaysFlat(t *testing.T) {
	net, err := parseNet("resnet8w8")
	if err != nil {
		t.Fatal(err)
	}
	m, err := parseMethod("sla+sd")
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
	g, err := newGraph(graphSpec{net: net, input: input, joint: joint, images: 2, method: m, temperature: 1, beta: 1, rng: rng})
	if err != nil {
		t.Fatal(err)
	}
	defer g.close()
	solver := &sgd{rate: 0.001, momentum: 0.9}
	config := DefaultConfig()
	config.Augment, config.Mix = "crop,flip,rand,cutout", cutmix
	b, err := newBatcher(config, input, net.border(), transforms, joint.Classes, &Split{Pixels: make([]byte, 2*64), Classes: []int{0, 2}})
	if err != nil {
		t.Fatal(err)
	}
	steps := func(n int) {
		for range n {
			b.fill(g, []int{0, 1}, rng)
			if _, err := g.run(); err != nil {
				t.Fatal(err)
			}
			if err := g.step(solver); err != nil {
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
