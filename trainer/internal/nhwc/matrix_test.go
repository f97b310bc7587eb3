package nhwc

import (
	"math/rand/v2"
	"testing"
)

func TestMatMulAgainstFloat64(t *testing.T) {
	engines(t, func(t *testing.T) {
		for _, s := range [][3]int{{7, 5, 8}, {30, 17, 48}, {9, 64, 32}} {
			rows, m, n := s[0], s[1], s[2]
			rng := rand.New(rand.NewPCG(1, 1))
			a, b, c := normal(rng, rows*m), normal(rng, m*n), normal(rng, rows*n)
			y, z := make([]float32, rows*n), make([]float32, m*n)
			wantY, wantZ := make([]float64, rows*n), make([]float64, m*n)
			for r := range rows {
				for i := range m {
					for k := range n {
						wantY[r*n+k] += float64(a[r*m+i]) * float64(b[i*n+k])
						wantZ[i*n+k] += float64(a[r*m+i]) * float64(c[r*n+k])
					}
				}
			}
			MatMul(y, a, b, rows, m, n)
			check(t, "a b", y, wantY)
			MatMulTransposed(z, a, c, rows, m, n)
			check(t, "aᵀ c", z, wantZ)
		}
	})
}
