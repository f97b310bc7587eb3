//go:build !amd64 && !wasm

package kernel

// NR is the number of output channels whose weights are stored side by side.
func NR() int { return 4 }

func GEMM(a *GEMMArgs)                     { gemmScalar(a) }
func WinogradInput(a *WinogradInputArgs)   { winogradInputScalar(a) }
func WinogradOutput(a *WinogradOutputArgs) { winogradOutputScalar(a) }
