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
