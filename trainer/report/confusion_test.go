package report

import (
	"bytes"
	"encoding/xml"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
)

// SVG is XML whatever a class is called: Go's reader takes it, which refuses what XML 1.0 cannot hold.
func TestConfusionIsXML(t *testing.T) {
	score := evaluate.Score{Metric: format.Metric{Mode: "single", Split: "test"}, Classes: []evaluate.Tally{{Images: 1, Right: 1}, {}}, Answers: []int{0}}
	for _, name := range []string{"a\x1b[31mb", "a\x00b", "a\x07b", "a\uffffb", "a\xffb", "a&<>\"'\nb\tc", "]]>", "a\x0bb\x7f\u009b"} {
		svg, err := Confusion(&score, []int{0}, []string{name, "é猫"})
		if err != nil {
			t.Fatal(err)
		}
		for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Errorf("%q: %v", name, err)
				break
			}
		}
		if !bytes.Contains(svg, []byte("é猫")) {
			t.Errorf("%q: the other class is not named", name)
		}
	}
}

// Four images of class 0, two of class 1, none of class 2.
func TestConfusion(t *testing.T) {
	score := evaluate.Score{Metric: format.Metric{Mode: "single", Split: "test"}, Classes: []evaluate.Tally{{Images: 4, Right: 3}, {Images: 2, Right: 1}, {}},
		Answers: []int{0, 0, 0, 1, 1, 2}}
	svg, err := Confusion(&score, []int{0, 0, 0, 0, 1, 1}, []string{"cat", "dog", "<eel>"})
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for d := xml.NewDecoder(strings.NewReader(string(svg))); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := token.(xml.CharData); ok && strings.TrimSpace(string(s)) != "" {
			texts = append(texts, strings.TrimSpace(string(s)))
		}
	}
	for _, want := range []string{"cat", "dog", "<eel>", "75", "25", "50"} {
		if !slices.Contains(texts, want) {
			t.Errorf("the picture lacks %q: %q", want, texts)
		}
	}
}
