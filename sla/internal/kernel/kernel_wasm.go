package kernel

// NR is the number of output channels whose weights are stored side by side.
const NR = 4

//go:noescape
func GEMM(a *GEMMArgs)

//go:noescape
func WinogradInput(a *WinogradInputArgs)

//go:noescape
func WinogradOutput(a *WinogradOutputArgs)
