// Command wasm is the inference module: a thin, flat interface over package sla
// for GOOS=wasip1 (a reactor: call _initialize first) and, from the same source,
// for GOOS=js (start it with wasm_exec.js; it stays resident).
//
// One instance holds one slab. Every call but qt_abi, qt_alloc and the output
// getters returns a code of abi.Results, 0 for success. What a call results in, or in
// words why it failed, is the output: qt_output_len bytes at qt_output, until the next call.
// Bad input is answered with a code, never with a trap; an instance that trapped
// must be thrown away.
//
//	qt_abi() version              this interface's version, abi.Version
//	qt_alloc(size) pointer        a block of memory to write into; 0: too large
//	qt_free(pointer)              returns a block
//	qt_open(pointer, size, limit) reads a slab from a block, which should then be freed;
//	                              limit: of sla.Need, in bytes, or 0 for sla.DefaultMemory
//	qt_describe()                 output: the slab's description, JSON
//	qt_verify(work)               runs the slab's self-test; output: its digest, 32 bytes, or
//	                              nothing yet
//	qt_begin(width, height)       announces an image
//	qt_rows(pointer, size)        its next whole rows, RGBA, straight alpha
//	qt_input()                    output: the preprocessed image, float32 (C, H, W)
//	qt_run(mode, work)            classifies it; output: a result, or nothing yet
//	qt_features(work)             output: the directions of its views, float32 (M, F), or nothing yet
//	qt_match(pointer, size, work) classifies it by a gallery, float32 (classes, M, F) in a
//	                              block; output: a result, or nothing yet
//	qt_trace(mode, work)          output: a fingerprint of every layer, uint64 each, or nothing yet
//	qt_close()                    drops the slab
//
// Calls with work do about so much of it, as sla.Work counts it in multiply-adds. If they
// are not done then, the output is empty and they resume when they are called again.
//
// A result is, little-endian: uint32 mode, passes, classes N, views V; then
// float32 logits (N), probabilities (N) and the conditional logits of each view
// (V, N). Modes are numbered as sla.Mode.
package main
