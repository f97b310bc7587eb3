package sla

import (
	"math"
	"slices"
)

// A Result is the prediction of a run. Its slices belong to the Classifier and hold
// until the next run.
type Result struct {
	Mode          Mode      // as asked for, Auto resolved
	Passes        int       // passes of the network that the mode took for this image
	Logits        []float32 // (N)
	Probabilities []float32 // (N), the softmax of Logits over the mode's temperature, or the exit's if the mode is Adaptive
	Views         []float32 // (Passes, N): each view's conditional logits w_{i,j}·z_j; nil unless Logits come from the joint head
}

// canonicalNaN is the one NaN that leaves this package: targets differ in the
// sign and payload of the NaNs they compute.
var canonicalNaN = math.Float32frombits(0x7fc00000)

func canonical(v float32) float32 {
	if v != v {
		return canonicalNaN
	}
	return v
}

// Top returns the indices of the k largest logits, or of all if there are fewer: the
// largest first, equal ones by their index, and after all numbers those that are none.
func Top(logits []float32, k int) []int {
	order := make([]int, len(logits))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := logits[a], logits[b]
		switch {
		case x > y || x == x && y != y:
			return -1
		case x < y || x != x && y == y:
			return 1
		}
		return 0
	})
	return order[:max(0, min(k, len(order)))]
}

// softmax writes the probabilities of logits over a temperature into p. Where there is
// no distribution to speak of, because a logit is not a number, the largest is infinite,
// or all are minus infinity, as weights that let sums overflow make them, every
// probability is the canonical NaN.
func softmax(p, logits []float32, temperature float32) {
	top := float32(math.Inf(-1))
	for _, v := range logits {
		if v != v {
			top = v
			break
		}
		top = max(top, v)
	}
	if !isFinite(top) {
		for i := range p {
			p[i] = canonicalNaN
		}
		return
	}
	var sum float64
	for _, v := range logits {
		sum += expNeg((float64(v) - float64(top)) / float64(temperature))
	}
	for i, v := range logits {
		p[i] = float32(expNeg((float64(v)-float64(top))/float64(temperature)) / sum)
	}
}

func isFinite(v float32) bool { return v-v == 0 }

// expNeg is e^x for x <= 0, within one unit in the last place of float64 or so.
// The standard library has assembly on some targets and fuses on others; this is the same
// everywhere: x = k ln 2 + r, a Taylor polynomial in r, and a scaling by 2^k.
func expNeg(x float64) float64 {
	if !(x > -700) {
		return 0
	}
	const ln2Hi, ln2Lo = 6.93147180369123816490e-01, 1.90821492927058770002e-10
	k := int(float64(x*(1/math.Ln2)) - 0.5)
	r := x - float64(float64(k)*ln2Hi)
	r -= float64(float64(k) * ln2Lo)
	sum := 1.0
	for n := 14.0; n >= 1; n-- {
		sum = 1 + float64(float64(r/n)*sum)
	}
	return float64(sum * math.Float64frombits(uint64(1023+k)<<52))
}
