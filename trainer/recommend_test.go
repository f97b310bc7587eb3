package trainer

import (
	"math"
	"testing"

	"github.com/quarterturn/quarterturn/format"
)

// The epoch that is kept is the last of those whose served mode is within one standard error
// of the best on the validation images, and the slab says which it was.
func TestBestEpochIsKept(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	for _, serve := range []string{auto, "aggregated"} {
		config := smallConfig()
		config.Epochs, config.ServedMode, config.EMADecay = 6, serve, 0.9
		highest, kept, epoch, mode := 0.0, 0.0, 0, ""
		model, slab, err := Train(t.Context(), small(t), config, func(e Event) {
			if e.Validation == nil {
				return
			}
			m := &format.Manifest{Transforms: make([]format.Transform, 4)}
			name := serve
			if serve == auto {
				name = recommend(m, e.Validation)
			}
			for _, x := range e.Validation {
				if x.Mode != name {
					continue
				}
				highest = max(highest, x.Accuracy)
				if x.Accuracy >= highest-math.Sqrt(highest*(1-highest)/float64(x.N)) {
					kept, epoch, mode = x.Accuracy, e.Epoch, name
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if model.Recommended != mode || servedAccuracy(model) != kept || model.Provenance.Epochs != epoch || model.Provenance.Steps != epoch*11 {
			t.Errorf("%s: kept epoch %d with %v %v, want epoch %d with %v %v", serve, model.Provenance.Epochs, model.Recommended, servedAccuracy(model), epoch, mode, kept)
		}
		if decoded, err := format.Decode(slab); err != nil || decoded.Provenance.Epochs != epoch {
			t.Errorf("%s: the slab is of epoch %+v (%v)", serve, decoded.Provenance, err)
		}
	}
}
