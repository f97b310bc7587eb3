// Package safetensors writes the tensors of a slab in the safetensors format
// (https://github.com/huggingface/safetensors), for other programs to read. The
// metadata entry "manifest" holds the slab's description as JSON, layers included.
package safetensors

import (
	"encoding/binary"
	"encoding/json"
	"math"

	"github.com/quarterturn/quarterturn/format"
)

type entry struct {
	DType   string `json:"dtype"`
	Shape   []int  `json:"shape"`
	Offsets [2]int `json:"data_offsets"`
}

// Encode returns the tensors of a model, which must be valid, as a safetensors file.
func Encode(m *format.Model) ([]byte, error) {
	header := map[string]any{"__metadata__": map[string]string{"manifest": string(m.AppendJSON(nil))}}
	var data []byte
	for i, t := range m.TensorShapes() {
		from := len(data)
		for _, v := range m.Weights[i] {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
		}
		header[t.Name] = entry{"F32", t.Shape, [2]int{from, len(data)}}
	}
	text, err := json.Marshal(header)
	if err != nil {
		return nil, err
	}
	for len(text)%8 != 0 { // so that the data are aligned
		text = append(text, ' ')
	}
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(text)))
	return append(append(out, text...), data...), nil
}
