// Package nhwc holds the hot loops of training: convolutions, forward and both
// gradients, over activations in padded NHWC layout, a batch of images each
// (H+2, W+2, C) floats with a border of zeros. Three neighbouring pixels of such
// a row are one run of 3*C floats, so a 3x3 convolution reads three runs a pixel
// and needs neither im2col nor packing.
//
// On amd64 with AVX2 and FMA the kernels are generated assembly (see gen),
// elsewhere plain Go. Sums have a fixed order whatever the number of workers.
package nhwc

//go:generate go run ./gen
