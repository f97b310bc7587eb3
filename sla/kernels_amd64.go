package sla

// lanes is the number of output channels whose weights stand side by side: as
// many as a vector holds.
const lanes = 8

var useAVX2 = hasAVX2() // tests switch it off

func hasAVX2() bool

func sums(a *sumsArgs) {
	if useAVX2 {
		sumsAVX2(a)
	} else {
		sumsScalar(a)
	}
}

func spread(a *spreadArgs) {
	if useAVX2 {
		spreadAVX2(a)
	} else {
		spreadScalar(a)
	}
}

func gather(a *gatherArgs) {
	if useAVX2 {
		gatherAVX2(a)
	} else {
		gatherScalar(a)
	}
}

//go:noescape
func sumsAVX2(a *sumsArgs)

//go:noescape
func spreadAVX2(a *spreadArgs)

//go:noescape
func gatherAVX2(a *gatherArgs)
