package report

import (
	"encoding/binary"
	"hash/crc32"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// EventsFile is the curves for TensorBoard, which knows such files by their name.
const EventsFile = "events.out.tfevents.quarterturn"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendRecord appends a TFRecord: the length of the data and the data, each with
// a masked CRC behind it.
func appendRecord(b, data []byte) []byte {
	sum := func(of []byte) []byte {
		crc := crc32.Checksum(of, castagnoli)
		return binary.LittleEndian.AppendUint32(nil, (crc>>15|crc<<17)+0xa282ead8)
	}
	length := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	b = append(append(b, length...), sum(length)...)
	return append(append(b, data...), sum(data)...)
}

// appendEvent appends a record of a tensorflow.Event: seconds since 1970, the step,
// and either the version of the file or a summary.
func appendEvent(b []byte, seconds float64, step int, field protowire.Number, content []byte) []byte {
	var e []byte
	e = protowire.AppendTag(e, 1, protowire.Fixed64Type)
	e = protowire.AppendFixed64(e, math.Float64bits(seconds))
	if step > 0 {
		e = protowire.AppendTag(e, 2, protowire.VarintType)
		e = protowire.AppendVarint(e, uint64(step))
	}
	e = protowire.AppendTag(e, field, protowire.BytesType)
	return appendRecord(b, protowire.AppendBytes(e, content))
}

const eventVersion, eventSummary = 3, 5 // fields of tensorflow.Event

// StartEvents is the first record of an events file.
func StartEvents(seconds float64) []byte {
	return appendEvent(nil, seconds, 0, eventVersion, []byte("brain.Event:2"))
}

// Events is an epoch as TensorBoard reads it: the loss, the learning rate and
// every mode's scores.
func (e *Epoch) Events() []byte {
	var summary []byte
	scalar := func(tag string, value float64) {
		var v []byte
		v = protowire.AppendTag(v, 1, protowire.BytesType)
		v = protowire.AppendString(v, tag)
		v = protowire.AppendTag(v, 2, protowire.Fixed32Type)
		v = protowire.AppendFixed32(v, math.Float32bits(float32(value)))
		summary = protowire.AppendTag(summary, 1, protowire.BytesType)
		summary = protowire.AppendBytes(summary, v)
	}
	scalar("train/loss", e.Loss)
	scalar("train/lr", e.LR)
	for _, m := range e.Metrics {
		scalar(m.Split+"/accuracy/"+m.Mode, m.Accuracy)
		scalar(m.Split+"/nll/"+m.Mode, m.NLL)
		scalar(m.Split+"/ece/"+m.Mode, m.ECE)
	}
	return appendEvent(nil, e.Time, e.Step, eventSummary, summary)
}
