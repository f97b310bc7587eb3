//go:build !amd64

package nhwc

var useAVX2 = false

func forwardFor(tile, vectors int) forwardKernel { return forwardPlain[tile][vectors] }

func weightsFor(tile, vectors int) weightsKernel { return weightsPlain[tile][vectors] }
