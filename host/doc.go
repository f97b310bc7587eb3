// Package host runs slabs in Go programs. Two lines embed a classifier:
//
//	c, err := host.Open(ctx, slab)
//	p, err := c.Classify(ctx, img)
//
// The default engine runs the committed WebAssembly module under wazero: no cgo,
// a sandbox, and a memory limit around a model that may come from anywhere.
// WithEngine(Native) runs the same code without the sandbox. Whichever engine
// runs, and wherever, the logits have the same bits.
package host
