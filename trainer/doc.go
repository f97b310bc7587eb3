// Package trainer turns labelled images into slabs. It trains residual nets
// with self-supervised label augmentation and its rivals:
//
//	data -> batch -> joint labels -> graph -> loss -> step -> slab
//
// Gorgonia holds the graph, differentiates it and runs it; the layers are our
// own Ops over the kernels of internal/nhwc. Evaluation always runs the slab
// itself through package sla, so a number printed is the number the slab has.
//
// Training is deterministic: one seeded source of randomness, and sums whose
// order does not depend on the number of workers. The same seed gives the same
// slab on machines of one class.
package trainer
