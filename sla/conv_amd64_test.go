package sla

import "testing"

// Processors without AVX2 run the scalar kernels.
func TestWithoutVectors(t *testing.T) {
	if !useAVX2 {
		t.Log("this processor has no AVX2: every test runs without it")
		return
	}
	useAVX2 = false
	defer func() { useAVX2 = true }()
	t.Run("kernels", TestConvolutionKernels)
	t.Run("PyTorch", TestResNetForwardAgainstPyTorch)
	t.Run("bits", TestBitsAreThoseOfEveryTarget)
}

func BenchmarkResNet8Scalar(b *testing.B) {
	useAVX2 = false
	defer func() { useAVX2 = true }()
	BenchmarkResNet8(b)
}
