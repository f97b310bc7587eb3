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
// their own are about the image. errors.Is would bring reflection into the module;
// the errors of format and sla unwrap to their kinds in one step.
func fail(err error) int32 {
	output = append(output[:0], err.Error()...)
	if u, ok := err.(interface{ Unwrap() error }); ok {
		err = u.Unwrap()
	}
	switch err {
	case errNoSlab:
		return codeNoSlab
	case errBlock:
		return codeBlock
	case format.ErrNotSlab:
		return codeNotSlab
	case format.ErrVersion:
		return codeVersion
	case format.ErrCorrupt:
		return codeCorrupt
	case format.ErrUnsupported:
		return codeUnsupported
	case sla.ErrMode:
		return codeMode
	case sla.ErrSelfTest:
		return codeSelfTest
	}
	return codeImage
}

func done(err error) int32 {
	if err != nil {
		return fail(err)
	}
	return codeOK
}

// ready begins a call that needs a slab.
func ready() int32 {
	output = output[:0]
	if classifier == nil {
		return fail(errNoSlab)
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
	if code := ready(); code != codeOK {
		return code
	}
	output = model.AppendJSON(output)
	return codeOK
}

//go:wasmexport qt_verify
func verify() int32 {
	if code := ready(); code != codeOK {
		return code
	}
	if err := classifier.SelfTest(); err != nil {
		return fail(err)
	}
	output = append(output, model.SelfTest.Digest...)
	return codeOK
}

//go:wasmexport qt_begin
func begin(width, height uint32) int32 {
	if code := ready(); code != codeOK {
		return code
	}
	return done(classifier.Begin(int(width), int(height)))
}

//go:wasmexport qt_rows
func rows(pointer, size uint32) int32 {
	if code := ready(); code != codeOK {
		return code
	}
	rgba, err := block(pointer, size)
	if err != nil {
		return fail(err)
	}
	return done(classifier.Rows(rgba))
}

//go:wasmexport qt_input
func input() int32 {
	if code := ready(); code != codeOK {
		return code
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
	if code := ready(); code != codeOK {
		return code
	}
	return put(classifier.RunFor(sla.Mode(mode), int(macs)))
}

//go:wasmexport qt_features
func features(macs uint32) int32 {
	if code := ready(); code != codeOK {
		return code
	}
	z, err := classifier.Features(int(macs))
	output = sla.AppendBits(output, z)
	return done(err)
}

//go:wasmexport qt_match
func match(pointer, size, macs uint32) int32 {
	if code := ready(); code != codeOK {
		return code
	}
	b, err := block(pointer, size)
	if err != nil {
		return fail(err)
	}
	return put(classifier.Match(unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), size/4), int(macs)))
}

// put makes a result the output, or nothing if there is none yet.
func put(r *sla.Result, err error) int32 {
	if r == nil || err != nil {
		return done(err)
	}
	n := len(r.Logits)
	head := []uint32{uint32(r.Mode), uint32(r.Passes), uint32(n), uint32(len(r.Views) / n)}
	output = append(output, unsafe.Slice((*byte)(unsafe.Pointer(&head[0])), 16)...)
	output = sla.AppendBits(output, r.Logits)
	output = sla.AppendBits(output, r.Probabilities)
	output = sla.AppendBits(output, r.Views)
	return codeOK
}

//go:wasmexport qt_trace
func trace(mode int32) int32 {
	if code := ready(); code != codeOK {
		return code
	}
	t, err := classifier.Trace(sla.Mode(mode))
	if err != nil {
		return fail(err)
	}
	output = append(output, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(t))), 8*len(t))...)
	return codeOK
}
