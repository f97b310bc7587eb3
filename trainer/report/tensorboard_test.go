package report

import (
	"bytes"
	"encoding/binary"
	"math"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/quarterturn/quarterturn/format"
)

func TestEvents(t *testing.T) {
	b := StartEvents(1.5)
	// Every file that TensorFlow writes begins like this.
	if want := []byte("\x18\x00\x00\x00\x00\x00\x00\x00\xa3\x7fK\"\t"); !bytes.HasPrefix(b, want) {
		t.Fatalf("the file begins with %x, those of TensorFlow with %x", b[:13], want)
	}
	e := Epoch{Step: 300, Loss: 2.5, LR: 0.125, Time: 7, Metrics: []format.Metric{{Mode: "single", Split: "validation", Accuracy: 0.75, NLL: 0.5, ECE: 0.25}}}
	record := e.Events()
	if n := binary.LittleEndian.Uint64(record); int(n) != len(record)-16 {
		t.Fatalf("a record of %d bytes says it has %d", len(record)-16, n)
	}
	// fields lists a message's fields: numbers as they are, messages as bytes.
	type field struct {
		number protowire.Number
		value  uint64
		bytes  []byte
	}
	fields := func(b []byte) (all []field) {
		for len(b) > 0 {
			number, kind, n := protowire.ConsumeTag(b)
			f := field{number: number}
			b = b[n:]
			switch kind {
			case protowire.VarintType:
				f.value, n = protowire.ConsumeVarint(b)
			case protowire.Fixed64Type:
				f.value, n = protowire.ConsumeFixed64(b)
			case protowire.Fixed32Type:
				var v uint32
				v, n = protowire.ConsumeFixed32(b)
				f.value = uint64(v)
			case protowire.BytesType:
				f.bytes, n = protowire.ConsumeBytes(b)
			}
			if n < 0 {
				t.Fatal(protowire.ParseError(n))
			}
			all, b = append(all, f), b[n:]
		}
		return all
	}
	event := fields(record[12 : len(record)-4])
	if len(event) != 3 || event[0].number != 1 || math.Float64frombits(event[0].value) != 7 || event[1].number != 2 || event[1].value != 300 || event[2].number != 5 {
		t.Fatalf("event %v", event)
	}
	got := map[string]float32{}
	for _, value := range fields(event[2].bytes) {
		v := fields(value.bytes)
		got[string(v[0].bytes)] = math.Float32frombits(uint32(v[1].value))
	}
	for tag, want := range map[string]float32{"train/loss": 2.5, "train/lr": 0.125, "validation/accuracy/single": 0.75, "validation/nll/single": 0.5, "validation/ece/single": 0.25} {
		if got[tag] != want {
			t.Errorf("%s is %v, want %v", tag, got[tag], want)
		}
	}
}
