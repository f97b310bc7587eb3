package trainer

import (
	"math"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// fixedGrad is a parameter whose gradient a test sets.
type fixedGrad struct{ w, g *tensor.Dense }

func (f fixedGrad) Value() G.Value         { return f.w }
func (f fixedGrad) Grad() (G.Value, error) { return f.g, nil }

// Steps on two parameters against the formulas of torch.optim.SGD and
// torch.nn.utils.clip_grad_norm_, in float64.
func TestSGD(t *testing.T) {
	for _, s := range []sgd{
		{rate: 0.1, momentum: 0.9, decay: 0.01, decayAll: true},
		{rate: 0.1, momentum: 0.9, decay: 0.01}, // of weights, not of vectors
		{rate: 0.1, momentum: 0.9, decay: 0.01, decayAll: true, nesterov: true},
		{rate: 0.1, momentum: 0.9, clip: 0.5},
		{rate: 0.1, momentum: 0.5, decay: 0.1, decayAll: true, clip: 100, nesterov: true},
	} {
		w := []float32{1, -2, 0.5}
		params := []fixedGrad{
			{tensor.New(tensor.WithShape(1, 2), tensor.WithBacking(w[:2:2])), tensor.New(tensor.WithShape(1, 2), tensor.Of(tensor.Float32))},
			{tensor.New(tensor.WithShape(1), tensor.WithBacking(w[2:])), tensor.New(tensor.WithShape(1), tensor.Of(tensor.Float32))},
		}
		want, v := []float64{1, -2, 0.5}, make([]float64, 3)
		for step := range 3 {
			g := []float64{0.3 * float64(step+1), -0.4, 1.2}
			copy(floats(params[0].g), []float32{float32(g[0]), float32(g[1])})
			copy(floats(params[1].g), []float32{float32(g[2])})
			if err := s.Step([]G.ValueGrad{params[0], params[1]}); err != nil {
				t.Fatal(err)
			}
			if norm := math.Sqrt(g[0]*g[0] + g[1]*g[1] + g[2]*g[2]); s.clip > 0 && norm > s.clip {
				for i := range g {
					g[i] *= s.clip / norm
				}
			}
			for i := range want {
				d := g[i]
				if s.decayAll || i < 2 {
					d += s.decay * want[i]
				}
				v[i] = s.momentum*v[i] + d
				if s.nesterov {
					d += s.momentum * v[i]
				} else {
					d = v[i]
				}
				want[i] -= s.rate * d
			}
		}
		for i := range want {
			if math.Abs(float64(w[i])-want[i]) > 1e-6 {
				t.Errorf("%+v: weight %d is %v, want %v", s, i, w[i], want[i])
			}
		}
	}
}

func TestSchedules(t *testing.T) {
	for name, want := range map[string][5]float64{ // at 0, 1/10, 3/5, 7/10 and 1
		"one-cycle": {0.1, 0.55, 0.5, 0.5 * (1 + math.Cos(math.Pi*0.625)), 0},
		"cosine":    {1, 0.5 * (1 + math.Cos(math.Pi*0.1)), 0.5 * (1 + math.Cos(math.Pi*0.6)), 0.5 * (1 + math.Cos(math.Pi*0.7)), 0},
		"step":      {1, 1, 0.1, 0.1, 0.01},
	} {
		share, err := parseSchedule(name)
		if err != nil {
			t.Fatal(err)
		}
		for i, at := range []float64{0, 0.1, 0.6, 0.7, 1} {
			if got := share(at); math.Abs(got-want[i]) > 1e-12 {
				t.Errorf("%s at %v is %v, want %v", name, at, got, want[i])
			}
		}
	}
}
