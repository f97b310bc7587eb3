package trainer

import (
	"math"

	G "gorgonia.org/gorgonia"
)

// sgd is stochastic gradient descent with momentum and weight decay on every
// parameter, as in PyTorch: g += decay*w, v = momentum*v + g, w -= rate*v.
// Gorgonia's own solver keeps its velocities to itself, so that a run could not
// be continued, and folds the rate into them. It implements gorgonia.Solver.
type sgd struct {
	rate, momentum, decay float64
	velocity              [][]float32 // per parameter
}

func (s *sgd) Step(params []G.ValueGrad) error {
	for i, p := range params {
		grad, err := p.Grad()
		if err != nil {
			return err
		}
		w, g := floats(p.Value()), floats(grad)
		if i == len(s.velocity) {
			s.velocity = append(s.velocity, make([]float32, len(w)))
		}
		v := s.velocity[i]
		rate, momentum, decay := float32(s.rate), float32(s.momentum), float32(s.decay)
		for k := range w {
			v[k] = momentum*v[k] + g[k] + decay*w[k]
			w[k] -= rate * v[k]
		}
	}
	return nil
}

// oneCycle is the learning rate of a step: up from a tenth in a straight line
// over the first fifth of the run, then down to zero along a cosine.
func oneCycle(peak float64, step, steps int) float64 {
	const warm = 0.2
	at := (float64(step) + 0.5) / float64(steps)
	if at < warm {
		return peak * (0.1 + 0.9*at/warm)
	}
	return peak * 0.5 * (1 + math.Cos(math.Pi*(at-warm)/(1-warm)))
}
