// Package rows has what several packages of the trainer compute of a row of a matrix,
// mostly of the logits of an image.
package rows

import "math"

// Softmax writes the softmax of logits/t to p and returns the logarithm of the
// sum of exp(logits/t).
func Softmax[F float32 | float64](p []float64, logits []F, t float64) (logSum float64) {
	top := math.Inf(-1)
	for _, v := range logits {
		top = max(top, float64(v)/t)
	}
	var sum float64
	for i, v := range logits {
		p[i] = math.Exp(float64(v)/t - top)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return top + math.Log(sum)
}

// Argmax returns the index of the largest value, the first of equals.
func Argmax[F float32 | float64](v []F) (k int) {
	for i, x := range v {
		if x > v[k] {
			k = i
		}
	}
	return k
}

// Length returns the Euclidean length of a row, and for a row of zeros a number so small
// that dividing by it leaves zeros.
func Length(row []float32) float64 {
	var square float64
	for _, v := range row {
		square += float64(v) * float64(v)
	}
	return max(1e-12, math.Sqrt(square))
}

// Normalize gives each row of so many numbers the Euclidean length 1. Rows of zeros stay
// what they are.
func Normalize(m []float32, width int) {
	for ; len(m) > 0; m = m[width:] {
		factor := 1 / Length(m[:width])
		for i, v := range m[:width] {
			m[i] = float32(float64(v) * factor)
		}
	}
}

// Widen returns float32s as float64s.
func Widen(v []float32) []float64 {
	w := make([]float64, len(v))
	for i, x := range v {
		w[i] = float64(x)
	}
	return w
}

// Minimum returns where between low and high a function with one minimum has it, by golden
// sections: each turn leaves 0.618 of the interval, whose middle is returned.
func Minimum(f func(x float64) float64, low, high float64, turns int) float64 {
	for range turns {
		a, b := low+0.382*(high-low), low+0.618*(high-low)
		if f(a) < f(b) {
			high = b
		} else {
			low = a
		}
	}
	return (low + high) / 2
}
