//go:build !wasm

// Reading transformation lists is for whoever trains; leaving it and package
// strings out keeps the module small.

package sla

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/quarterturn/quarterturn/format"
)

// factors are the named transformation sets. A product such as
// rotation2xcolor3 lists every pair, its first factor varying slowest.
var factors = []struct {
	name  string
	turns []int    // counter-clockwise quarter turns, or
	perms []string // channel permutations: abc means output 0 is input a, ...
}{
	{name: "none", turns: []int{0}},
	{name: "rotation", turns: []int{0, 1, 2, 3}},
	{name: "rotation2", turns: []int{0, 2}},
	{name: "color", perms: []string{"012", "021", "102", "120", "201", "210"}},
	{name: "color3", perms: []string{"012", "120", "201"}},
}

// FactorNames are the names ParseTransforms knows.
func FactorNames() []string {
	names := make([]string, len(factors))
	for i, f := range factors {
		names[i] = f.name
	}
	return names
}

// ParseTransforms reads a transformation list for images of that many channels:
// factors joined by x, the first slowest, each a name of FactorNames with an
// optional subset in brackets. "rotation", "rotation2xcolor3" and
// "rotation[0,1]xcolor[0,3,5]" are lists of 4, 6 and 6.
func ParseTransforms(spec string, channels int) ([]format.Transform, error) {
	list := []format.Transform{{Channels: identity(channels)}}
	for _, part := range strings.Split(spec, "x") { // no factor's name holds an x
		factor, err := parseFactor(part, channels)
		if err != nil {
			return nil, errors.New("transformation " + strconv.Quote(spec) + ": " + err.Error())
		}
		if len(list)*len(factor) > format.MaxViews {
			return nil, errors.New("transformation " + strconv.Quote(spec) + " lists more than " + strconv.Itoa(format.MaxViews) + " views")
		}
		product := make([]format.Transform, 0, len(list)*len(factor))
		for _, a := range list {
			for _, b := range factor {
				product = append(product, compose(a, b))
			}
		}
		list = product
	}
	for i := range list {
		if (i == 0) != isIdentity(list[i]) {
			return nil, errors.New("transformation " + strconv.Quote(spec) + ": the identity must come first and only once")
		}
		for j := range i {
			if list[j].Turns == list[i].Turns && slices.Equal(list[j].Channels, list[i].Channels) {
				return nil, errors.New("transformation " + strconv.Quote(spec) + ": entries " + strconv.Itoa(j) + " and " + strconv.Itoa(i) + " are the same")
			}
		}
	}
	return list, nil
}

func parseFactor(part string, channels int) ([]format.Transform, error) {
	name, subset, bracketed := strings.Cut(part, "[")
	for _, f := range factors {
		if f.name != name {
			continue
		}
		var list []format.Transform
		for _, turns := range f.turns {
			list = append(list, format.Transform{Turns: turns, Channels: identity(channels)})
		}
		for _, perm := range f.perms {
			if channels != 3 {
				return nil, errors.New(name + " permutes colour channels, but the images are grey: use rotation")
			}
			list = append(list, format.Transform{Channels: []int{int(perm[0] - '0'), int(perm[1] - '0'), int(perm[2] - '0')}})
		}
		if !bracketed {
			return list, nil
		}
		body, closed := strings.CutSuffix(subset, "]")
		if !closed {
			return nil, errors.New(part + " lacks its closing bracket")
		}
		var chosen []format.Transform
		for _, s := range strings.Split(body, ",") {
			i, err := strconv.Atoi(s)
			if err != nil || i < 0 || i >= len(list) {
				return nil, errors.New(strconv.Quote(s) + " is not an index of " + name + ", 0 to " + strconv.Itoa(len(list)-1))
			}
			chosen = append(chosen, list[i])
		}
		return chosen, nil
	}
	return nil, errors.New(strconv.Quote(name) + " is unknown; use " + strings.Join(FactorNames(), ", ") + " or a product such as rotation2xcolor3")
}

// compose applies a, then b: turns add up, and the two kinds commute.
func compose(a, b format.Transform) format.Transform {
	c := format.Transform{Turns: (a.Turns + b.Turns) % 4, Channels: make([]int, len(a.Channels))}
	for i, from := range b.Channels {
		c.Channels[i] = a.Channels[from]
	}
	return c
}

func identity(channels int) []int {
	p := make([]int, channels)
	for i := range p {
		p[i] = i
	}
	return p
}

func isIdentity(t format.Transform) bool {
	return t.Turns == 0 && slices.Equal(t.Channels, identity(len(t.Channels)))
}
