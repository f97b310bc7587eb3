//go:build wasm

package main

import (
	"errors"
	"unsafe"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
)

// Result codes. They are part of the interface: host and www know them.
const (
	codeOK = iota
	codeNotSlab
	codeVersion
	codeCorrupt
	codeUnsupported
	codeMode
	codeImage
	codeSelfTest
	codeNoSlab
	codeBlock
)

var kinds = []struct {
	err  error
	code int32
}{
	{format.ErrNotSlab, codeNotSlab},
	{format.ErrVersion, codeVersion},
	{format.ErrCorrupt, codeCorrupt},
	{format.ErrUnsupported, codeUnsupported},
	{sla.ErrMode, codeMode},
	{sla.ErrSelfTest, codeSelfTest},
}

var (
	blocks     [][]byte // what qt_alloc gave; holds it for the collector
	output     []byte
	model      *format.Model
	classifier *sla.Classifier

	errNoSlab = errors.New("no slab is open")
	errBlock  = errors.New("the memory given is not a block of qt_alloc")
)

// maxBlock bounds one block; larger images come in several.
const maxBlock = 1 << 30

func address(b []byte) uint32 { return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

// fail makes the error the output and gives its code. Errors without a kind of
// their own are about the image.
func fail(err error) int32 {
	output = append(output[:0], err.Error()...)
	switch err {
	case errNoSlab:
		return codeNoSlab
	case errBlock:
		return codeBlock
	}
	for _, k := range kinds {
		if errors.Is(err, k.err) {
			return k.code
		}
	}
	return codeImage
}

func done(err error) int32 {
	if err != nil {
		return fail(err)
	}
	return codeOK
}

// block gives the first size bytes of an allocated block.
func block(pointer, size uint32) ([]byte, error) {
	for _, b := range blocks {
		if address(b) == pointer && size <= uint32(len(b)) {
			return b[:size], nil
		}
	}
	return nil, errBlock
}

//go:wasmexport qt_abi
func abi() uint32 { return 1 }

//go:wasmexport qt_alloc
func alloc(size uint32) uint32 {
	if size == 0 || size > maxBlock {
		return 0
	}
	b := make([]byte, size)
	blocks = append(blocks, b)
	return address(b)
}

//go:wasmexport qt_free
func free(pointer uint32) {
	for i, b := range blocks {
		if address(b) == pointer {
			last := len(blocks) - 1
			blocks[i], blocks[last] = blocks[last], nil
			blocks = blocks[:last]
			return
		}
	}
}

//go:wasmexport qt_output
func outputAddress() uint32 { return address(output) }

//go:wasmexport qt_output_len
func outputLen() uint32 { return uint32(len(output)) }

//go:wasmexport qt_open
func open(pointer, size uint32) int32 {
	output = output[:0]
	model, classifier = nil, nil
	slab, err := block(pointer, size)
	if err != nil {
		return fail(err)
	}
	m, err := format.Decode(slab)
	if err != nil {
		return fail(err)
	}
	c, err := sla.New(m)
	if err != nil {
		return fail(err)
	}
	model, classifier = m, c
	return codeOK
}

//go:wasmexport qt_close
func closeSlab() int32 {
	output = output[:0]
	model, classifier = nil, nil
	return codeOK
}

//go:wasmexport qt_describe
func describe() int32 {
	output = output[:0]
	if model == nil {
		return fail(errNoSlab)
	}
	output = model.AppendJSON(output)
	return codeOK
}

//go:wasmexport qt_verify
func verify() int32 {
	output = output[:0]
	if classifier == nil {
		return fail(errNoSlab)
	}
	if err := classifier.SelfTest(); err != nil {
		return fail(err)
	}
	output = append(output, model.SelfTest.Digest...)
	return codeOK
}

//go:wasmexport qt_begin
func begin(width, height uint32) int32 {
	output = output[:0]
	if classifier == nil {
		return fail(errNoSlab)
	}
	return done(classifier.Begin(int(width), int(height)))
}

//go:wasmexport qt_rows
func rows(pointer, size uint32) int32 {
	output = output[:0]
	if classifier == nil {
		return fail(errNoSlab)
	}
	rgba, err := block(pointer, size)
	if err != nil {
		return fail(err)
	}
	return done(classifier.Rows(rgba))
}

//go:wasmexport qt_input
func input() int32 {
	output = output[:0]
	if classifier == nil {
		return fail(errNoSlab)
	}
	x, err := classifier.Input()
	if err != nil {
		return fail(err)
	}
	output = sla.AppendBits(output, x)
	return codeOK
}

//go:wasmexport qt_run
func run(mode int32, macs uint32) int32 {
	output = output[:0]
	if classifier == nil {
		return fail(errNoSlab)
	}
	r, err := classifier.RunFor(sla.Mode(mode), int(macs))
	if err != nil {
		return fail(err)
	}
	if r == nil {
		return codeOK
	}
	n := len(r.Logits)
	for _, v := range []int{int(r.Mode), r.Passes, n, len(r.Views) / n} {
		output = append(output, byte(v), byte(v>>8), byte(v>>16), byte(v>>24))
	}
	output = sla.AppendBits(output, r.Logits)
	output = sla.AppendBits(output, r.Probabilities)
	output = sla.AppendBits(output, r.Views)
	return codeOK
}

//go:wasmexport qt_trace
func trace(mode int32) int32 {
	output = output[:0]
	if classifier == nil {
		return fail(errNoSlab)
	}
	t, err := classifier.Trace(sla.Mode(mode))
	if err != nil {
		return fail(err)
	}
	for _, v := range t {
		for shift := 0; shift < 64; shift += 8 {
			output = append(output, byte(v>>shift))
		}
	}
	return codeOK
}
