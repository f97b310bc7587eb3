// Package graph is the net that is trained: forward, loss and gradients of one batch.
//
// A Method says which heads a net gets and on which labels, and a Spec puts it together
// with one of package nets for batches of one size. New builds the Graph: the backbone of
// Ops over the kernels of internal/nhwc, the heads, and the Ops of package loss on them.
// Gorgonia holds the graph, differentiates it and runs it. Load takes a batch, Run computes
// the loss and the gradients, Step lets a solver change the params, Import takes the weights
// of a slab and Export returns them as a slab has them.
//
// An Op is a file: what it computes on the processor, what it launches on a GPU, and its
// gradient. Which of the two sides it is on is decided in internal/op alone.
package graph
