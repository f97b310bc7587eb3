package optim

import (
	"math"

	"github.com/quarterturn/quarterturn/trainer/internal/parallel"
)

// A Role is what a Param is in its net.
type Role int

const (
	Other  Role = iota
	Filter      // weights of a convolution
	Bias        // of normalisation or of a layer
	Head        // weights of a classifier
)

// A Param is a trained tensor, as a solver sees it.
type Param struct {
	Value, Grad []float32
	Dims        int // the number of dimensions: 1 for biases and normalisation
	Role        Role
	Outputs     int     // of a Filter, (k, k, in, outputs)
	Rate        float32 // of learning, over that of its role; 0: once
}

// SGD is stochastic gradient descent as in PyTorch's torch.optim.SGD, with momentum and
// weight decay:
//
//	g += WeightDecay*w
//	v = Momentum*v + g
//	w -= LR*v, or with Nesterov's momentum w -= LR*(g + Momentum*v)
//
// Decoupled, weight decay is no part of the gradient: w -= LR*WeightDecay*w comes before
// all this (Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization").
type SGD struct {
	LR          float64
	BiasLR      float64 // that of biases is so many times LR (Jordan 2024: 64); 0: once
	HeadLR      float64 // and that of classifiers
	Momentum    float64
	Nesterov    bool
	WeightDecay float64
	DecayAll    bool // weight decay is for tensors of one dimension, too
	Decoupled   bool
	ClipNorm    float64 // before that, gradients are scaled down to this total norm; 0: never
	Muon        *Muon   // filters go by it; nil: by SGD as all others
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
	for len(s.Velocity) < len(params) {
		s.Velocity = append(s.Velocity, make([]float32, len(params[len(s.Velocity)].Value)))
	}
	parallel.For(len(params), func(_, i int) {
		p, v := &params[i], s.Velocity[i]
		if s.Muon != nil && p.Role == Filter {
			s.Muon.step(p, v, scale, s.LR)
			return
		}
		rate, momentum, decay := float32(s.LR*s.factor(p.Role)), float32(s.Momentum), s.DecayOf(p.Dims)
		if p.Rate != 0 {
			rate *= p.Rate
		}
		keep := float32(1)
		if s.Decoupled {
			keep, decay = 1-float32(s.LR)*decay, 0
		}
		w, grad := p.Value, p.Grad
		for k := range w {
			w[k] *= keep
			v[k] = momentum*v[k] + scale*grad[k] + decay*w[k]
			step := v[k]
			if s.Nesterov {
				step = momentum*v[k] + scale*grad[k] + decay*w[k]
			}
			w[k] -= rate * step
		}
	})
}

// factor is the learning rate of a role over LR.
func (s *SGD) factor(r Role) float64 {
	switch {
	case r == Bias && s.BiasLR != 0:
		return s.BiasLR
	case r == Head && s.HeadLR != 0:
		return s.HeadLR
	}
	return 1
}

// Plain says that torch.optim.SGD does the same, with one learning rate.
func (s *SGD) Plain() bool {
	return s.Muon == nil && !s.Decoupled && s.factor(Bias) == 1 && s.factor(Head) == 1
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
