package trainer

import "github.com/quarterturn/quarterturn/format"

// tolerance is how far below the best a mode's validation accuracy may lie for
// the mode to be recommended for being cheaper: 0.2 points.
const tolerance = 0.002

// recommend chooses the mode that "auto" means: the cheapest within tolerance
// of the best on the validation images, among equals the most accurate.
func recommend(m *format.Manifest, metrics []format.Metric) string {
	var best float64
	for _, x := range metrics {
		best = max(best, x.Accuracy)
	}
	var chosen *format.Metric
	for i := range metrics {
		x := &metrics[i]
		if x.Accuracy < best-tolerance {
			continue
		}
		if chosen == nil || m.Passes(x.Mode) < m.Passes(chosen.Mode) ||
			m.Passes(x.Mode) == m.Passes(chosen.Mode) && x.Accuracy > chosen.Accuracy {
			chosen = x
		}
	}
	return chosen.Mode
}

// servedAccuracy is the validation accuracy of the mode that a slab recommends.
func servedAccuracy(m *format.Model) float64 {
	for _, x := range m.Metrics {
		if x.Mode == m.Recommended {
			return x.Accuracy
		}
	}
	return 0
}
