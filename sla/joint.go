package sla

// Joint is the joint label space of N classes and M transformations: label
// (y, j) has index y*M + j, so a joint head has N*M outputs, class-major.
type Joint struct{ Classes, Views int }

// Size is the number of joint labels, N*M.
func (s Joint) Size() int { return s.Classes * s.Views }

// Index is the joint label of class y under transformation j.
func (s Joint) Index(y, j int) int { return y*s.Views + j }

// Split returns the class and the transformation of joint label k.
func (s Joint) Split(k int) (y, j int) { return k / s.Views, k % s.Views }
