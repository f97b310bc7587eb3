package safetensors

import (
	"encoding/binary"
	"math"
	"os"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/format/pack"
	"github.com/quarterturn/quarterturn/sla/slatest"
)

// A slab's safetensors come back as the very same slab.
func TestModelComesBack(t *testing.T) {
	for _, m := range []*format.Model{formattest.Tiny(1), formattest.Tiny(3), formattest.Odd()} {
		slab := slatest.Slab(t, m)
		b, err := Encode(m)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Decode(b)
		if err != nil {
			t.Fatal(err)
		}
		back, hash, err := f.Model()
		if err != nil {
			t.Fatal(err)
		}
		again, err := pack.Encode(back)
		if err != nil {
			t.Fatal(err)
		}
		if string(again) != string(slab) || hash != format.Hex(m.Hash[:]) {
			t.Errorf("%s: another slab came back, hash %s", m.Name, hash)
		}
	}
}

func file(header string, data ...byte) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), data...)
}

func TestDecode(t *testing.T) {
	// 1.5, -2, the smallest subnormal and infinity as binary16; 1.5 as bfloat16 and float64.
	f, err := Decode(file(`{"h":{"dtype":"F16","shape":[2,2],"data_offsets":[0,8]},"b":{"dtype":"BF16","shape":[1],"data_offsets":[8,10]},`+
		`"d":{"dtype":"F64","shape":[],"data_offsets":[10,18]},"n":{"dtype":"I64","shape":[1],"data_offsets":[18,26]},"__metadata__":{"a":"b"}}`,
		0, 0x3e, 0, 0xc0, 1, 0, 0, 0x7c, 0xc0, 0x3f, 0, 0, 0, 0, 0, 0, 0xf8, 0x3f, 1, 2, 3, 4, 5, 6, 7, 8))
	if err != nil {
		t.Fatal(err)
	}
	h := f.Tensors["h"].Data
	if h[0] != 1.5 || h[1] != -2 || h[2] != 1./(1<<24) || !math.IsInf(float64(h[3]), 1) || f.Tensors["b"].Data[0] != 1.5 || f.Tensors["d"].Data[0] != 1.5 ||
		f.Tensors["n"].Data != nil || f.Metadata["a"] != "b" {
		t.Errorf("%+v", f)
	}
	if m, _, err := f.Model(); m != nil || err != nil {
		t.Errorf("a file of another program has the model %v, %v", m, err)
	}
	for _, c := range []struct{ file, want string }{
		{"abc", "shorter than"},
		{"\xff\xff\xff\xff\xff\xff\xff\xff{}", "claim a header"},
		{string(file(`[]`)), "not a JSON object"},
		{string(file(`{}`, 1)), "the tensors take 0 bytes, the data section has 1"},
		{string(file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 1, 2, 3, 4)), `"a" is there twice`},
		{string(file(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}`, 1, 2, 3, 4)), "takes 8 bytes, it has 4"},
		{string(file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 1, 2, 3, 4)), "not in the data section"},
		{string(file(`{"a":{"dtype":"Q4","shape":[1],"data_offsets":[0,4]}}`, 1, 2, 3, 4)), `unknown type "Q4"`},
		{string(file(`{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}`)), "more elements than the file"},
		{string(file(`{"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}}`, 1, 2, 3, 4)), "9 numbers, more than 8"},
		{string(file(`{} x`)), "header"},
	} {
		if _, err := Decode([]byte(c.file)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.file, err, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	b, err := os.ReadFile("../convert/testdata/other.safetensors")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add(file(`{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},"__metadata__":{"manifest":"{}"}}`, 1, 2))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := Decode(b)
		if err != nil {
			return
		}
		total := 0
		for _, t := range x.Tensors {
			total += len(t.Data)
		}
		if total > len(b) {
			t.Errorf("%d values from %d bytes", total, len(b))
		}
		x.Model()
	})
}
