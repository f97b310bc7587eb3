package sla

import "math"

// canonicalNaN is the one NaN that leaves this package: targets differ in the
// sign and payload of the NaNs they compute.
var canonicalNaN = math.Float32frombits(0x7fc00000)

func canonical(v float32) float32 {
	if v != v {
		return canonicalNaN
	}
	return v
}

// expNeg is e^x for x <= 0, within one unit in the last place of float64 or so.
// The standard library has assembly on some targets and fuses on others; this is the same
// everywhere: x = k ln 2 + r, a Taylor polynomial in r, and a scaling by 2^k.
func expNeg(x float64) float64 {
	if !(x > -700) {
		return 0 // NaN too: the caller has seen to it
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

// softmax writes the probabilities of logits over a temperature into p.
func softmax(p, logits []float32, temperature float32) {
	top := float32(math.Inf(-1))
	for _, v := range logits {
		if v != v || v > math.MaxFloat32 {
			// Weights so large that sums overflow: no distribution to speak of.
			for i := range p {
				p[i] = canonicalNaN
			}
			return
		}
		top = max(top, v)
	}
	var sum float64
	for _, v := range logits {
		sum += expNeg((float64(v) - float64(top)) / float64(temperature))
	}
	for i, v := range logits {
		p[i] = float32(expNeg((float64(v)-float64(top))/float64(temperature)) / sum)
	}
}
