package report

import (
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
)

// The page says what it should of a small run, escapes what people name, and asks for
// nothing from the network.
func TestPage(t *testing.T) {
	pixels := make([]byte, 4*8*8)
	test := dataset.Split{Pixels: pixels, Labels: []int{0, 0, 1, 1}, Files: []string{"a.png", "b.png", "c.png", "<d>.png"}}
	metric := format.Metric{Mode: "baseline", Split: "test", N: 4, Accuracy: .5}
	p := Page{
		Model: &format.Model{Manifest: format.Manifest{Name: "pets", Labels: []string{"cat", "<dog>"}, Recommended: "baseline",
			Metrics: []format.Metric{{Mode: "baseline", Split: "validation", N: 7, Accuracy: .25}}}},
		Data:    &dataset.Dataset{Name: "pets", Height: 8, Width: 8, Channels: 1, Test: test, Notes: []string{"a note"}, LeftOut: imagefile.LeftOuts{{Path: "x.heic", Reason: "of no use"}}},
		Trained: []int{5, 6},
		Scores: []evaluate.Score{{Metric: metric, Passes: 1, Classes: []evaluate.Tally{{Images: 2, Right: 2}, {Images: 2}},
			Answers: []int{0, 0, 0, 0}, Confidences: []float64{.9, .6, .7, .95}}},
		Epochs:   []Epoch{{Epoch: 1, Loss: 2, Metrics: []format.Metric{metric}}, {Epoch: 2, Loss: 1, Metrics: []format.Metric{metric}}},
		Verdict:  "It guesses.",
		Commands: []string{"quarterturn train pets"},
	}
	b, err := p.HTML()
	if err != nil {
		t.Fatal(err)
	}
	page := string(b)
	for _, want := range []string{"50.0 %", "15.0 % and 85.0 %", "2 of 4", "It guesses.", "25.0 % of 7", "&lt;dog&gt;", "&lt;d&gt;.png", "95.0 % sure", "a note", "x.heic: of no use", "quarterturn train pets", "data:image/png;base64,"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if first, second := strings.Index(page, "95.0 % sure"), strings.Index(page, "70.0 % sure"); first > second {
		t.Error("the surest mistake is not the first")
	}
	for _, bad := range []string{"<dog>", "<d>.png", "src=\"http", "href=\"http", "<script"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page has %q", bad)
		}
	}
}

// Epochs are whole numbers, and so are their marks, of which there are few.
func TestWholeTicks(t *testing.T) {
	for _, c := range []struct {
		low, high float64
		want      string
	}{{1, 1, "1"}, {1, 4, "1 2 3 4"}, {1, 13, "2 4 6 8 10 12"}, {1, 24, "5 10 15 20"}, {1, 100, "20 40 60 80 100"}, {0, 1, "0 1"}} {
		var got []string
		for _, tick := range (wholeTicks{}).Ticks(c.low, c.high) {
			got = append(got, tick.Label)
		}
		if s := strings.Join(got, " "); s != c.want {
			t.Errorf("%v to %v: %s, want %s", c.low, c.high, s, c.want)
		}
	}
}
