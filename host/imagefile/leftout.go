package imagefile

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/quarterturn/quarterturn/format/plain"
)

// A LeftOut is a file or folder that is not read.
type LeftOut struct {
	Path   string `json:"path"`
	Reason string `json:"reason"`
}

func (x LeftOut) String() string { return plain.Name(x.Path) + ": " + x.Reason }

// LeftOuts are what was left out, for people.
type LeftOuts []LeftOut

// String returns the number, and the first ones of each reason.
func (l LeftOuts) String() string {
	if len(l) == 0 {
		return ""
	}
	return fmt.Sprintf("left out %d: ", len(l)) + strings.Join(l.Lines(false), "; ")
}

// Lines returns a line for each reason, with the first that were left out for it, or if all are wanted a
// line for each path. What somebody will miss comes first: pictures that cannot be read and classes without
// any; what computers leave behind comes last.
func (l LeftOuts) Lines(all bool) (lines []string) {
	byReason := map[string]LeftOuts{}
	var reasons []string
	for _, x := range l {
		if byReason[x.Reason] == nil {
			reasons = append(reasons, x.Reason)
		}
		byReason[x.Reason] = append(byReason[x.Reason], x)
	}
	slices.SortStableFunc(reasons, func(a, b string) int { return rank(a) - rank(b) })
	const mostPaths, mostReasons = 5, 20 // each of many broken pictures may have a reason of its own
	for i, reason := range reasons {
		same := byReason[reason]
		if all {
			for _, x := range same {
				lines = append(lines, x.String())
			}
			continue
		}
		if i == mostReasons {
			rest := 0
			for _, other := range reasons[i:] {
				rest += len(byReason[other])
			}
			return append(lines, fmt.Sprintf("%d more (%d other reasons)", rest, len(reasons)-i))
		}
		var paths []string
		for _, x := range same[:min(mostPaths, len(same))] {
			paths = append(paths, plain.Name(x.Path))
		}
		line := strings.Join(paths, ", ")
		if len(same) > mostPaths {
			line += fmt.Sprintf(" and %d more", len(same)-mostPaths)
		}
		lines = append(lines, line+" ("+reason+")")
	}
	return lines
}

// Reasons that say that something is no picture.
const (
	notAnImage   = "not named as an image"
	notRegular   = "a pipe or a device, not a regular file"
	notInAClass  = "not in the folder of a class"
	hiddenFolder = "a hidden folder"
	leftBehind   = "left behind by " // what Junk says begins so
)

// rank is where a reason stands among others.
func rank(reason string) int {
	switch {
	case strings.HasPrefix(reason, leftBehind), reason == hiddenFolder:
		return 2
	case reason == notAnImage, reason == notRegular, reason == notInAClass:
		return 1
	}
	return 0
}

// Reason says why a file or folder cannot be read, as LeftOut has it: without its path.
func Reason(path string, err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return "cannot be opened: " + p.Err.Error()
	}
	return strings.TrimPrefix(err.Error(), path+": ")
}

// Unread says why a file of this name is not read as an image, or nothing if it is.
func Unread(path string) string {
	switch {
	case Known(path):
		return ""
	case Foreign(path):
		return "images of this kind are not read; " + convert
	}
	return notAnImage
}
