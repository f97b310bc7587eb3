package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/quarterturn/quarterturn/format"
)

// maxHeader is the longest header of a file, as the format's own reader has it.
const maxHeader = 100 << 20

// A Tensor has its values as float32, whatever floating-point type the file holds.
// Values of other types are left out: Data is nil.
type Tensor struct {
	DType string // F64, F32, F16, BF16; or I64, U8 ...
	Shape []int
	Data  []float32 // row-major
}

// A File is what Decode finds.
type File struct {
	Tensors  map[string]Tensor
	Metadata map[string]string
}

// sizes are the bytes of an element.
var sizes = map[string]int{"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1, "F8_E5M2": 1, "F8_E4M3": 1}

// Decode reads a safetensors file. As the format demands, tensors must cover the data
// without gaps or overlaps.
func Decode(b []byte) (*File, error) {
	if len(b) < 8 {
		return nil, errors.New("not a safetensors file: it is shorter than the length of its header")
	}
	n := binary.LittleEndian.Uint64(b)
	if n > maxHeader || n > uint64(len(b)-8) {
		return nil, fmt.Errorf("not a safetensors file: its first 8 bytes claim a header of %d bytes, of %d that follow", n, len(b)-8)
	}
	data := b[8+n:]
	header, err := object(b[8 : 8+n])
	if err != nil {
		return nil, fmt.Errorf("safetensors header: %w", err)
	}
	f := &File{Tensors: map[string]Tensor{}}
	covered := 0
	for name, raw := range header {
		if name == "__metadata__" {
			if err := json.Unmarshal(raw, &f.Metadata); err != nil {
				return nil, fmt.Errorf("safetensors metadata: %w", err)
			}
			continue
		}
		var e entry
		if err := json.Unmarshal(raw, &e); err != nil {
			return nil, fmt.Errorf("safetensors header, tensor %q: %w", name, err)
		}
		t, err := e.tensor(data)
		if err != nil {
			return nil, fmt.Errorf("safetensors tensor %q: %w", name, err)
		}
		f.Tensors[name] = t
		covered += e.Offsets[1] - e.Offsets[0]
	}
	if covered != len(data) {
		return nil, fmt.Errorf("safetensors: the tensors take %d bytes, the data section has %d", covered, len(data))
	}
	return f, nil
}

// object splits a JSON object, in which no key may come twice.
func object(b []byte) (map[string]json.RawMessage, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("it is not a JSON object")
	}
	m := map[string]json.RawMessage{}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		name := key.(string) // of an object's keys it is always one
		if _, twice := m[name]; twice {
			return nil, fmt.Errorf("%q is there twice", name)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, err
		}
		m[name] = value
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	return m, nil
}

// maxRank is how many dimensions a tensor may have, twice as many as those of nets.
const maxRank = 8

func (e *entry) tensor(data []byte) (Tensor, error) {
	t := Tensor{DType: e.DType, Shape: e.Shape}
	size, ok := sizes[e.DType]
	if !ok {
		return t, fmt.Errorf("unknown type %q", e.DType)
	}
	from, to := e.Offsets[0], e.Offsets[1]
	if from < 0 || to < from || to > len(data) {
		return t, fmt.Errorf("its bytes %d to %d are not in the data section of %d", from, to, len(data))
	}
	if len(e.Shape) > maxRank {
		return t, fmt.Errorf("its shape has %d numbers, more than %d", len(e.Shape), maxRank)
	}
	elements := 1
	for _, d := range e.Shape {
		if d < 0 || d > 0 && elements > len(data)/d {
			return t, fmt.Errorf("its shape %v has more elements than the file", e.Shape)
		}
		elements *= d
	}
	if elements*size != to-from {
		return t, fmt.Errorf("its shape %v of %s takes %d bytes, it has %d", e.Shape, e.DType, elements*size, to-from)
	}
	read := map[string]func([]byte) float32{
		"F64":  func(b []byte) float32 { return float32(math.Float64frombits(binary.LittleEndian.Uint64(b))) },
		"F32":  func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) },
		"F16":  func(b []byte) float32 { return half(binary.LittleEndian.Uint16(b)) },
		"BF16": func(b []byte) float32 { return math.Float32frombits(uint32(binary.LittleEndian.Uint16(b)) << 16) },
	}[e.DType]
	if read == nil {
		return t, nil
	}
	t.Data = make([]float32, elements)
	for i := range t.Data {
		t.Data[i] = read(data[from+i*size:])
	}
	return t, nil
}

// half returns the value of an IEEE-754 binary16.
func half(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10&31), uint32(h&1023)
	switch exponent {
	case 0: // zero, or subnormal: fraction * 2^-24
		v := float32(fraction) / (1 << 24)
		return math.Float32frombits(math.Float32bits(v) | sign)
	case 31:
		return math.Float32frombits(sign | 0x7f800000 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}

// A manifest is a slab's description as Encode stores it: the tensor table follows from
// the rest, and the digest is in hexadecimal.
type manifest struct {
	format.Manifest
	Hash     string          `json:"hash"`
	Tensors  json.RawMessage `json:"tensors"`
	SelfTest struct {
		Seed   int    `json:"seed"`
		Digest string `json:"digest"`
	} `json:"selftest"`
}

// Model returns the model of a file that Encode wrote, and the hash that its slab had. It
// is nil, without an error, for files of others.
func (f *File) Model() (m *format.Model, hash string, err error) {
	text, ok := f.Metadata["manifest"]
	if !ok {
		return nil, "", nil
	}
	var x manifest
	if err := json.Unmarshal([]byte(text), &x); err != nil {
		return nil, "", fmt.Errorf("the metadata entry manifest: %w", err)
	}
	digest, err := hex.DecodeString(x.SelfTest.Digest)
	if err != nil {
		return nil, "", fmt.Errorf("the metadata entry manifest: self-test: %w", err)
	}
	m = &format.Model{Manifest: x.Manifest}
	m.SelfTest = format.SelfTest{Seed: x.SelfTest.Seed, Digest: digest}
	if err := m.Validate(); err != nil {
		return nil, "", err
	}
	for _, want := range m.TensorShapes() {
		t, ok := f.Tensors[want.Name]
		if !ok || len(t.Data) != want.Elements() {
			return nil, "", fmt.Errorf("the net needs the tensor %s with the shape %v", want.Name, want.Shape)
		}
		m.Weights = append(m.Weights, t.Data)
	}
	return m, x.Hash, nil
}
