package optim

import (
	"fmt"
	"math"
	"strings"
)

// A Schedule returns the learning rate, as a share of its peak, at a moment of the run
// between 0 and 1.
type Schedule func(at float64) float64

var schedules = []struct {
	name     string
	schedule Schedule
}{
	// Up from a tenth in a straight line over the first fifth of the run (Goyal et al. 2017),
	// then down to zero along a cosine (Loshchilov and Hutter 2017).
	{"warmup-cosine", func(at float64) float64 {
		const warm = 0.2
		if at < warm {
			return 0.1 + 0.9*at/warm
		}
		return 0.5 * (1 + math.Cos(math.Pi*(at-warm)/(1-warm)))
	}},
	// Down to zero along a cosine (Loshchilov and Hutter 2017, without restarts).
	{"cosine", func(at float64) float64 { return 0.5 * (1 + math.Cos(math.Pi*at)) }},
	// Up from 0.2 to 1 in a straight line until 23 % of the run, and down to 0.07 in another
	// (Jordan 2024, "94% on CIFAR-10 in 3.29 Seconds on a Single GPU", airbench94.py).
	{"triangle", func(at float64) float64 {
		const peak = 0.23
		if at < peak {
			return 0.2 + 0.8*at/peak
		}
		return 1 - 0.93*(at-peak)/(1-peak)
	}},
	// Down to zero in a straight line, as airbench94_muon.py has it.
	{"linear", func(at float64) float64 { return 1 - at }},
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

// ParseSchedule returns the schedule of a name. Warmup-cosine was once called one-cycle, and
// may still be.
func ParseSchedule(name string) (Schedule, error) {
	if name == "one-cycle" {
		name = "warmup-cosine"
	}
	for _, s := range schedules {
		if s.name == name {
			return s.schedule, nil
		}
	}
	return nil, fmt.Errorf("schedule %q: want %s", name, strings.Join(ScheduleNames(), ", "))
}

// ScheduleNames returns the names that ParseSchedule takes, but for the former one.
func ScheduleNames() []string {
	var names []string
	for _, s := range schedules {
		names = append(names, s.name)
	}
	return names
}
