// Package evaluate scores slabs.
//
// Evaluate runs every mode of a model, or of an Ensemble, on a split with package sla, the
// code that runs everywhere: a number printed is the number the slab has. Calibrate fits the
// exits of the mode adaptive, and EncodeWithSelfTest packs the result.
package evaluate
