package sla

import (
	"slices"
	"testing"

	"github.com/quarterturn/quarterturn/sla/internal/kernel"
)

// Processors without AVX-512 run kernels of AVX2, and those without that the scalar ones.
func TestLesserVectors(t *testing.T) {
	best := kernel.Level
	defer func() { kernel.Level = best }()
	t.Logf("this processor's level is %d: every other test runs on it", best)
	with := testConvolutions(t)
	for kernel.Level = range best {
		for i, without := range testConvolutions(t) {
			if !slices.Equal(with[i], without) {
				t.Errorf("convolution %d of %d: level %d has not the bits of level %d", i, len(with), kernel.Level, best)
			}
		}
		t.Run("PyTorch", TestResNetForwardAgainstPyTorch)
		t.Run("bits", TestBitsAreThoseOfEveryTarget)
	}
}

func benchmarkLevel(b *testing.B, level int) {
	best := kernel.Level
	defer func() { kernel.Level = best }()
	if kernel.Level = level; level > best {
		b.Skip("this processor does not have it")
	}
	BenchmarkLayers(b)
}

func BenchmarkLayersScalar(b *testing.B) { benchmarkLevel(b, kernel.Scalar) }
func BenchmarkLayersAVX2(b *testing.B)   { benchmarkLevel(b, kernel.AVX2) }
