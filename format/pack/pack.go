// Package pack writes slabs. It is apart from package format so that readers,
// the WebAssembly module among them, carry no MessagePack library.
package pack

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/quarterturn/quarterturn/format"
)

// Encode returns the slab of a model: the one encoding that format.Decode accepts.
// It fills in m.Tensors and m.Hash. m.Weights must hold, in order, the tensors
// that m.TensorShapes asks for.
func Encode(m *format.Model) ([]byte, error) {
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if err := checkTexts(&m.Manifest); err != nil {
		return nil, err
	}
	table := m.TensorShapes()
	if len(m.Weights) != len(table) {
		return nil, fmt.Errorf("the net needs %d tensors, the model has %d", len(table), len(m.Weights))
	}
	data := make([]byte, format.DataLength(table))
	for i := range table {
		t := &table[i]
		if len(m.Weights[i]) != t.Elements() {
			return nil, fmt.Errorf("tensor %s needs %d values, the model has %d", t.Name, t.Elements(), len(m.Weights[i]))
		}
		part := data[t.Offset : t.Offset+4*t.Elements()]
		for k, v := range m.Weights[i] {
			if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
				return nil, fmt.Errorf("tensor %s: value %d is %v; a slab holds finite numbers only", t.Name, k, v)
			}
			binary.LittleEndian.PutUint32(part[4*k:], math.Float32bits(v))
		}
		sum := sha256.Sum256(part)
		t.SHA256 = sum[:]
	}
	m.Tensors = table
	if m.Metrics == nil {
		m.Metrics = []format.Metric{} // an empty array, where nil would be msgpack's nil
	}

	var manifest bytes.Buffer
	enc := msgpack.NewEncoder(&manifest)
	enc.UseCompactInts(true) // the canonical form: integers as short as they go
	if err := enc.Encode(&m.Manifest); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}

	start := (format.PrefixSize + manifest.Len() + format.Align - 1) / format.Align * format.Align
	slab := make([]byte, start+len(data))
	copy(slab, format.Magic)
	binary.LittleEndian.PutUint32(slab[8:], format.Version)
	binary.LittleEndian.PutUint32(slab[12:], uint32(manifest.Len()))
	binary.LittleEndian.PutUint64(slab[16:], uint64(len(data)))
	copy(slab[format.PrefixSize:], manifest.Bytes())
	copy(slab[start:], data)
	hash := sha256.New()
	hash.Write(slab[:32])
	hash.Write(manifest.Bytes())
	hash.Sum(m.Hash[:0])
	copy(slab[32:], m.Hash[:])
	return slab, nil
}

// checkTexts finds a string that is not UTF-8, which Go's may be and a slab's may not.
func checkTexts(m *format.Manifest) error {
	p := &m.Provenance
	texts := [][2]string{{"name", m.Name}, {"provenance.tool", p.Tool}, {"provenance.data", p.Data}, {"provenance.method", p.Method}, {"provenance.net", p.Net}}
	for i, label := range m.Labels {
		texts = append(texts, [2]string{fmt.Sprintf("labels[%d]", i), label})
	}
	for i := range m.Layers {
		texts = append(texts, [2]string{fmt.Sprintf("layers[%d].name", i), m.Layers[i].Name})
	}
	for i := range m.Metrics {
		texts = append(texts, [2]string{fmt.Sprintf("metrics[%d].split", i), m.Metrics[i].Split})
	}
	for _, x := range texts {
		if !utf8.ValidString(x[1]) {
			return &format.Error{Kind: format.ErrUnsupported, Field: x[0], Offset: -1, Detail: "is not UTF-8"}
		}
	}
	return nil
}
