package sla

import (
	"slices"
	"testing"

	"github.com/quarterturn/quarterturn/sla/internal/kernel"
)

// Processors without AVX2 run the scalar kernels.
func TestWithoutVectors(t *testing.T) {
	if !kernel.UseAVX2 {
		t.Log("this processor has no AVX2: every test runs without it")
		return
	}
	with := testConvolutions(t)
	kernel.UseAVX2 = false
	defer func() { kernel.UseAVX2 = true }()
	for i, without := range testConvolutions(t) {
		if !slices.Equal(with[i], without) {
			t.Errorf("convolution %d of %d: not the bits of the vector kernels", i, len(with))
		}
	}
	t.Run("PyTorch", TestResNetForwardAgainstPyTorch)
	t.Run("bits", TestBitsAreThoseOfEveryTarget)
}

func BenchmarkLayersScalar(b *testing.B) {
	kernel.UseAVX2 = false
	defer func() { kernel.UseAVX2 = true }()
	BenchmarkLayers(b)
}
