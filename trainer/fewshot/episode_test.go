package fewshot

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// Every episode of an epoch has images of as many classes as it should, none twice, and
// those shown come first, class by class.
func TestOrderOfEpisodes(t *testing.T) {
	e := Episode{"proto", 3, 2, 4}
	var labels []int
	for i := range 70 {
		labels = append(labels, i%10)
	}
	labels = append(labels, 10, 10, 10, 10, 10) // too few for an episode
	s, err := NewSampler(e, labels)
	if err != nil {
		t.Fatal(err)
	}
	order := s.Order(50, rand.New(rand.NewPCG(1, 2)))
	if len(order) != 50*18 {
		t.Fatal(len(order))
	}
	drawn := map[int]bool{}
	for episode := range slices.Chunk(order, 18) {
		seen := map[int]bool{}
		for i, image := range episode {
			y := labels[image]
			class := i / 2
			if i >= 6 {
				class = (i - 6) / 4
			}
			if seen[image] || y != labels[episode[2*class]] || y == 10 {
				t.Fatalf("episode %v: image %d", episode, i)
			}
			seen[image], drawn[y] = true, true
		}
		if a, b, c := labels[episode[0]], labels[episode[2]], labels[episode[4]]; a == b || b == c || a == c {
			t.Fatalf("classes %d, %d and %d", a, b, c)
		}
	}
	if len(drawn) != 10 {
		t.Errorf("%d classes were drawn", len(drawn))
	}
}
