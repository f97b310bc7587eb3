package host

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"

	"aead.dev/minisign"

	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/format/signature"
	"github.com/quarterturn/quarterturn/sla/slatest"
)

// Only a slab that a trusted key signed opens; the signature is of the whole file.
func TestTrustedKeys(t *testing.T) {
	public, private, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, _, err := minisign.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	slab := slatest.Slab(t, formattest.Tiny(3))
	signed := minisign.Sign(private, slab)
	open := func(slab []byte, opts ...Option) error {
		c, err := Open(t.Context(), slab, append(opts, WithEngine(Native))...)
		if err == nil {
			err = c.Close(context.Background())
		}
		return err
	}
	if err := open(slab, WithTrustedKeys(other.String(), public.String()), WithSignature(signed)); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"no signature": open(slab, WithTrustedKeys(public.String())),
		"another key":  open(slab, WithTrustedKeys(other.String()), WithSignature(signed)),
		"another slab": open(slatest.Slab(t, formattest.Tiny(1)), WithTrustedKeys(public.String()), WithSignature(signed)),
	} {
		if !errors.Is(err, signature.ErrUntrusted) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, opt := range []Option{WithTrustedKeys(), WithTrustedKeys("RW")} {
		if err := open(slab, opt, WithSignature(signed)); !errors.Is(err, ErrOption) {
			t.Errorf("a key that is none: %v", err)
		}
	}
}
