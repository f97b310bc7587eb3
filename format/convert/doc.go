// Package convert turns nets that others trained into slabs: state dicts of PyTorch's
// ResNets (StateDict) and ONNX graphs (ONNX). A slab can express convolutions of one group
// with batch normalisation, ReLU, sums of two values, max pooling, global average pooling
// and a linear classifier; anything else is an error that names what and where.
//
// The result has a class head and one view, so its mode is baseline. Batch normalisation
// is folded into the convolutions, in float64.
package convert
