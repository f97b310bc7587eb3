package main

import (
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
)

// 1,800 of 2,000 right: Wilson's interval is 88.6 to 91.2 % (R: binom.confint(1800, 2000, methods = "wilson")).
func TestDemoBesideTheBaseline(t *testing.T) {
	score := func(accuracy float64) evaluate.Score {
		return evaluate.Score{Metric: format.Metric{Accuracy: accuracy, N: 2000}}
	}
	for want, accuracy := range map[string]float64{"level with": 0.912, "above": 0.914, "below": 0.885} {
		got := beside(score(0.9), score(accuracy))
		if !strings.Contains(got, want+" the baseline") || !strings.Contains(got, "88.6 to 91.2 %") {
			t.Errorf("%v: %s", accuracy, got)
		}
	}
}
