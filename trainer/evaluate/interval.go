package evaluate

import "math"

// Wilson returns the 95 % confidence interval of an accuracy that n images tell, as shares
// of 1 (Wilson 1927). It is meaningful for few images too, and where all are right.
func Wilson(accuracy float64, n int) (low, high float64) {
	if n == 0 {
		return 0, 1
	}
	const z = 1.959964
	count := float64(n)
	middle := (accuracy + z*z/(2*count)) / (1 + z*z/count)
	half := z / (1 + z*z/count) * math.Sqrt(accuracy*(1-accuracy)/count+z*z/(4*count*count))
	return max(0, middle-half), min(1, middle+half)
}

// Interval returns the 95 % confidence interval of the accuracy. Where every class counts
// alike, a class of few images makes it wide: it is that of as many images as would have
// the same variance, K² / Σ 1/n of K classes.
func (s *Score) Interval() (low, high float64) {
	if !s.Balanced() {
		return Wilson(s.Accuracy, s.N)
	}
	var classes, inverse float64
	for _, t := range s.Classes {
		if t.Images > 0 {
			classes++
			inverse += 1 / float64(t.Images)
		}
	}
	return Wilson(s.Accuracy, int(classes*classes/inverse+0.5))
}
