package main

import (
	"crypto/rand"
	"os"
	"slices"
	"strings"
	"testing"

	"aead.dev/minisign"
)

func TestVerifyKey(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	at := folder(t)
	public, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	slab, err := os.ReadFile(at("tiny.slab"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := public.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"tiny.slab.minisig": minisign.SignWithComments(private, slab, "timestamp:1762000000\tfile:tiny.slab\thashed", "nobody checks this"), // as minisign itself does
		"elsewhere":         minisign.Sign(private, slab), "shop.pub": text,
	} {
		if err := os.WriteFile(at(name), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"--key", at("shop.pub")}, {"--key", public.String(), "--key", other.String()}, {"--key", public.String(), "--signature", at("elsewhere")},
	} {
		stdout, stderr, code := runCommand(t, append([]string{"verify", at("tiny.slab")}, args...)...)
		if code != 0 || !strings.Contains(stdout, "is signed by a trusted key") || !strings.Contains(stdout, "is whole") {
			t.Errorf("%v: exit code %d, %q, %q", args, code, stdout, stderr)
		}
		if signature := slices.Contains(args, "--signature"); !signature && !strings.Contains(stdout, "trusted key: timestamp:1762000000 file:tiny.slab hashed\n") {
			t.Errorf("%v: the trusted comment in %q", args, stdout)
		}
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{at("tiny.slab"), "--key", other.String()}, 1, "not among the 1 trusted ones"},
		{[]string{at("plain.slab"), "--key", public.String()}, 1, "plain.slab.minisig: no such file"},
		{[]string{at("plain.slab"), "--key", public.String(), "--signature", at("elsewhere")}, 1, "of other bytes"},
		{[]string{at("tiny.slab"), "--key", at("letter.txt")}, 1, "not a public key of minisign"},
		{[]string{at("tiny.slab"), "--signature", at("elsewhere")}, 2, "needs the --key"},
	} {
		stdout, stderr, code := runCommand(t, append([]string{"verify"}, c.args...)...)
		if code != c.code || stdout != "" || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: exit code %d, %q, %q", c.args, code, stdout, stderr)
		}
	}
}
