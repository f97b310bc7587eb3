// Package module holds the inference module built from package wasm for
// GOOS=wasip1 and finished by package narrow, as it is committed: what host embeds
// and a page loads. Its test compares it byte for byte with a fresh build and, with
// -update, renews it.
package module

import _ "embed"

//go:generate go test . -run Fresh -update

var (
	// WASM is the module, without vector operations.
	//
	//go:embed quarterturn.wasm
	WASM []byte

	// SIMD is the module with kernels of 128-bit vector operations, and the same bits.
	//
	//go:embed quarterturn-simd.wasm
	SIMD []byte
)
