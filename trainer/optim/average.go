package optim

// An Average is a running average of the weights, and of the statistics of
// normalisation that go with them (Polyak and Juditsky 1992; as an exponential
// one, Tarvainen and Valpola 2017). Early on it forgets faster, so that the
// initial weights do not linger.
type Average struct {
	Steps  int         // so far
	Values [][]float32 // in the order of the state
	decay  float64
}

// NewAverage returns the average of a state with so much of it kept at each step, such as
// 0.999.
func NewAverage(decay float64, state [][]float32) *Average {
	a := &Average{decay: decay}
	for _, v := range state {
		a.Values = append(a.Values, append([]float32(nil), v...))
	}
	return a
}

// Add takes the state after a step.
func (a *Average) Add(state [][]float32) {
	a.Steps++
	keep := float32(min(a.decay, (1+float64(a.Steps))/(10+float64(a.Steps))))
	for i, v := range state {
		mean := a.Values[i]
		for k, x := range v {
			mean[k] = keep*mean[k] + (1-keep)*x
		}
	}
}

// With calls f while the state holds the averages.
func (a *Average) With(state [][]float32, f func()) {
	swap := func() {
		for i, v := range state {
			for k := range v {
				v[k], a.Values[i][k] = a.Values[i][k], v[k]
			}
		}
	}
	swap()
	defer swap()
	f()
}
