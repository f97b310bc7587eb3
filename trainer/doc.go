// Package trainer turns labelled images into slabs. It trains residual nets
// with self-supervised label augmentation and its rivals:
//
//	data -> batch -> graph -> loss -> step -> checkpoint -> slab
//
// The packages, in this order:
//
//   - dataset reads labelled images, from files of known data sets or folders of pictures;
//   - batch augments them, mixes them, and renders their views;
//   - nets describes nets: which layers there are, by a name or a slab;
//   - start computes first weights in closed form, from images or from a slab's features;
//   - graph makes a net and its heads a graph of Ops, forward and backward;
//   - loss is what the graph ends in, on labels of classes, views or both;
//   - optim turns gradients into steps;
//   - evaluate scores slabs, and packs them;
//   - fewshot tells new classes apart by a few images of each;
//   - report draws what happened;
//   - experiments trains the tables of docs/results.md; gpuworker is the other end of a GPU.
//
// The loop itself is here: a Config, which Choose chooses for a folder of pictures, Train in
// train.go, starting from a slab in from.go, and a RunDir, a run on disk that can
// be stopped and resumed, in rundir.go and checkpoint.go. Evaluation always runs the slab
// itself through package sla, so a number printed is the number the slab has.
//
// Training is deterministic: one seeded source of randomness, and sums whose
// order does not depend on the number of workers. The same seed gives the same
// slab on machines of one class.
package trainer
