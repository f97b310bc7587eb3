package kernel

// NR is the number of output channels whose weights are stored side by side: as many as
// GEMM computes together. In the module with vector operations it has another body.
//
//go:noinline
func NR() int { return 4 }

//go:noescape
func GEMM(a *GEMMArgs)

//go:noescape
func WinogradInput(a *WinogradInputArgs)

//go:noescape
func WinogradOutput(a *WinogradOutputArgs)
