package trainer

import (
	"fmt"
	"math"
	"strings"

	G "gorgonia.org/gorgonia"
)

// sgd is stochastic gradient descent with momentum and weight decay, on every
// parameter or on the weights of convolutions and heads alone, as in PyTorch: g += decay*w, v = momentum*v + g, w -= rate*v, or
// w -= rate*(g + momentum*v) with Nesterov's momentum. Before that, gradients
// are scaled down to a total norm of at most clip, if clip is not 0.
// Gorgonia's own solver keeps its velocities to itself, so that a run could not
// be continued, and folds the rate into them. It implements gorgonia.Solver.
type sgd struct {
	rate, momentum, decay, clip float64
	nesterov, decayAll          bool
	velocity                    [][]float32 // per parameter
}

func (s *sgd) Step(params []G.ValueGrad) error {
	grads := make([][]float32, len(params))
	var square float64
	for i, p := range params {
		grad, err := p.Grad()
		if err != nil {
			return err
		}
		grads[i] = floats(grad)
		if s.clip > 0 {
			for _, g := range grads[i] {
				square += float64(g) * float64(g)
			}
		}
	}
	scale := float32(1)
	if norm := math.Sqrt(square); s.clip > 0 && norm > s.clip {
		scale = float32(s.clip / norm)
	}
	rate, momentum := float32(s.rate), float32(s.momentum)
	for i, p := range params {
		w, grad := floats(p.Value()), grads[i]
		decay := float32(s.decay)
		if !s.decayAll && p.Value().Shape().Dims() == 1 {
			decay = 0
		}
		if i == len(s.velocity) {
			s.velocity = append(s.velocity, make([]float32, len(w)))
		}
		v := s.velocity[i]
		for k := range w {
			v[k] = momentum*v[k] + scale*grad[k] + decay*w[k]
			step := v[k]
			if s.nesterov {
				step = momentum*v[k] + scale*grad[k] + decay*w[k]
			}
			w[k] -= rate * step
		}
	}
	return nil
}

// schedules give the learning rate as a share of its peak, at a moment of the
// run between 0 and 1.
var schedules = []struct {
	name  string
	share func(at float64) float64
}{
	// Up from a tenth in a straight line over the first fifth of the run, then
	// down to zero along a cosine.
	{"one-cycle", func(at float64) float64 {
		const warm = 0.2
		if at < warm {
			return 0.1 + 0.9*at/warm
		}
		return 0.5 * (1 + math.Cos(math.Pi*(at-warm)/(1-warm)))
	}},
	// Down to zero along a cosine.
	{"cosine", func(at float64) float64 { return 0.5 * (1 + math.Cos(math.Pi*at)) }},
	// A tenth from the half on, a hundredth from three quarters on: the SLA paper's.
	{"step", func(at float64) float64 {
		switch {
		case at < 0.5:
			return 1
		case at < 0.75:
			return 0.1
		}
		return 0.01
	}},
}

func parseSchedule(name string) (share func(at float64) float64, err error) {
	var names []string
	for _, s := range schedules {
		if s.name == name {
			return s.share, nil
		}
		names = append(names, s.name)
	}
	return nil, fmt.Errorf("schedule %q: want %s", name, strings.Join(names, ", "))
}
