package nhwc

import "golang.org/x/sys/cpu"

// useAVX2 tells whether the generated kernels can run; tests switch it off.
var useAVX2 = cpu.X86.HasAVX2 && cpu.X86.HasFMA

func forwardFor(tile, vectors int) forwardKernel {
	if useAVX2 {
		return forwardAVX2[tile][vectors]
	}
	return forwardPlain[tile][vectors]
}

func weightsFor(tile, vectors int) weightsKernel {
	if useAVX2 {
		return weightsAVX2[tile][vectors]
	}
	return weightsPlain[tile][vectors]
}
