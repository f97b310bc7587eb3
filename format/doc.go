// Package format reads the slab, Quarterturn's one-file model: a fixed prefix,
// a canonical MessagePack manifest and aligned float32 tensors. docs/format.md
// is the specification.
//
// The reader is strict and streams: every length is compared with the bytes
// that are present before anything is allocated, every hash is checked before
// the bytes under it are interpreted, and a slab has exactly one valid encoding.
// It needs neither fmt nor reflection, so the WebAssembly module carries it too.
// Package format/pack holds the writer.
package format
