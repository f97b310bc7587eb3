// Package host runs slabs in Go programs. Two lines embed a classifier:
//
//	c, err := host.Open(ctx, slab)
//	p, err := c.ClassifyFile(ctx, file) // or c.Classify(ctx, img), for an image.Image
//
// The default engine runs the committed WebAssembly module under wazero: no cgo,
// a sandbox, and a memory limit around a model that may come from anywhere.
// WithEngine(Native) runs the same code without the sandbox. Whichever engine
// runs, and wherever, the logits have the same bits.
//
// A Classifier is safe for concurrent use, and to be closed. Every call takes a context
// and returns soon after that ends. Errors are told apart with errors.Is: those of package
// format for a bad slab, sla.ErrMode, those of package imagefile for a bad file, and
// ErrImage, ErrOption, ErrEngine and ErrClosed here; each function says which it returns.
//
// NewService answers over HTTP; docs/service.md describes it.
//
// What this package and imagefile export at v0.1, and what they expose of others, stays,
// with its meaning and its errors, until v1.0; what is to go will be marked as deprecated
// first. testdata/api.txt lists it. The bits of a slab's logits never change.
package host
