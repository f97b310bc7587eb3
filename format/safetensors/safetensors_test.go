package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/quarterturn/quarterturn/format/formattest"
)

func TestEncode(t *testing.T) {
	m := formattest.Tiny(3)
	b, err := Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	n := binary.LittleEndian.Uint64(b)
	if n%8 != 0 {
		t.Errorf("a header of %d bytes leaves the data unaligned", n)
	}
	var header map[string]json.RawMessage
	if err := json.Unmarshal(b[8:8+n], &header); err != nil {
		t.Fatal(err)
	}
	var metadata struct{ Manifest string }
	var manifest struct{ Layers []struct{ Name string } }
	if err := json.Unmarshal(header["__metadata__"], &metadata); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(metadata.Manifest), &manifest); err != nil || len(manifest.Layers) != len(m.Layers) {
		t.Errorf("manifest: %d layers, %v", len(manifest.Layers), err)
	}
	data, used := b[8+n:], 0
	for i, tensor := range m.TensorShapes() {
		var e struct {
			DType   string
			Shape   []int
			Offsets [2]int `json:"data_offsets"`
		}
		if err := json.Unmarshal(header[tensor.Name], &e); err != nil {
			t.Fatalf("%s: %v", tensor.Name, err)
		}
		var values []float32
		for raw := data[e.Offsets[0]:e.Offsets[1]]; len(raw) > 0; raw = raw[4:] {
			values = append(values, math.Float32frombits(binary.LittleEndian.Uint32(raw)))
		}
		if e.DType != "F32" || !slices.Equal(e.Shape, tensor.Shape) || !slices.Equal(values, m.Weights[i]) {
			t.Errorf("%s: %+v", tensor.Name, e)
		}
		used += e.Offsets[1] - e.Offsets[0]
	}
	if used != len(data) || len(header) != 1+len(m.TensorShapes()) {
		t.Errorf("%d of %d bytes are used, by %d entries", used, len(data), len(header))
	}
}
