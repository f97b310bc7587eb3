package sla

import (
	"errors"
	"math"

	"github.com/quarterturn/quarterturn/format"
)

// A Mode is a way to come from images to class logits. Its number is part of the
// module's interface (package wasm/abi).
type Mode int

// The modes. Auto is the one that the slab recommends.
const (
	Auto       Mode = iota
	Baseline        // the class head on the image: one pass
	Single          // the joint head's identity labels on the image: one pass
	Aggregated      // the mean over all transformations of the joint head's logits: M passes
	Distilled       // the distilled head on the image: one pass
	Adaptive        // Distilled, then views one by one until an exit of the slab is taken: 1 to M passes
	Matched         // by what a user showed, not by a head: see Match; not for Run
)

// modes is the one table of the modes: names, and the head that each reads first.
var modes = [...]struct{ name, head string }{
	Auto:       {"auto", ""},
	Baseline:   {format.ModeBaseline, format.HeadClass},
	Single:     {format.ModeSingle, format.HeadJoint},
	Aggregated: {format.ModeAggregated, format.HeadJoint},
	Distilled:  {format.ModeDistilled, format.HeadDistilled},
	Adaptive:   {format.ModeAdaptive, format.HeadDistilled},
	Matched:    {"matched", ""},
}

// ModeNames lists the names of the modes that Run takes, in the order of their
// numbers: Auto first.
func ModeNames() []string {
	names := make([]string, Matched)
	for i := range names {
		names[i] = modes[i].name
	}
	return names
}

func (m Mode) String() string {
	if m < 0 || int(m) >= len(modes) {
		return "unknown"
	}
	return modes[m].name
}

// MarshalText writes the mode's name.
func (m Mode) MarshalText() ([]byte, error) {
	if m < 0 || int(m) >= len(modes) {
		return nil, modeError("there is no mode of the number " + itoa(int(m)))
	}
	return []byte(modes[m].name), nil
}

// UnmarshalText reads the name of a mode, Matched among them.
func (m *Mode) UnmarshalText(text []byte) error {
	if string(text) == modes[Matched].name {
		*m = Matched
		return nil
	}
	mode, err := ParseMode(string(text))
	if err == nil {
		*m = mode
	}
	return err
}

// ErrMode says that a mode is unknown, or that a slab does not have it.
var ErrMode = errors.New("mode not available")

type modeError string

func (e modeError) Error() string { return string(e) }
func (modeError) Unwrap() error   { return ErrMode }

// ParseMode returns the mode of a name, one of ModeNames. The error is ErrMode.
func ParseMode(name string) (Mode, error) {
	for i, n := range ModeNames() {
		if n == name {
			return Mode(i), nil
		}
	}
	return 0, modeError("there is no mode \"" + name + "\"; use " + join(ModeNames()))
}

// ResolveMode checks that the heads and exits of a slab allow a mode, and returns
// it, or for Auto the one that the slab recommends. The error is ErrMode.
func ResolveMode(m *format.Manifest, mode Mode) (Mode, error) {
	if mode == Auto {
		return ParseMode(m.Recommended)
	}
	if m.HasMode(mode.String()) {
		return mode, nil
	}
	return 0, modeError("this slab does not have the mode " + mode.String() + "; it has " + join(m.Modes()))
}

// Margin is the difference between the largest logit and the second largest: how
// sure an exit of the mode Adaptive is of its answer.
func Margin(logits []float32) float32 {
	first, second := float32(math.Inf(-1)), float32(math.Inf(-1))
	for _, v := range logits {
		if v > first {
			first, second = v, first
		} else if v > second {
			second = v
		}
	}
	return first - second
}

// TakesExit tells whether the mode Adaptive answers after exit k, counted from 0,
// of these exits, given that exit's logits. The last exit is always taken.
func TakesExit(exits []format.Exit, k int, logits []float32) bool {
	return k == len(exits)-1 || Margin(logits) >= exits[k].Margin
}

// join is strings.Join with commas; package strings would bring the tables of
// package unicode into the module.
func join(names []string) string {
	s := ""
	for i, n := range names {
		if i > 0 {
			s += ", "
		}
		s += n
	}
	return s
}
