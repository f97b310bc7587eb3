package sla

import (
	"slices"
	"testing"
)

// Processors without AVX2 run the scalar kernels.
func TestWithoutVectors(t *testing.T) {
	if !useAVX2 {
		t.Log("this processor has no AVX2: every test runs without it")
		return
	}
	with := testConvolutions(t)
	useAVX2 = false
	defer func() { useAVX2 = true }()
	for i, without := range testConvolutions(t) {
		if !slices.Equal(with[i], without) {
			t.Errorf("convolution %d of %d: not the bits of the vector kernels", i, len(with))
		}
	}
	t.Run("PyTorch", TestResNetForwardAgainstPyTorch)
	t.Run("bits", TestBitsAreThoseOfEveryTarget)
}

func BenchmarkLayersScalar(b *testing.B) {
	useAVX2 = false
	defer func() { useAVX2 = true }()
	BenchmarkLayers(b)
}
