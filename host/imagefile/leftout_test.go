package imagefile

import (
	"fmt"
	"strings"
	"testing"
)

// What was left out is said in one line, however much it is.
func TestFieldB12LeftOutsAreSummedUp(t *testing.T) {
	var l LeftOuts
	for range 1000 {
		l = append(l, LeftOut{"a/notes.txt", "not named as an image"})
	}
	l = append(l, LeftOut{"b\x1b[31m", "a link to nothing"})
	s := l.String()
	for _, want := range []string{"left out 1001: ", "a/notes.txt, ", "and 995 more", `"b\x1b[31m" (a link to nothing)`} {
		if !strings.Contains(s, want) {
			t.Errorf("%q does not say %q", s, want)
		}
	}
	if len(s) > 300 || LeftOuts(nil).String() != "" {
		t.Errorf("%q", s)
	}
}

// Every kind is named, and what somebody will miss before what is no picture and what computers leave
// behind; there may be as many reasons as pictures.
func TestFieldLeftOutsByReason(t *testing.T) {
	root := tree(t, "@eaDir/x", ".DS_Store", ".hidden/x", "Thumbs.db", "a.bmp", "b.HEIC", "gone.png -> nowhere", "notes.txt", "|pipe", "z.png")
	found, err := List(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	left := append(found.LeftOut, LeftOut{root + "/z.png", Reason(root+"/z.png", fmt.Errorf("%s/z.png: %w", root, broken("PNG", "cut off")))})
	at := func(names ...string) string { return root + "/" + strings.Join(names, ", "+root+"/") }
	want := []string{
		at("a.bmp", "b.HEIC") + " (images of this kind are not read; " + convert + ")", at("gone.png") + " (a link to nothing)",
		at("z.png") + " (the PNG image is broken: cut off)", at("notes.txt") + " (not named as an image)", at("pipe") + " (a pipe or a device, not a regular file)",
		at(".DS_Store") + " (left behind by macOS)", at(".hidden") + " (a hidden folder)", at("@eaDir") + " (left behind by a NAS)", at("Thumbs.db") + " (left behind by Windows)",
	}
	if got := left.Lines(false); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("have\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if all := left.Lines(true); len(all) != len(left) || all[1] != root+"/b.HEIC: images of this kind are not read; "+convert {
		t.Errorf("%q", all)
	}
	for i := range 1000 {
		left = append(left, LeftOut{"many.png", fmt.Sprint("broken at byte ", i)})
	}
	if lines := left.Lines(false); len(lines) != 21 || lines[20] != "989 more (989 other reasons)" {
		t.Errorf("%q", lines)
	}
}
