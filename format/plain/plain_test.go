package plain

import (
	"strings"
	"testing"
)

func TestPlain(t *testing.T) {
	for _, c := range []struct{ in, name, line string }{
		{"cat", "cat", "cat"},
		{`a "b" \c`, `a "b" \c`, `a "b" \c`},
		{"été 猫 👩\u200d🚀", "été 猫 👩\u200d🚀", "été 猫 👩\u200d🚀"},
		{"a\nFORGED.png: cat", `"a\nFORGED.png: cat"`, `a\nFORGED.png: cat`},
		{"\x1b[31mred", `"\x1b[31mred"`, `\x1b[31mred`},
		{"\x1b]8;;http://x\x07", `"\x1b]8;;http://x\a"`, `\x1b]8;;http://x\a`},
		{"nul\x00del\x7f", `"nul\x00del\x7f"`, `nul\x00del\x7f`},
		{"c1\u009b1m", `"c1\u009b1m"`, `c1\u009b1m`}, // CSI in one rune
		{"c1\x9b1m", `"c1\x9b1m"`, `c1\x9b1m`},       // and in one byte
		{"gpj.\u202egnp", `"gpj.\u202egnp"`, `gpj.\u202egnp`},
		{"\u2066x\u2069\u200f\ufeff", `"\u2066x\u2069\u200f\ufeff"`, `\u2066x\u2069\u200f\ufeff`},
		{"a\u2028b\u2029", `"a\u2028b\u2029"`, `a\u2028b\u2029`},
		{"ant ", `"ant "`, "ant "},
		{" an ant", `" an ant"`, " an ant"},
		{"an\u00a0ant", `"an\u00a0ant"`, "an\u00a0ant"},
		{"\xff é", `"\xff é"`, `\xff é`},
	} {
		if got := Name(c.in); got != c.name {
			t.Errorf("Name(%q) is %s, want %s", c.in, got, c.name)
		}
		if got := Line(c.in); got != c.line {
			t.Errorf("Line(%q) is %s, want %s", c.in, got, c.line)
		}
	}
	if got := Lines("a\x1b\nb\r\n"); got != "a\\x1b\nb\\r\n" {
		t.Errorf("%q", got)
	}
}

func TestDidYouMean(t *testing.T) {
	known := []string{"timeout", "token-file"}
	for name, want := range map[string]string{
		"timeuot": ", did you mean timeout?", "timeou": ", did you mean timeout?", "token-fil": ", did you mean token-file?",
		"port": "", "": "", "tmt": "",
	} {
		if got := DidYouMean(name, known); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// Marks of Windows are no part of a text.
func TestFieldB4Text(t *testing.T) {
	for text, want := range map[string]string{"": "", "cat\n": "cat\n", "\xef\xbb\xbfcat": "cat", "\xef\xbb": "\xef\xbb", "\xff": "\xff"} {
		if b, err := Text([]byte(text)); err != nil || string(b) != want {
			t.Errorf("%q: %q, %v", text, b, err)
		}
	}
	for _, text := range []string{"\xff\xfec\x00", "\xfe\xff\x00c"} {
		if _, err := Text([]byte(text)); err == nil || !strings.Contains(err.Error(), "UTF-16") {
			t.Errorf("%q: %v", text, err)
		}
	}
}
