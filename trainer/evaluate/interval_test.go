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

// Of a class of 4 images and one of 400 the first decides how sure a balanced score is.
func TestIntervalOfABalancedScore(t *testing.T) {
	s := Score{Classes: []Tally{{Images: 4, Right: 3}, {Images: 400, Right: 300}}}
	s.N, s.Accuracy, s.Split = 404, .75, "test"
	low, high := s.Interval()
	s.Split = balanced + s.Split
	wideLow, wideHigh := s.Interval()
	wantLow, wantHigh := Wilson(.75, 16)
	if high-low > .09 || wideLow != wantLow || wideHigh != wantHigh {
		t.Errorf("%v to %v, balanced %v to %v", low, high, wideLow, wideHigh)
	}
}
