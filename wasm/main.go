//go:build wasm

package main

import (
	"runtime"
	"unsafe"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/wasm/abi"
)

const ok = 0 // the result code of success

var (
	blocks     [][]byte // what qt_alloc gave; holds it for the collector
	output     []byte
	model      *format.Model
	classifier *sla.Classifier
)

// maxBlock bounds one block; larger images come in several.
const maxBlock = 1 << 30

func address(b []byte) uint32 { return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(b)))) }

// fail makes the error the output and returns its code.
func fail(err error) int32 {
	output = append(output[:0], err.Error()...)
	return abi.Code(err)
}

func outcome(err error) int32 {
	if err != nil {
		return fail(err)
	}
	return ok
}

// begun begins a call. The collector's own goroutines run only when an export lets them:
// without that, a collection that begins in a call may never end, nor any begin after it.
func begun() {
	runtime.Gosched()
	output = output[:0]
}

// ready begins a call that needs a slab.
func ready() int32 {
	begun()
	if classifier == nil {
		return fail(abi.ErrNoSlab)
	}
	return ok
}

// block returns the first size bytes of an allocated block.
func block(pointer, size uint32) ([]byte, error) {
	for _, b := range blocks {
		if address(b) == pointer && size <= uint32(len(b)) {
			return b[:size], nil
		}
	}
	return nil, abi.ErrBlock
}

//go:wasmexport qt_abi
func version() uint32 { return abi.Version }

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
func open(pointer, size, limit uint32) int32 {
	begun()
	model, classifier = nil, nil
	slab, err := block(pointer, size)
	if err != nil {
		return fail(err)
	}
	m, err := format.DecodeInPlace(slab)
	if err != nil {
		return fail(err)
	}
	bytes := int(limit)
	if limit == 0 {
		bytes = sla.DefaultMemory(&m.Manifest)
	}
	c, err := sla.NewWithin(m, bytes)
	if err != nil {
		return fail(err)
	}
	m.Weights = nil // they lie in the block, which is to be freed
	model, classifier = m, c
	return ok
}

//go:wasmexport qt_close
func closeSlab() int32 {
	output = output[:0]
	model, classifier = nil, nil
	return ok
}

//go:wasmexport qt_describe
func describe() int32 {
	if code := ready(); code != ok {
		return code
	}
	output = sla.AppendJSON(output, model)
	return ok
}

//go:wasmexport qt_verify
func verify(work uint32) int32 {
	if code := ready(); code != ok {
		return code
	}
	if done, err := classifier.SelfTestBudget(int(work)); !done || err != nil {
		return outcome(err)
	}
	output = append(output, model.SelfTest.Digest...)
	return ok
}

//go:wasmexport qt_begin
func begin(width, height uint32) int32 {
	if code := ready(); code != ok {
		return code
	}
	return outcome(classifier.Begin(int(width), int(height)))
}

//go:wasmexport qt_rows
func rows(pointer, size uint32) int32 {
	if code := ready(); code != ok {
		return code
	}
	rgba, err := block(pointer, size)
	if err != nil {
		return fail(err)
	}
	return outcome(classifier.Rows(rgba))
}

//go:wasmexport qt_input
func input() int32 {
	if code := ready(); code != ok {
		return code
	}
	x, err := classifier.Input()
	if err != nil {
		return fail(err)
	}
	output = sla.AppendBits(output, x)
	return ok
}

//go:wasmexport qt_run
func run(mode int32, work uint32) int32 {
	if code := ready(); code != ok {
		return code
	}
	return put(classifier.RunBudget(sla.Mode(mode), int(work)))
}

//go:wasmexport qt_features
func features(work uint32) int32 {
	if code := ready(); code != ok {
		return code
	}
	z, err := classifier.Features(int(work))
	output = sla.AppendBits(output, z)
	return outcome(err)
}

//go:wasmexport qt_match
func match(pointer, size, work uint32) int32 {
	if code := ready(); code != ok {
		return code
	}
	b, err := block(pointer, size)
	if err != nil {
		return fail(err)
	}
	return put(classifier.Match(unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), size/4), int(work)))
}

// put makes a result the output, or nothing if there is none yet.
func put(r *sla.Result, err error) int32 {
	if r == nil || err != nil {
		return outcome(err)
	}
	n := len(r.Logits)
	head := []uint32{uint32(r.Mode), uint32(r.Passes), uint32(n), uint32(len(r.Views) / n)}
	output = append(output, unsafe.Slice((*byte)(unsafe.Pointer(&head[0])), 16)...)
	output = sla.AppendBits(output, r.Logits)
	output = sla.AppendBits(output, r.Probabilities)
	output = sla.AppendBits(output, r.Views)
	return ok
}

//go:wasmexport qt_trace
func trace(mode int32, work uint32) int32 {
	if code := ready(); code != ok {
		return code
	}
	t, err := classifier.TraceBudget(sla.Mode(mode), int(work))
	if err != nil || t == nil {
		return outcome(err)
	}
	output = append(output, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(t))), 8*len(t))...)
	return ok
}
