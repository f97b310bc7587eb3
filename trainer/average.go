package trainer

// An average is a running average of the weights, and of the statistics of
// normalisation that go with them (Polyak and Juditsky 1992; as an exponential
// one, Tarvainen and Valpola 2017). Early on it forgets faster, so that the
// initial weights do not linger.
type average struct {
	decay  float64
	steps  int
	values [][]float32 // as graph.state
}

func newAverage(decay float64, state [][]float32) *average {
	a := &average{decay: decay}
	for _, v := range state {
		a.values = append(a.values, append([]float32(nil), v...))
	}
	return a
}

// add takes the state after a step.
func (a *average) add(state [][]float32) {
	a.steps++
	keep := float32(min(a.decay, (1+float64(a.steps))/(10+float64(a.steps))))
	for i, v := range state {
		mean := a.values[i]
		for k, x := range v {
			mean[k] = keep*mean[k] + (1-keep)*x
		}
	}
}

// with calls f while the state holds the averages.
func (a *average) with(state [][]float32, f func()) {
	swap := func() {
		for i, v := range state {
			for k := range v {
				v[k], a.values[i][k] = a.values[i][k], v[k]
			}
		}
	}
	swap()
	defer swap()
	f()
}
