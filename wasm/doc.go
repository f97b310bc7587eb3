// Command wasm is the inference module: a thin, flat interface over package sla
// for GOOS=wasip1 (a reactor: call _initialize first) and, from the same source,
// for GOOS=js (start it with wasm_exec.js; it stays resident).
//
// One instance holds one slab. Every call but qt_abi, qt_alloc and the output
// getters returns a code, 0 for success. What a call gives, or in words why it
// failed, is the output: qt_output_len bytes at qt_output, until the next call.
// Bad input is answered with a code, never with a trap; an instance that trapped
// must be thrown away.
//
//	qt_abi() version              this interface's version, 1
//	qt_alloc(size) pointer        a block of memory to write into; 0: too large
//	qt_free(pointer)              gives a block back
//	qt_open(pointer, size)        reads a slab from a block, which may then be freed
//	qt_describe()                 output: the slab's description, JSON
//	qt_verify()                   runs the slab's self-test; output: its digest, 32 bytes
//	qt_begin(width, height)       announces an image
//	qt_rows(pointer, size)        its next whole rows, RGBA, straight alpha
//	qt_input()                    output: the preprocessed image, float32 (C, H, W)
//	qt_run(mode, macs)            classifies it, or goes on with it, for about so many
//	                              multiply-adds; output: a result, or nothing yet
//	qt_features(macs)             output: the directions of its views, float32 (M, F), or nothing yet
//	qt_match(pointer, size, macs) classifies it by a gallery, float32 (classes, M, F) in a
//	                              block; output: a result, or nothing yet
//	qt_trace(mode)                output: a fingerprint of every layer, uint64 each
//	qt_close()                    drops the slab
//
// A result is, little-endian: uint32 mode, passes, classes N, views V; then
// float32 logits (N), probabilities (N) and the conditional logits of each view
// (V, N). Modes are numbered as sla.Mode.
package main
