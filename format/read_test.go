package format_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/vmihailenco/msgpack/v5"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/format/pack"
)

func tinySlab(t testing.TB) []byte {
	t.Helper()
	slab, err := pack.Encode(formattest.Tiny(3))
	if err != nil {
		t.Fatal(err)
	}
	return slab
}

// split takes a slab apart; join puts it together with lengths and hash right.
func split(slab []byte) (manifest, data []byte) {
	n := int(binary.LittleEndian.Uint32(slab[12:]))
	start := (format.PrefixSize + n + 63) / 64 * 64
	return slab[format.PrefixSize : format.PrefixSize+n], slab[start:]
}

func join(manifest, data []byte) []byte {
	return appendSlab(nil, manifest, data)
}

// appendSlab is join in memory that there is already.
func appendSlab(slab, manifest, data []byte) []byte {
	slab = append(slab, format.Magic...)
	slab = binary.LittleEndian.AppendUint32(slab, format.Version)
	slab = binary.LittleEndian.AppendUint32(slab, uint32(len(manifest)))
	slab = binary.LittleEndian.AppendUint64(slab, uint64(len(data)))
	slab = append(slab, make([]byte, format.PrefixSize-len(slab))...)
	slab = append(slab, manifest...)
	sum := sha256.New()
	sum.Write(slab[:32])
	sum.Write(manifest)
	sum.Sum(slab[32:32])
	slab = append(slab, make([]byte, (64-len(slab)%64)%64)...)
	return append(slab, data...)
}

func TestRoundTrip(t *testing.T) {
	m := formattest.Tiny(3)
	roundTrip(t, m)
	exits(func(*format.Model) {})(m)
	roundTrip(t, m)
	m.Heads[1].Scale = 30
	roundTrip(t, m)
	m.Metrics[0].Temperature = 1.5
	roundTrip(t, m)
	if m.Temperature(format.ModeDistilled) != 1.5 || m.Temperature(format.ModeSingle) != 1 {
		t.Error("temperatures are not those of the metrics")
	}
}

func roundTrip(t *testing.T, want *format.Model) {
	slab, err := pack.Encode(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := format.Decode(slab)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("read\n%+v\nwrote\n%+v", got.Manifest, want.Manifest)
	}
	again, err := pack.Encode(got)
	if err != nil || !bytes.Equal(again, slab) {
		t.Fatalf("the slab's second encoding differs from its first (%v)", err)
	}
	if m, d := split(slab); !bytes.Equal(join(m, d), slab) {
		t.Fatal("the test's own join does not give the writer's slab")
	}
}

// The hand-written reader and the MessagePack library agree on the manifest.
func TestManifestIsPlainMessagePack(t *testing.T) {
	slab := tinySlab(t)
	manifest, _ := split(slab)
	var want format.Manifest
	if err := msgpack.Unmarshal(manifest, &want); err != nil {
		t.Fatal(err)
	}
	got, err := format.Decode(slab)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Manifest, want) {
		t.Fatalf("reader %+v\nlibrary %+v", got.Manifest, want)
	}
}

func TestReadsFromAnyReader(t *testing.T) {
	slab := tinySlab(t)
	if _, err := format.Read(iotest.OneByteReader(bytes.NewReader(slab)), int64(len(slab))); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("disk on fire")
	for _, n := range []int{0, 10, 64, 100, len(slab) - 1} {
		_, err := format.Read(&failing{slab[:n], broken}, int64(len(slab)))
		if !errors.Is(err, broken) {
			t.Errorf("after %d bytes: %v, want the reader's own error", n, err)
		}
	}
}

type failing struct {
	b   []byte
	err error
}

func (f *failing) Read(p []byte) (int, error) {
	if len(f.b) == 0 {
		return 0, f.err
	}
	n := copy(p, f.b)
	f.b = f.b[n:]
	return n, nil
}

// decodeBounded decodes and fails the test if that allocates more than the
// slab's size plus a constant.
func decodeBounded(t *testing.T, slab []byte) (*format.Model, error) {
	t.Helper()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	m, err := format.Decode(slab)
	runtime.ReadMemStats(&after)
	if got, max := after.TotalAlloc-before.TotalAlloc, uint64(len(slab)+256<<10); got > max {
		t.Fatalf("decoding %d bytes allocated %d", len(slab), got)
	}
	return m, err
}

func TestTruncation(t *testing.T) {
	slab := tinySlab(t)
	for n := range slab {
		if _, err := decodeBounded(t, slab[:n]); err == nil {
			t.Fatalf("a slab cut to %d of %d bytes was read", n, len(slab))
		}
		// The same when the announced size is right and the bytes run out.
		if _, err := format.Read(bytes.NewReader(slab[:n]), int64(len(slab))); err == nil {
			t.Fatalf("a slab whose input ends after %d of %d bytes was read", n, len(slab))
		}
	}
	if _, err := format.Decode(append(slab[:len(slab):len(slab)], 0)); !errors.Is(err, format.ErrCorrupt) {
		t.Fatalf("with a trailing byte: %v", err)
	}
}

func TestEveryFlippedByteIsAnError(t *testing.T) {
	slab := tinySlab(t)
	bad := make([]byte, len(slab))
	for i := range slab {
		for _, x := range []byte{0x01, 0x20, 0x80, 0xff} {
			copy(bad, slab)
			bad[i] ^= x
			if _, err := decodeBounded(t, bad); err == nil {
				t.Fatalf("byte %d ^ %#x was not noticed", i, x)
			}
		}
	}
}

// exits gives a model exits, and then makes a change.
func exits(change func(m *format.Model)) func(m *format.Model) {
	return func(m *format.Model) {
		m.Exits = make([]format.Exit, 4)
		for i := range m.Exits {
			m.Exits[i] = format.Exit{Margin: float32(3-i) / 7, Temperature: 1.5, Share: .25}
		}
		change(m)
	}
}

func TestBadSlabs(t *testing.T) {
	slab := tinySlab(t)
	manifest, data := split(slab)
	replace := func(old, new string) []byte {
		if bytes.Count(manifest, []byte(old)) == 0 {
			t.Fatalf("the manifest does not hold %q", old)
		}
		return join(bytes.Replace(manifest, []byte(old), []byte(new), 1), data)
	}
	patch := func(off int, b ...byte) []byte {
		s := bytes.Clone(slab)
		copy(s[off:], b)
		return s
	}
	encode := func(change func(m *format.Model)) []byte {
		m := formattest.Tiny(3)
		pack.Encode(m)
		change(m)
		var b bytes.Buffer
		enc := msgpack.NewEncoder(&b)
		enc.UseCompactInts(true)
		if err := enc.Encode(&m.Manifest); err != nil {
			t.Fatal(err)
		}
		return join(b.Bytes(), data)
	}
	nan := math.Float32bits(float32(math.NaN()))
	nanData := bytes.Clone(data)
	binary.LittleEndian.PutUint32(nanData[64:], nan)
	huge := bytes.Clone(manifest)
	i := bytes.Index(huge, []byte("labels"))
	huge = append(append(huge[:i+6:i+6], 0xdd, 0x7f, 0xff, 0xff, 0xff), huge[i+7:]...)

	for _, c := range []struct {
		name  string
		slab  []byte
		kind  error
		wants string // in the message
	}{
		{"empty", nil, format.ErrNotSlab, "empty"},
		{"html", []byte("<!DOCTYPE html><html>"), format.ErrNotSlab, "HTML"},
		{"gzip", []byte("\x1f\x8b\x08"), format.ErrNotSlab, "gzip"},
		{"text mode", bytes.Replace(slab, []byte("\r\n"), []byte("\n"), 1), format.ErrNotSlab, "text-mode"},
		{"newer", patch(8, 2), format.ErrVersion, "update quarterturn"},
		{"older", patch(8, 0), format.ErrVersion, "this is version 0"},
		{"reserved", patch(24, 1), format.ErrCorrupt, "reserved"},
		{"manifest length", patch(12, 0xff, 0xff, 0xff, 0x7f), format.ErrCorrupt, "manifest length"},
		{"data length", patch(16, 0xff), format.ErrCorrupt, "data length"},
		{"unknown key", replace("labels", "lobels"), format.ErrCorrupt, "want the field labels here"},
		{"duplicate key", replace("\xa3std", "\xa4mean"), format.ErrCorrupt, "want the field std here"},
		{"extra field", replace("\x82\xa5turns\x00", "\x83\xa1x\x00\xa5turns\x00"), format.ErrCorrupt, "transforms[0]"},
		{"missing field", replace("\x82\xa5turns\x00", "\x81"), format.ErrCorrupt, "has 1 fields, want 2"},
		{"long integer", replace("\xa5turns\x00", "\xa5turns\xcc\x00"), format.ErrCorrupt, "transforms[0].turns at byte"},
		{"long string", replace("\xa4tiny", "\xd9\x04tiny"), format.ErrCorrupt, "shortest"},
		{"negative", replace("\xa5turns\x00", "\xa5turns\xff"), format.ErrCorrupt, "non-negative"},
		{"wrong type", replace("\xa4relu\xc3", "\xa4relu\x01"), format.ErrCorrupt, "layers[0].relu"},
		{"not utf-8", replace("tiny", "t\xffny"), format.ErrCorrupt, "UTF-8"},
		{"huge array", join(huge, data), format.ErrCorrupt, "labels"},
		{"non-finite mean", replace("\xca\x3f\x00\x00\x00", "\xca\x7f\x80\x00\x00"), format.ErrCorrupt, "input.mean[0]"},
		{"trailing in manifest", join(append(bytes.Clone(manifest), 0), data), format.ErrCorrupt, "trailing"},
		{"short manifest", join(manifest[:len(manifest)-40], data), format.ErrCorrupt, "tensors["},
		{"unknown op", replace("\xa4conv", "\xa4canv"), format.ErrUnsupported, "layers[0].op"},
		{"four channels", encode(func(m *format.Model) { m.Input.Channels = 4 }), format.ErrUnsupported, "1 (grey) or 3 (RGB)"},
		{"two labels alike", encode(func(m *format.Model) { m.Labels[1] = "cat" }), format.ErrUnsupported, "labels[1]"},
		{"no identity", encode(func(m *format.Model) { m.Transforms[0].Turns = 2 }), format.ErrUnsupported, "transforms[0]"},
		{"not a permutation", encode(func(m *format.Model) { m.Transforms[1].Channels = []int{0, 0, 1} }), format.ErrUnsupported, "permutation"},
		{"odd turn of an oblong", encode(func(m *format.Model) { m.Input.Height = 6 }), format.ErrUnsupported, "square"},
		{"layer reads ahead", encode(func(m *format.Model) { m.Layers[0].Input = 2 }), format.ErrUnsupported, "layers[0].input"},
		{"residual shape", encode(func(m *format.Model) { m.Layers[3].Residual = 1 }), format.ErrUnsupported, "layers[3].residual"},
		{"even kernel", encode(func(m *format.Model) { m.Layers[0].Kernel = 2 }), format.ErrUnsupported, "layers[0].kernel"},
		{"max pooling of another kernel", encode(func(m *format.Model) {
			m.Layers[2] = format.Layer{Name: "skip", Op: format.OpMax, Input: 1, Out: 4, Kernel: 5, Stride: 2}
		}), format.ErrUnsupported, "layers[2].kernel"},
		{"overlapping 2x2 pooling", encode(func(m *format.Model) {
			m.Layers[2] = format.Layer{Name: "skip", Op: format.OpMax, Input: 1, Out: 4, Kernel: 2, Stride: 1}
		}), format.ErrUnsupported, "kernel 2 has stride 2"},
		{"2x2 pooling of a row", encode(func(m *format.Model) {
			m.Transforms, m.Input.Height = m.Transforms[:1], 1
			m.Layers[2] = format.Layer{Name: "skip", Op: format.OpMax, Input: 1, Out: 4, Kernel: 2, Stride: 2}
		}), format.ErrUnsupported, "at least 2x2 pixels"},
		{"no stride", encode(func(m *format.Model) { m.Layers[0].Stride = 0 }), format.ErrUnsupported, "layers[0].stride"},
		{"heads out of order", encode(func(m *format.Model) { m.Heads[0], m.Heads[1] = m.Heads[1], m.Heads[0] }), format.ErrUnsupported, "heads[1]"},
		{"unknown head", encode(func(m *format.Model) { m.Heads[0].Kind = "third" }), format.ErrUnsupported, "heads[0]"},
		{"recommends what it has not", encode(func(m *format.Model) { m.Recommended = "adaptive" }), format.ErrUnsupported, "recommended"},
		{"negative scale", encode(func(m *format.Model) { m.Heads[2].Scale = -1 }), format.ErrUnsupported, "heads[2].scale"},
		{"scale of 0", replace("\x81\xa4kind\xa5class", "\x82\xa4kind\xa5class\xa5scale\xca\x00\x00\x00\x00"), format.ErrCorrupt, "heads[0].scale"},
		{"negative temperature", encode(func(m *format.Model) { m.Metrics[0].Temperature = -1 }), format.ErrUnsupported, "metrics[0].temperature"},
		{"temperature of 0", join(bytes.Replace(bytes.Replace(manifest, []byte("\x86\xa4mode"), []byte("\x87\xa4mode"), 1),
			[]byte("\xaaprovenance"), []byte("\xabtemperature\xca\x00\x00\x00\x00\xaaprovenance"), 1), data), format.ErrCorrupt, "metrics[0].temperature"},
		{"two temperatures of a mode", encode(func(m *format.Model) {
			m.Metrics[0].Temperature = 2
			m.Metrics = append(m.Metrics, m.Metrics[0])
		}), format.ErrUnsupported, "metrics[1].temperature"},
		{"a temperature beside those of exits", encode(exits(func(m *format.Model) { m.Metrics[0].Mode, m.Metrics[0].Temperature = "adaptive", 2 })), format.ErrUnsupported, "metrics[0].temperature"},
		{"no exits", replace("\xabrecommended", "\xa5exits\x90\xabrecommended"), format.ErrCorrupt, "want the field recommended here"},
		{"an empty list of exits", join(bytes.Replace(bytes.Replace(manifest, []byte("\x8b\xa4name"), []byte("\x8c\xa4name"), 1),
			[]byte("\xabrecommended"), []byte("\xa5exits\x90\xabrecommended"), 1), data), format.ErrCorrupt, "exits at byte"},
		{"an exit too few", encode(exits(func(m *format.Model) { m.Exits = m.Exits[:3] })), format.ErrUnsupported, "one a transformation"},
		{"a margin below 0", encode(exits(func(m *format.Model) { m.Exits[1].Margin = -1 })), format.ErrUnsupported, "exits[1].margin"},
		{"a margin of the last exit", encode(exits(func(m *format.Model) { m.Exits[3].Margin = 1 })), format.ErrUnsupported, "exits[3].margin"},
		{"no temperature", encode(exits(func(m *format.Model) { m.Exits[2].Temperature = 0 })), format.ErrUnsupported, "exits[2].temperature"},
		{"a share above 1", encode(exits(func(m *format.Model) { m.Exits[2].Share = 2 })), format.ErrUnsupported, "exits[2].share"},
		{"exits without a head for them", encode(exits(func(m *format.Model) { m.Heads = m.Heads[:2] })), format.ErrUnsupported, "distilled head"},
		{"tensor name", encode(func(m *format.Model) { m.Tensors[0].Name = "stem.w" }), format.ErrCorrupt, "tensors[0].name"},
		{"tensor shape", encode(func(m *format.Model) { m.Tensors[0].Shape[0] = 5 }), format.ErrCorrupt, "tensors[0].shape"},
		{"gap", encode(func(m *format.Model) { m.Tensors[1].Offset += 64 }), format.ErrCorrupt, "tensors[1].offset"},
		{"tensor missing", encode(func(m *format.Model) { m.Tensors = m.Tensors[:3] }), format.ErrCorrupt, "tensors"},
		{"checksum", encode(func(m *format.Model) { m.Tensors[2].SHA256[5]++ }), format.ErrCorrupt, "a.weight does not match its checksum"},
		{"too little data", join(manifest, data[:len(data)-4]), format.ErrCorrupt, "data length"},
		{"too much data", join(manifest, append(bytes.Clone(data), 0, 0, 0, 0)), format.ErrCorrupt, "data length"},
		{"NaN weight", join(manifest, nanData), format.ErrCorrupt, "not finite"},
	} {
		_, err := decodeBounded(t, c.slab)
		var e *format.Error
		if !errors.Is(err, c.kind) || !errors.As(err, &e) || !strings.Contains(err.Error(), c.wants) {
			t.Errorf("%s: got %v; want %v with %q", c.name, err, c.kind, c.wants)
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	for name, change := range map[string]func(*format.Model){
		"a tensor too few": func(m *format.Model) { m.Weights = m.Weights[1:] },
		"a short tensor":   func(m *format.Model) { m.Weights[0] = m.Weights[0][1:] },
		"infinity":         func(m *format.Model) { m.Weights[3][0] = float32(math.Inf(1)) },
		"no labels":        func(m *format.Model) { m.Labels = nil },
		"negative seed":    func(m *format.Model) { m.Provenance.Seed = -1 },
		"a name's bytes":   func(m *format.Model) { m.Name = "caf\xe9" },
		"a label's bytes":  func(m *format.Model) { m.Labels[1] = "\xff\xfe" },
		"a layer's bytes":  func(m *format.Model) { m.Layers[0].Name = "\xff" },
		"the data's bytes": func(m *format.Model) { m.Provenance.Data = "\xff" },
		"a split's bytes":  func(m *format.Model) { m.Metrics = []format.Metric{{Mode: m.Recommended, Split: "\xff"}} },
	} {
		m := formattest.Tiny(1)
		change(m)
		if _, err := pack.Encode(m); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}

func TestSHA256(t *testing.T) {
	b := make([]byte, 300)
	for i := range b {
		b[i] = byte(i * 7)
	}
	for n := range b {
		if format.SumSHA256(b[:n]) != sha256.Sum256(b[:n]) {
			t.Fatalf("the digest of %d bytes is wrong", n)
		}
		s := format.NewSHA256()
		s.Write(b[:n/3])
		s.Write(b[n/3 : n])
		if s.Sum() != sha256.Sum256(b[:n]) {
			t.Fatalf("the digest of %d bytes in two writes is wrong", n)
		}
	}
}

// Whatever manifest and data are sealed into a slab, the reader returns an error
// or a model that encodes to the very same bytes. Seeds are as small as slabs are: a longer
// manifest takes longer to read and has its bytes changed one by one all the same.
func FuzzDecode(f *testing.F) {
	add := func(m *format.Model) {
		formattest.Weigh(m)
		slab, err := pack.Encode(m)
		if err != nil {
			f.Fatal(err)
		}
		manifest, data := split(slab)
		f.Add(manifest, data)
	}
	m := format.Model{Manifest: format.Manifest{
		Labels:     []string{"a"},
		Transforms: []format.Transform{{Channels: []int{0}}},
		Input:      format.Input{Channels: 1, Height: 4, Width: 4, Mean: []float32{.5}, Std: []float32{.5}},
		Layers: []format.Layer{
			{Name: "a", Op: format.OpConv, Out: 1, Kernel: 1, Stride: 1},
			{Name: "b", Op: format.OpMean, Input: 1},
		},
		Heads:       []format.Head{{Kind: format.HeadClass}},
		Recommended: format.ModeBaseline,
		SelfTest:    format.SelfTest{Digest: make([]byte, 32)},
	}}
	add(&m)
	m.Labels = []string{"b", "é"}
	m.Transforms = append(m.Transforms, format.Transform{Turns: 1, Channels: []int{0}})
	m.Layers = []format.Layer{
		{Name: "a", Op: format.OpConv, Out: 2, Kernel: 1, Stride: 1},
		{Name: "b", Op: format.OpShortcut, Input: 1, Out: 2, Stride: 1},
		{Name: "c", Op: format.OpMax, Input: 2, Out: 2, Kernel: 3, Stride: 1},
		{Name: "d", Op: format.OpConv, Input: 2, Residual: 3, Out: 2, Kernel: 1, Stride: 1, ReLU: true},
		{Name: "e", Op: format.OpMean, Input: 4},
	}
	m.Heads = []format.Head{{Kind: format.HeadJoint, Scale: 30}, {Kind: format.HeadDistilled}}
	m.Recommended = format.ModeAggregated
	m.Exits = []format.Exit{{Margin: 1, Temperature: 1.5, Share: .25}, {Temperature: 1, Share: .75}}
	m.Metrics = []format.Metric{{Mode: format.ModeAggregated, N: 300, Accuracy: .5, NLL: 1.25, ECE: .0625}}
	add(&m)
	var slab []byte // a worker makes one call at a time
	f.Fuzz(func(t *testing.T, manifest, data []byte) {
		slab = appendSlab(slab[:0], manifest, data)
		m, err := format.Decode(slab)
		if err != nil {
			return
		}
		again, err := pack.Encode(m)
		if err != nil || !bytes.Equal(again, slab) {
			t.Fatalf("a slab that was read does not encode to itself (%v)", err)
		}
	})
}
