// Package onnx exchanges nets with other runtimes as ONNX models
// (https://github.com/onnx/onnx). Encode writes a slab as a graph of one of its modes,
// views and preprocessing included if wanted, or of its heads alone. It imports the
// standard library only.
//
// Logits agree with the slab's to rounding, not to the bit: other runtimes sum in other
// orders.
package onnx
