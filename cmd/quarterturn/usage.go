package main

import (
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/quarterturn/quarterturn/trainer/dataset"
)

// groupKey annotates a flag with the heading it stands under in a command's help.
const groupKey = "quarterturn_group"

// group adds flags to f under a heading of the command's help. Headings come in the
// order in which they were first given, flags in the order in which they were defined.
func group(f *pflag.FlagSet, heading string, define func(*pflag.FlagSet)) {
	part := pflag.NewFlagSet(heading, pflag.ContinueOnError)
	part.SortFlags = false
	define(part)
	part.VisitAll(func(x *pflag.Flag) {
		if x.Annotations == nil {
			x.Annotations = map[string][]string{}
		}
		x.Annotations[groupKey] = []string{heading}
	})
	f.SortFlags = false
	f.AddFlagSet(part)
}

// oldNames keeps former names of flags working: they are read as the present ones and
// appear in no help.
func oldNames(f *pflag.FlagSet, present map[string]string) {
	f.SetNormalizeFunc(func(_ *pflag.FlagSet, name string) pflag.NormalizedName {
		if now, ok := present[name]; ok {
			name = now
		}
		return pflag.NormalizedName(name)
	})
}

// A checkedValue is a flag's value that refuses what makes no sense as it refuses what cannot be read:
// before the command begins.
type checkedValue struct {
	pflag.Value
	check func(value string) error
}

func (v checkedValue) Set(s string) error {
	if err := v.Value.Set(s); err != nil {
		return err
	}
	return v.check(v.String())
}

// check adds a check of a flag's value.
func check(f *pflag.FlagSet, name string, check func(value string) error) {
	x := f.Lookup(name)
	x.Value = checkedValue{x.Value, check}
}

// atLeast bounds the numbers that flags may have.
func atLeast(f *pflag.FlagSet, least float64, names ...string) {
	for _, name := range names {
		check(f, name, func(value string) error {
			if x, err := strconv.ParseFloat(value, 64); err != nil || !(x >= least) { // which NaN is not
				return fmt.Errorf("must be at least %v", least)
			}
			return nil
		})
	}
}

// above0 refuses 0 and less, and infinity.
func above0(f *pflag.FlagSet, name string) {
	check(f, name, func(value string) error {
		if x, err := strconv.ParseFloat(value, 64); err != nil || !(x > 0 && x <= math.MaxFloat64) {
			return errors.New("must be above 0 and finite")
		}
		return nil
	})
}

// oneOf bounds a flag to some words.
func oneOf(f *pflag.FlagSet, name string, allowed ...string) {
	offer(f, name, allowed...)
	check(f, name, func(value string) error {
		if !slices.Contains(allowed, value) {
			return fmt.Errorf("want %s", strings.Join(allowed, " or "))
		}
		return nil
	})
}

// flagSections writes the flags of a command's help, heading by heading.
func flagSections(c *cobra.Command) string {
	local := c.LocalFlags()
	var headings []string
	sections := map[string]*pflag.FlagSet{}
	local.VisitAll(func(x *pflag.Flag) {
		heading := "Flags"
		if g := x.Annotations[groupKey]; g != nil {
			heading = g[0]
		}
		if sections[heading] == nil {
			headings = append(headings, heading)
			sections[heading] = pflag.NewFlagSet(heading, pflag.ContinueOnError)
			sections[heading].SortFlags = local.SortFlags
		}
		sections[heading].AddFlag(x)
	})
	var b strings.Builder
	for _, h := range headings {
		if text := sections[h].FlagUsagesWrapped(helpWidth()); text != "" {
			b.WriteString("\n\n" + h + ":\n" + strings.TrimRight(text, " \n"))
		}
	}
	return b.String()
}

// dataSets lists the kinds of data sets, one a line.
func dataSets() string {
	return "  " + strings.ReplaceAll(dataset.DataHelp, "), ", ")\n  ")
}

// helpWidth returns the columns that help may take.
func helpWidth() int {
	if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && w >= 60 {
		return min(w, 120)
	}
	return 100
}

// withSections returns cobra's usage text with its list of flags in sections.
func withSections(template string) string {
	cobra.AddTemplateFunc("flagSections", flagSections)
	const from, to = "{{if .HasAvailableLocalFlags}}", "{{if .HasAvailableInheritedFlags}}"
	before, rest, _ := strings.Cut(template, from)
	_, after, found := strings.Cut(rest, to)
	if !found {
		panic("cobra's usage template has changed")
	}
	return before + "{{flagSections .}}" + to + after
}
