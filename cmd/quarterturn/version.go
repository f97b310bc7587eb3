package main

import (
	"runtime/debug"
	"strings"

	"github.com/quarterturn/quarterturn/trainer"
)

// version is the program's: that of trainer.Tool, which every slab and checkpoint names,
// and the commit that it was built from, if the build knows it.
func version() string {
	v := strings.TrimPrefix(trainer.Tool, "quarterturn ")
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	commit, modified := "", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = ", modified"
		}
	}
	if commit == "" {
		return v + " (" + info.GoVersion + ")"
	}
	return v + " (" + commit[:min(12, len(commit))] + modified + ", " + info.GoVersion + ")"
}
