//go:build !amd64 && !wasm

package sla

// lanes is the number of output channels whose weights stand side by side.
const lanes = 4

func sums(a *sumsArgs)     { sumsScalar(a) }
func spread(a *spreadArgs) { spreadScalar(a) }
func gather(a *gatherArgs) { gatherScalar(a) }
