package sla

// lanes is the number of output channels whose weights stand side by side.
const lanes = 4

//go:noescape
func sums(a *sumsArgs)

//go:noescape
func spread(a *spreadArgs)

//go:noescape
func gather(a *gatherArgs)
