package optim

import (
	"math"
	"testing"
)

// Steps on two parameters against the formulas of torch.optim.SGD and
// torch.nn.utils.ClipNorm_grad_norm_, in float64.
func TestSGD(t *testing.T) {
	for _, s := range []SGD{
		{LR: 0.1, Momentum: 0.9, WeightDecay: 0.01, DecayAll: true},
		{LR: 0.1, Momentum: 0.9, WeightDecay: 0.01}, // of weights, not of vectors
		{LR: 0.1, Momentum: 0.9, WeightDecay: 0.01, DecayAll: true, Nesterov: true},
		{LR: 0.1, Momentum: 0.9, ClipNorm: 0.5},
		{LR: 0.1, Momentum: 0.5, WeightDecay: 0.1, DecayAll: true, ClipNorm: 100, Nesterov: true},
	} {
		w := []float32{1, -2, 0.5}
		params := []Param{{Value: w[:2:2], Grad: make([]float32, 2), Dims: 2}, {Value: w[2:], Grad: make([]float32, 1), Dims: 1}}
		want, v := []float64{1, -2, 0.5}, make([]float64, 3)
		for step := range 3 {
			g := []float64{0.3 * float64(step+1), -0.4, 1.2}
			copy(params[0].Grad, []float32{float32(g[0]), float32(g[1])})
			copy(params[1].Grad, []float32{float32(g[2])})
			s.Step(params)
			if norm := math.Sqrt(g[0]*g[0] + g[1]*g[1] + g[2]*g[2]); s.ClipNorm > 0 && norm > s.ClipNorm {
				for i := range g {
					g[i] *= s.ClipNorm / norm
				}
			}
			for i := range want {
				d := g[i]
				if s.DecayAll || i < 2 {
					d += s.WeightDecay * want[i]
				}
				v[i] = s.Momentum*v[i] + d
				if s.Nesterov {
					d += s.Momentum * v[i]
				} else {
					d = v[i]
				}
				want[i] -= s.LR * d
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
		"warmup-cosine": {0.1, 0.55, 0.5, 0.5 * (1 + math.Cos(math.Pi*0.625)), 0},
		"one-cycle":     {0.1, 0.55, 0.5, 0.5 * (1 + math.Cos(math.Pi*0.625)), 0},
		"cosine":        {1, 0.5 * (1 + math.Cos(math.Pi*0.1)), 0.5 * (1 + math.Cos(math.Pi*0.6)), 0.5 * (1 + math.Cos(math.Pi*0.7)), 0},
		"step":          {1, 1, 0.1, 0.1, 0.01},
	} {
		share, err := ParseSchedule(name)
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

// The schedules with straight lines, at points of numpy.interp(at, [0, 0.23, 1], [0.2, 1,
// 0.07]), which is airbench94.py's, and of 1 - at.
func TestStraightSchedules(t *testing.T) {
	for name, points := range map[string][][2]float64{
		"triangle": {{0, 0.2}, {0.1, 0.5478260869565217}, {0.23, 1}, {0.5, 0.6738961038961039}, {1, 0.07}},
		"linear":   {{0, 1}, {0.25, 0.75}, {1, 0}},
	} {
		share, err := ParseSchedule(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range points {
			if got := share(p[0]); math.Abs(got-p[1]) > 1e-12 {
				t.Errorf("%s at %v is %v, want %v", name, p[0], got, p[1])
			}
		}
	}
}
