// Package plain takes text that others wrote, and makes what they chose, such as the names of files and
// classes, fit for a terminal: nothing in it moves the cursor, sets colours, makes links, begins a line or
// turns the direction of what follows.
package plain

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Text returns text without the mark that some programs of Windows put before UTF-8. UTF-16, which
// PowerShell's > writes, is an error.
func Text(b []byte) ([]byte, error) {
	for _, mark := range []string{"\xff\xfe", "\xfe\xff"} {
		if bytes.HasPrefix(b, []byte(mark)) {
			return nil, errors.New("the text is UTF-16 and is to be UTF-8 (PowerShell writes that with Out-File -Encoding utf8)")
		}
	}
	return bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), nil
}

// Name returns a name as it is, or quoted as Go quotes strings if a terminal would not show it
// as it is: also a blank at its beginning or end, or one that is no plain space, is not seen.
func Name(s string) string {
	unseen := func(r rune) bool { return misleading(r) || r != ' ' && unicode.IsSpace(r) }
	if strings.TrimSpace(s) == s && !strings.ContainsFunc(s, unseen) {
		return s
	}
	return strconv.Quote(s)
}

// Names returns names, each as Name does.
func Names(names []string) []string {
	out := make([]string, len(names))
	for i, s := range names {
		out[i] = Name(s)
	}
	return out
}

// Line returns a line that may hold foreign text, such as an error, with what a terminal would
// not show as it is written as Go writes it in strings, line feeds too.
func Line(s string) string {
	if !strings.ContainsFunc(s, misleading) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if misleading(r) {
			quoted := strconv.Quote(s[i : i+n])
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteString(s[i : i+n])
		}
		i += n
	}
	return b.String()
}

// Lines is Line for each line of a text.
func Lines(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = Line(lines[i])
	}
	return strings.Join(lines, "\n")
}

// misleading tells whether a terminal obeys or hides a rune instead of showing it: controls, format
// controls such as those of the direction, other line breaks, and bytes that are not UTF-8.
func misleading(r rune) bool {
	const nonJoiner, joiner = '\u200c', '\u200d' // which Persian and emoji are spelt with
	if r == nonJoiner || r == joiner {
		return false
	}
	return r == utf8.RuneError || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp)
}
