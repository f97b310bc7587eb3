package onnx

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/sla"
)

// A program that reads a model's metadata entries, as protocol buffers are read, knows what its input and
// its outputs mean.
func TestMetadata(t *testing.T) {
	m := formattest.Tiny(3)
	m.Labels = append([]string{"<ä> & \"b\""}, m.Labels[1:]...)
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	for _, mode := range append(m.Modes(), Heads, "auto") {
		for _, pixels := range []bool{false, true} {
			b, err := Encode(m, Options{Mode: mode, Preprocess: pixels})
			if err != nil {
				t.Fatal(err)
			}
			_, model := fields(t, b)
			entries := map[string]string{}
			for _, b := range model[14] { // metadata_props, of StringStringEntryProto
				_, p := fields(t, b)
				entries[string(p[1][0])] = string(p[2][0])
			}
			if len(entries) != len(model[14]) {
				t.Errorf("%s: an entry is there twice", mode)
			}
			decode := func(name string, into any) {
				t.Helper()
				if err := json.Unmarshal([]byte(entries[name]), into); err != nil {
					t.Errorf("%s: the entry %s: %v", mode, name, err)
				}
			}
			var labels []string
			if decode("labels", &labels); !slices.Equal(labels, m.Labels) {
				t.Errorf("%s: labels %q", mode, labels)
			}
			var manifest struct {
				Name   string
				Labels []string
				Heads  []struct{ Kind string }
			}
			if decode("manifest", &manifest); manifest.Name != m.Name || !slices.Equal(manifest.Labels, m.Labels) || len(manifest.Heads) != len(m.Heads) {
				t.Errorf("%s: manifest %+v", mode, manifest)
			}

			wantMode, wantPasses := mode, map[string]string{format.ModeAggregated: "4", format.ModeAdaptive: "4", Heads: ""}
			if mode == "auto" {
				wantMode = m.Recommended
			}
			passes, one := wantPasses[wantMode]
			if !one {
				passes = "1"
			}
			if entries["mode"] != wantMode || entries["passes"] != passes {
				t.Errorf("%s: mode %q, passes %q", mode, entries["mode"], entries["passes"])
			}

			// The layout is that of the graph's input: where the channels stand.
			_, graph := fields(t, model[7][0])
			name, dims := input(t, graph[11][0])
			want, layout := fmt.Sprintf("image [N %d %d %d]", m.Input.Channels, m.Input.Height, m.Input.Width), "NCHW"
			if pixels {
				want, layout = "pixels [N height width channels]", "NHWC"
			}
			if got := fmt.Sprintf("%s %v", name, dims); got != want || entries["layout"] != layout {
				t.Errorf("%s: the input %s, want %s, is called %q", mode, got, want, entries["layout"])
			}
			said := "in the graph: uint8 RGB or RGBA of any size"
			if !pixels {
				said = "resize to the input's size, then (v/255 - mean)/std for each channel"
			}
			if entries["preprocessing"] != said {
				t.Errorf("%s: preprocessing %q", mode, entries["preprocessing"])
			}
			var mean, std []float64
			decode("mean", &mean)
			decode("std", &std)
			normalises(t, m, mean, std)
		}
	}
}

// input returns the name of a graph's input, and its dimensions.
func input(t *testing.T, b []byte) (name string, dims []string) {
	t.Helper()
	_, value := fields(t, b)
	_, kind := fields(t, value[2][0])
	_, tensor := fields(t, kind[1][0])
	_, shape := fields(t, tensor[2][0])
	for _, d := range shape[1] {
		if ints, p := fields(t, d); len(ints[1]) > 0 {
			dims = append(dims, fmt.Sprint(ints[1][0]))
		} else {
			dims = append(dims, string(p[2][0]))
		}
	}
	return string(value[1][0]), dims
}

// normalises checks that pixels of the input's size, normalised as the entries say, are what the slab's net takes.
func normalises(t *testing.T, m *format.Model, mean, std []float64) {
	t.Helper()
	c, err := sla.New(m)
	if err != nil {
		t.Fatal(err)
	}
	size := m.Input.Width * m.Input.Height
	rgba := make([]byte, 4*size)
	for i := range rgba {
		if rgba[i] = byte(37 * i); i%4 == 3 {
			rgba[i] = 255
		}
	}
	if err := errors.Join(c.Begin(m.Input.Width, m.Input.Height), c.Rows(rgba)); err != nil {
		t.Fatal(err)
	}
	x, err := c.Input()
	if err != nil || len(mean) != m.Input.Channels || len(std) != m.Input.Channels {
		t.Fatalf("%v, mean %v, std %v", err, mean, std)
	}
	for i, got := range x {
		ch := i / size
		if want := (float64(rgba[4*(i%size)+ch])/255 - mean[ch]) / std[ch]; math.Abs(want-float64(got)) > 1e-5*(1+math.Abs(want)) {
			t.Fatalf("element %d is %v in the slab, %v by the entries", i, got, want)
		}
	}
}
