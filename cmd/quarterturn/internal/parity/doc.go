// Package parity runs a slab on every target there is and compares the bits:
// native Go, wazero's compiler and interpreter, Node with either build of the
// module, and Chromium. Every target gets the same decoded pixels.
package parity
