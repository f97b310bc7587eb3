// Package sla is the method where it must be the same everywhere: joint labels,
// transformations, image preprocessing, the network executor with its kernels,
// and the inference modes of self-supervised label augmentation (Lee, Hwang and
// Shin, "Self-supervised Label Augmentation via Input Transformations", ICML
// 2020, arXiv 1910.05872).
//
// The path of an image reads
//
//	RGBA rows -> preprocess -> x -> t_j(x) -> network -> z_j -> heads -> mode -> Result
//
// and gives the same bits on every target. For that, every float32 product that
// feeds a sum is written float32(x*y), which forbids fusing it into the sum;
// sums have a fixed order; resizing is done in integers; and no function of package
// math is used whose last bit differs between targets.
package sla
