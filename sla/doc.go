// Package sla is the method where it must be the same everywhere: joint labels,
// transformations, image preprocessing, the network executor with its kernels,
// and the inference modes of self-supervised label augmentation (Lee, Hwang and
// Shin, "Self-supervised Label Augmentation via Input Transformations", ICML
// 2020, arXiv 1910.05872).
//
// The path of an image is that of the files here:
//
//	RGBA rows          Classifier.Begin, Rows
//	-> preprocess      preprocess.go    (C, H, W), cut, resized, normalised
//	-> t_j             transform.go     view j, turned, its channels permuted
//	-> network         network.go       conv.go, winograd.go; value.go has the memory
//	-> z_j             heads.go         the feature (F), and the logits of heads
//	-> mode            modes.go         which heads and how many views answer
//	-> Result          prediction.go    probabilities, the order of classes
//
// classifier.go walks it, trace.go and selftest.go watch, match.go answers by examples
// that a user showed, and cost.go counts beforehand what a slab takes. The path
// gives the same bits on every target. For that, every float32 product that
// feeds a sum is written float32(x*y), which forbids fusing it into the sum;
// sums have a fixed order; resizing is done in integers; and no function of package
// math is used whose last bit differs between targets.
package sla
