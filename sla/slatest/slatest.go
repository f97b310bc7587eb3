// Package slatest makes whole slabs for the tests of other packages.
package slatest

import (
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/pack"
	"github.com/quarterturn/quarterturn/sla"
)

// Slab encodes a model with the self-test digest that it really has.
func Slab(t testing.TB, m *format.Model) []byte {
	t.Helper()
	c, err := sla.New(m)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := c.SelfTestDigest()
	if err != nil {
		t.Fatal(err)
	}
	m.SelfTest.Digest = digest[:]
	slab, err := pack.Encode(m)
	if err != nil {
		t.Fatal(err)
	}
	return slab
}
