package kernel

const nr = 8

// NR is the number of output channels whose weights are stored side by side: as
// many as a vector of AVX2 holds.
func NR() int { return nr }

// Which kernels run: plain Go, or those of a set of vector instructions.
const (
	Scalar = iota
	AVX2
	AVX512
)

// Level is the best of these that the processor has. Tests lower it.
var Level = vectors()

func vectors() int

func GEMM(a *GEMMArgs) {
	switch {
	case Level == AVX512 && a.NGroups > 1:
		gemmAVX512(a)
		if a.NGroups%2 != 0 {
			last := *a
			done := a.NGroups - 1
			last.B = at(a.B, done*a.KRows*a.K*nr)
			last.Bias, last.C, last.NGroups = at(a.Bias, done*nr), at(a.C, done*nr), 1
			gemmAVX2(&last)
		}
	case Level >= AVX2:
		gemmAVX2(a)
	default:
		gemmScalar(a)
	}
}

func WinogradInput(a *WinogradInputArgs) {
	if Level >= AVX2 {
		winogradInputAVX2(a)
	} else {
		winogradInputScalar(a)
	}
}

func WinogradOutput(a *WinogradOutputArgs) {
	if Level >= AVX2 {
		winogradOutputAVX2(a)
	} else {
		winogradOutputScalar(a)
	}
}

//go:noescape
func gemmAVX2(a *GEMMArgs)

// gemmAVX512 leaves the last group out if their number is odd.
//
//go:noescape
func gemmAVX512(a *GEMMArgs)

//go:noescape
func winogradInputAVX2(a *WinogradInputArgs)

//go:noescape
func winogradOutputAVX2(a *WinogradOutputArgs)
