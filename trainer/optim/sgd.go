package optim

import "math"

// A Param is a trained tensor, as a solver sees it.
type Param struct {
	Value, Grad []float32
	Dims        int // the number of dimensions: 1 for biases and normalisation
}

// SGD is stochastic gradient descent as in PyTorch's torch.optim.SGD, with momentum and
// weight decay:
//
//	g += WeightDecay*w
//	v = Momentum*v + g
//	w -= LR*v, or with Nesterov's momentum w -= LR*(g + Momentum*v)
type SGD struct {
	LR          float64
	Momentum    float64
	Nesterov    bool
	WeightDecay float64
	DecayAll    bool    // weight decay is for tensors of one dimension, too
	ClipNorm    float64 // before that, gradients are scaled down to this total norm; 0: never
	Velocity    [][]float32
}

// Step changes the params by their gradients. They must be the same in every call, for
// each has a velocity.
func (s *SGD) Step(params []Param) {
	scale := float32(1)
	if s.ClipNorm > 0 {
		var square float64
		for _, p := range params {
			for _, g := range p.Grad {
				square += float64(g) * float64(g)
			}
		}
		scale = s.Scale(math.Sqrt(square))
	}
	lr, momentum := float32(s.LR), float32(s.Momentum)
	for i, p := range params {
		decay := s.DecayOf(p.Dims)
		if i == len(s.Velocity) {
			s.Velocity = append(s.Velocity, make([]float32, len(p.Value)))
		}
		w, grad, v := p.Value, p.Grad, s.Velocity[i]
		for k := range w {
			v[k] = momentum*v[k] + scale*grad[k] + decay*w[k]
			step := v[k]
			if s.Nesterov {
				step = momentum*v[k] + scale*grad[k] + decay*w[k]
			}
			w[k] -= lr * step
		}
	}
}

// Scale returns what gradients of this total norm are multiplied by.
func (s *SGD) Scale(norm float64) float32 {
	if s.ClipNorm > 0 && norm > s.ClipNorm {
		return float32(s.ClipNorm / norm)
	}
	return 1
}

// DecayOf returns the weight decay of a tensor of so many dimensions.
func (s *SGD) DecayOf(dims int) float32 {
	if !s.DecayAll && dims == 1 {
		return 0
	}
	return float32(s.WeightDecay)
}
