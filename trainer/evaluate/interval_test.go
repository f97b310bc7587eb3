package evaluate

import (
	"math"
	"testing"
)

// Values of statsmodels.stats.proportion.proportion_confint(method="wilson").
func TestWilson(t *testing.T) {
	for _, c := range []struct {
		right, n  int
		low, high float64
	}{{0, 10, 0, 0.277533}, {10, 10, 0.722467, 1}, {1, 2, 0.094531, 0.905469}, {81, 100, 0.722201, 0.874856}, {893, 1000, 0.872315, 0.910692}} {
		low, high := Wilson(float64(c.right)/float64(c.n), c.n)
		if math.Abs(low-c.low) > 5e-4 || math.Abs(high-c.high) > 5e-4 {
			t.Errorf("%d of %d: %.6f to %.6f, want %v to %v", c.right, c.n, low, high, c.low, c.high)
		}
	}
	if low, high := Wilson(0, 0); low != 0 || high != 1 {
		t.Errorf("of no images: %v to %v", low, high)
	}
}
