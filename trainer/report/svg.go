package report

import (
	"bytes"
	"unicode/utf8"

	"gonum.org/v1/plot/vg/vgsvg"
)

// document returns what was drawn as SVG. Names may hold what XML cannot, even escaped: U+FFFD
// stands for it (XML 1.0, production 2).
func document(canvas *vgsvg.Canvas) ([]byte, error) {
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		return nil, err
	}
	return bytes.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == '\ufffe' || r == '\uffff' {
			return utf8.RuneError
		}
		return r // bytes.Map gives U+FFFD for bytes that are not UTF-8
	}, b.Bytes()), nil
}
