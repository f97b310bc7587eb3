package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/quarterturn/quarterturn/format/plain"
	"github.com/quarterturn/quarterturn/host/imagefile"
	"github.com/quarterturn/quarterturn/trainer/dataset"
)

// isNoData returns what is wrong where a file is named in place of a data set.
func isNoData(source dataset.Source) error {
	path := strings.TrimPrefix(source.Data, "folder:")
	info, err := os.Stat(path)
	if err != nil || info.IsDir() || source.Data == dataset.Builtin {
		return nil
	}
	return fmt.Errorf("%s is a file, not a folder of pictures with a folder for each class; an archive must be unpacked first", path)
}

// describeData tells what a data set holds, and what of its folder it does not hold.
func describeData(d *dataset.Dataset) {
	names := d.ClassNames
	const most = 10
	more := ""
	if len(names) > most {
		names, more = names[:most], ", ..."
	}
	note("%s: %d training and %d test images of %d classes: %s%s", d.Name, d.Train.Len(), d.Test.Len(), len(d.ClassNames), strings.Join(plain.Names(names), ", "), more)
	for _, n := range d.Notes {
		note("  %s", n)
	}
	tellLeftOut(note, "  ", d.LeftOut)
}

// tellLeftOut tells what was left out and why: by reason, or with -v one by one.
func tellLeftOut(tell func(format string, args ...any), indent string, left imagefile.LeftOuts) {
	if len(left) == 0 {
		return
	}
	lines, hint := left.Lines(verbose), ""
	if len(lines) < len(left) {
		hint = " (-v lists each)"
	}
	tell("%sleft out %d%s:", indent, len(left), hint)
	for _, line := range lines {
		tell("%s  %s", indent, line)
	}
}
