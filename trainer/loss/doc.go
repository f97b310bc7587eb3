// Package loss is what training makes small: Ops of a graph that end in one number.
//
// CrossEntropy is on the labels of classes, of views or on joint ones (the SLA objective), and
// Distillation teaches the head for one pass. A Balance changes both for classes of unequal
// numbers of images. Episode is the loss of few-shot training. Each computes the gradient of
// its logits on the way, and its file has the processor's side and the GPU's.
package loss
