//go:build !wasm

package sla

import (
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
)

func TestTransformsAgainstPyTorch(t *testing.T) {
	var want map[string][][]float32
	fixture(t, "transforms.json", &want)
	image := make([]float32, 48) // 0, 1, 2, ... as (C, H, W), here (H, W, C)
	for i := range image {
		image[i] = float32(i%3*16 + i/3)
	}
	for spec, views := range want {
		list, err := ParseTransforms(spec, 3)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) != len(views) {
			t.Fatalf("%s lists %d transformations, want %d", spec, len(list), len(views))
		}
		dst := filled(format.Shape{Channels: 3, Height: 4, Width: 4}, 1, 3)
		for j, tr := range list {
			for y := range 4 {
				transformRow(dst, image, tr, y)
			}
			if got := dense(dst); !slices.Equal(got, views[j]) {
				t.Errorf("%s, transformation %d:\n got %v\nwant %v", spec, j, got, views[j])
			}
		}
	}
}

func TestParseTransforms(t *testing.T) {
	for spec, want := range map[string][]int{ // turns*1000 + the permutation as a number
		"rotation[0,1]":             {12, 1012},
		"color[0,3]":                {12, 120},
		"rotation2[0]xcolor3[0,2]":  {12, 201},
		"color[0,5]xrotation[0,3]":  {12, 3012, 210, 3210},
		"nonexrotation2":            {12, 2012},
		"rotation[0,2]xrotation[0]": {12, 2012},
	} {
		list, err := ParseTransforms(spec, 3)
		if err != nil {
			t.Error(err)
			continue
		}
		var got []int
		for _, x := range list {
			got = append(got, x.Turns*1000+x.Channels[0]*100+x.Channels[1]*10+x.Channels[2])
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: got %v, want %v", spec, got, want)
		}
	}
	for spec, want := range map[string]string{
		"spin":                       "is unknown",
		"":                           "is unknown",
		"rotation[4]":                "not an index",
		"rotation[0":                 "closing bracket",
		"rotation[1,0]":              "identity",
		"rotationxrotation":          "same",
		"rotation[0,1,1]":            "same",
		"rotationxcolorxcolorxcolor": "more than 256",
		"color":                      "grey",
		"rotationxcolor3":            "grey",
	} {
		channels := 3
		if want == "grey" {
			channels = 1
		}
		if _, err := ParseTransforms(spec, channels); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", spec, err, want)
		}
	}
}

// Whatever list is accepted, a slab accepts too.
func FuzzParseTransforms(f *testing.F) {
	for _, spec := range []string{"rotation", "rotation2xcolor3", "color[0,3]xrotation[0,2]", "none", "x", "rotation[]", "color[0"} {
		f.Add(spec, true)
	}
	f.Fuzz(func(t *testing.T, spec string, grey bool) {
		m := formattest.Tiny(3)
		if grey {
			m = formattest.Tiny(1)
		}
		list, err := ParseTransforms(spec, m.Input.Channels)
		if err != nil {
			return
		}
		m.Transforms = list
		if err := m.Validate(); err != nil {
			t.Fatalf("%q is read as a list that a slab refuses: %v", spec, err)
		}
	})
}
