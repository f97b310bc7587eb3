package guard

import (
	"slices"
	"testing"
)

// What no request can match is refused, and what can is written as requests are.
func TestLists(t *testing.T) {
	hosts := map[string]string{"shop.example": "shop.example", " Shop.Example. ": "shop.example", "*": "*", "localhost": "localhost", "under_score": "under_score",
		"192.0.2.1": "192.0.2.1", "[2001:DB8::1]": "2001:db8::1", "2001:db8:0::1": "2001:db8::1",
		"shop.example:8443": "", "https://shop.example": "", "shop.example/": "", "*.shop.example": "", "": "", "bücher.example": "", "a b": "", "[::1]:80": ""}
	for text, want := range hosts {
		if got, err := ParseHosts([]string{text}); (err != nil) != (want == "") || err == nil && !slices.Equal(got, []string{want}) {
			t.Errorf("the host %q: %q %v, want %q", text, got, err, want)
		}
	}
	origins := map[string]string{"https://shop.example": "https://shop.example", " HTTPS://Shop.example": "https://shop.example", "*": "*", "null": "null",
		"http://localhost:8000": "http://localhost:8000", "https://*.shop.example": "https://*.shop.example", "http://[::1]:8000": "http://[::1]:8000", "chrome-extension://abc": "chrome-extension://abc",
		"shop.example": "", "https://shop.example/": "", "https://shop.example:443": "", "http://shop.example:80": "", "https://*.*.example": "", "": "", "https://": "", "https://a@b": "", "https://bücher.example": ""}
	for text, want := range origins {
		if got, err := ParseOrigins([]string{text}); (err != nil) != (want == "") || err == nil && !slices.Equal(got, []string{want}) {
			t.Errorf("the origin %q: %q %v, want %q", text, got, err, want)
		}
	}
}

func TestTokens(t *testing.T) {
	tokens, err := ParseTokens([]byte("\ufefffirst\r\n\r\n second \n"))
	if err != nil || !tokens.good("first") || !tokens.good("second") || tokens.good("\ufefffirst") || tokens.good("") {
		t.Errorf("%v %v", tokens, err)
	}
	for _, text := range []string{"", "\ufeff\n", "two words", "f\x00i\x00"} {
		if tokens, err := ParseTokens([]byte(text)); err == nil {
			t.Errorf("%q: %v", text, tokens)
		}
	}
}
