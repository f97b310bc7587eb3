package signature

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"

	"aead.dev/minisign"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func key(t testing.TB, name string) Key {
	t.Helper()
	k, err := ParseKey(string(read(t, name)))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The fixtures are by minisign 0.11: `minisign -S -m message`, with -l for the legacy one.
func TestVerify(t *testing.T) {
	message, signed := read(t, "message"), read(t, "message.minisig")
	good, other := key(t, "key.pub"), key(t, "other.pub")
	for file, want := range map[string]string{"message.minisig": "quarterturn test, trusted comment", "legacy.minisig": "legacy"} {
		if comment, err := Verify(message, read(t, file), other, good); err != nil || comment != want {
			t.Errorf("%s: %q, %v", file, comment, err)
		}
	}
	if again, err := ParseKey(good.String()); err != nil || again.String() != good.String() {
		t.Errorf("the key's line is read as %v, %v", again, err)
	}
	altered := bytes.Replace(signed, []byte("trusted comment: quarterturn"), []byte("trusted comment: Quarterturn"), 1)
	for want, c := range map[string]struct {
		message, signature []byte
		keys               []Key
	}{
		"it comes with no signature":             {message, nil, []Key{good}},
		"the signature is not one of minisign":   {message, []byte("-----BEGIN PGP SIGNATURE-----"), []Key{good}},
		"is of other bytes, or was altered":      {append([]byte("x"), message...), signed, []Key{good}},
		"key C3E7978EE65DDE4A is of other bytes": {message, altered, []Key{good}},
		"which is not among the 1 trusted ones":  {message, signed, []Key{other}},
		"which is not among the 0 trusted ones":  {message, signed, nil},
	} {
		if _, err := Verify(c.message, c.signature, c.keys...); !errors.Is(err, ErrUntrusted) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
}

func TestParseKey(t *testing.T) {
	const secret = "untrusted comment: minisign encrypted secret key\nRWRTY0Iy..."
	for text, want := range map[string]string{secret: "this is a secret key", "": "not a public key", "RWabc": "not a public key", "ssh-ed25519 AAAA": "not a public key"} {
		if _, err := ParseKey(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want %q", text, err, want)
		}
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(read(f, "message.minisig"))
	f.Add(read(f, "legacy.minisig"))
	message, k := read(f, "message"), key(f, "key.pub")
	valid := map[string]bool{}
	for _, name := range []string{"message.minisig", "legacy.minisig"} {
		var s minisign.Signature
		if err := s.UnmarshalText(read(f, name)); err != nil {
			f.Fatal(err)
		}
		valid[string(s.Signature[:])] = true
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Verify(message, b, k); err != nil {
			return
		}
		var s minisign.Signature
		if err := s.UnmarshalText(b); err != nil || !valid[string(s.Signature[:])] {
			t.Errorf("a forged signature was taken: %q", b)
		}
	})
}
