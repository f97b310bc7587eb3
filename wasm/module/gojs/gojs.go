// Package gojs holds the inference module built for GOOS=js and Go's glue for
// it. It serves the parity check; pages use the smaller glue of package www.
package gojs

import _ "embed"

var (
	// WASM is the module.
	//
	//go:embed quarterturn-js.wasm
	WASM []byte

	// SIMD is the module with kernels of vector operations.
	//
	//go:embed quarterturn-js-simd.wasm
	SIMD []byte

	// Exec is wasm_exec.js of the Go distribution (BSD licence, see its head).
	//
	//go:embed wasm_exec.js
	Exec []byte
)
