package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"image"
	"image/png"
	"math"
	"slices"
	"strings"

	"encoding/base64"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
)

// A Page is what report.html tells of a run: one file that needs no network.
type Page struct {
	Model    *format.Model
	Data     *dataset.Dataset
	Trained  []int            // images of each class that were trained on
	Scores   []evaluate.Score // of every mode on the test images
	Epochs   []Epoch
	Verdict  string // what is wrong with the net; empty: nothing
	Settings [][2]string
	Timings  [][2]string
	Commands []string // what was done, and what can be done with the slab
}

//go:embed page.html
var pageText string

var pageTemplate = template.Must(template.New("report").Parse(pageText))

// mostMistakes is how many mistakes are shown.
const mostMistakes = 24

// What the template gets.
type (
	pageView struct {
		*Page
		Served            modeView
		Modes             []modeView
		Classes           []classView
		Mistakes          []mistakeView
		Bins              []binView
		Curves, Confusion template.HTML
		Test, Right       int
		Balanced          bool
	}
	modeView struct {
		Mode                string
		Served              bool
		Passes              string
		Accuracy, Low, High string
		NLL, ECE            string
		Validation          string
	}
	classView struct {
		Name                string
		Trained, Test       int
		Accuracy, Low, High string
		Share               float64 // right, in percent, of the bar
	}
	mistakeView struct {
		Image                       template.URL
		Truth, Answer, Sure, Source string
	}
	binView struct {
		Range          string
		Images         int
		Sure, Accuracy string
		X, SureY, Y    float64 // of a diagram of 100 x 100
	}
)

// HTML returns the page.
func (p *Page) HTML() ([]byte, error) {
	v := pageView{Page: p}
	i := evaluate.Served(p.Model, p.Scores)
	served := &p.Scores[i]
	v.Test, v.Balanced = served.N, served.Balanced()
	for k := range p.Scores {
		m := p.modeView(&p.Scores[k], k == i)
		if v.Modes = append(v.Modes, m); k == i {
			v.Served = m
		}
	}
	for y, t := range served.Classes {
		v.Right += t.Right
		c := classView{Name: p.Model.Labels[y], Trained: p.Trained[y], Test: t.Images, Accuracy: "–"}
		if t.Images > 0 {
			share := float64(t.Right) / float64(t.Images)
			low, high := evaluate.Wilson(share, t.Images)
			c.Accuracy, c.Low, c.High, c.Share = percent(share), percent(low), percent(high), 100*share
		}
		v.Classes = append(v.Classes, c)
	}
	var err error
	if v.Mistakes, err = p.mistakes(served); err != nil {
		return nil, err
	}
	v.Bins = bins(served, p.Data.Test.Labels)
	curves, err := Curves(p.Epochs)
	if err != nil {
		return nil, err
	}
	v.Curves = inline(curves)
	if len(p.Model.Labels) <= MaxConfusion {
		confusion, err := Confusion(served, p.Data.Test.Labels, p.Model.Labels)
		if err != nil {
			return nil, err
		}
		v.Confusion = inline(confusion)
	}
	var b bytes.Buffer
	err = pageTemplate.Execute(&b, &v)
	return b.Bytes(), err
}

func (p *Page) modeView(s *evaluate.Score, served bool) modeView {
	low, high := s.Interval()
	m := modeView{Mode: s.Mode, Served: served, Passes: fmt.Sprintf("%.3g", s.Passes), Accuracy: percent(s.Accuracy), Low: percent(low), High: percent(high),
		NLL: fmt.Sprintf("%.3f", s.NLL), ECE: fmt.Sprintf("%.3f", s.ECE), Validation: "–"}
	for _, x := range p.Model.Metrics {
		if x.Mode == s.Mode && !strings.HasSuffix(x.Split, "test") {
			m.Validation = fmt.Sprintf("%s of %d", percent(x.Accuracy), x.N)
		}
	}
	return m
}

// mistakes are the wrong answers that the net is surest of.
func (p *Page) mistakes(s *evaluate.Score) ([]mistakeView, error) {
	test := &p.Data.Test
	var wrong []int
	for i, answer := range s.Answers {
		if answer != test.Labels[i] {
			wrong = append(wrong, i)
		}
	}
	slices.SortStableFunc(wrong, func(a, b int) int {
		switch {
		case s.Confidences[a] > s.Confidences[b]:
			return -1
		case s.Confidences[a] < s.Confidences[b]:
			return 1
		}
		return 0
	})
	var views []mistakeView
	for _, i := range wrong[:min(len(wrong), mostMistakes)] {
		picture, err := dataURL(p.Data.Image(test, i))
		if err != nil {
			return nil, err
		}
		m := mistakeView{Image: picture, Truth: p.Model.Labels[test.Labels[i]], Answer: p.Model.Labels[s.Answers[i]], Sure: percent(s.Confidences[i])}
		if m.Source = fmt.Sprintf("test image %d", i); test.Files != nil {
			m.Source = test.Files[i]
		}
		views = append(views, m)
	}
	return views, nil
}

// bins sorts the answers by how sure the net was of them, tenth by tenth.
func bins(s *evaluate.Score, labels []int) (views []binView) {
	const n = 10
	var count, right, sure [n]float64
	for i, c := range s.Confidences {
		k := min(int(c*n), n-1)
		count[k]++
		sure[k] += c
		if s.Answers[i] == labels[i] {
			right[k]++
		}
	}
	for k := range n {
		if count[k] == 0 {
			continue
		}
		mean, accuracy := sure[k]/count[k], right[k]/count[k]
		views = append(views, binView{Range: fmt.Sprintf("%d–%d %%", 10*k, 10*k+10), Images: int(count[k]), Sure: percent(mean), Accuracy: percent(accuracy),
			X: math.Round(1000*mean) / 10, SureY: 100 - 100*mean, Y: math.Round(1000-1000*accuracy) / 10})
	}
	return views
}

func percent(share float64) string { return fmt.Sprintf("%.1f %%", 100*share) }

// inline makes an SVG file a part of a page: without what stands before its root.
func inline(svg []byte) template.HTML {
	return template.HTML(svg[max(0, bytes.Index(svg, []byte("<svg"))):])
}

func dataURL(img image.Image) (template.URL, error) {
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		return "", err
	}
	return template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())), nil
}
