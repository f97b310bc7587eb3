// Package parity runs a slab on every target there is and compares the bits:
// native Go, wazero's compiler and interpreter, Node with the module of either GOOS,
// Chromium and Firefox, each with the plain build of the module and with the one of
// vector operations. Every target gets the same decoded pixels.
package parity
