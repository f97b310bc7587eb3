package sla

import "errors"

// ErrNotFinite says that a logit is infinite or not a number: there is nothing to rank.
var ErrNotFinite = errors.New("the slab's answer is not finite (infinite or NaN logits), so there is nothing to rank; the slab is broken")

// CheckFinite returns ErrNotFinite unless all logits are finite, which weights that let
// sums overflow do not make.
func CheckFinite(logits []float32) error {
	for _, v := range logits {
		if !isFinite(v) {
			return ErrNotFinite
		}
	}
	return nil
}
