// Package onnx writes the net of a slab as an ONNX model, for other runtimes: to
// compare with, or to go on with elsewhere. It imports the standard library only.
//
// What ONNX cannot say stays behind: preprocessing, transformations and modes. The
// model's input "image" is float32 (N, C, H, W), normalised as the slab's manifest
// says; its outputs are the logits of the slab's heads, named "class", "joint" and
// "distilled".
package onnx
