package kernel

// NR is the number of output channels whose weights are stored side by side: as
// many as a vector holds.
const NR = 8

// UseAVX2 says whether the vector kernels run. Tests switch it off.
var UseAVX2 = hasAVX2()

func hasAVX2() bool

func GEMM(a *GEMMArgs) {
	if UseAVX2 {
		gemmAVX2(a)
	} else {
		gemmScalar(a)
	}
}

func WinogradInput(a *WinogradInputArgs) {
	if UseAVX2 {
		winogradInputAVX2(a)
	} else {
		winogradInputScalar(a)
	}
}

func WinogradOutput(a *WinogradOutputArgs) {
	if UseAVX2 {
		winogradOutputAVX2(a)
	} else {
		winogradOutputScalar(a)
	}
}

//go:noescape
func gemmAVX2(a *GEMMArgs)

//go:noescape
func winogradInputAVX2(a *WinogradInputArgs)

//go:noescape
func winogradOutputAVX2(a *WinogradOutputArgs)
