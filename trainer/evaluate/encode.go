package evaluate

import (
	"fmt"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/pack"
	"github.com/quarterturn/quarterturn/sla"
)

// EncodeWithSelfTest returns the slab of a model, whose self-test it sets. The error says
// what a slab cannot be.
func EncodeWithSelfTest(m *format.Model) ([]byte, error) {
	m.SelfTest = format.SelfTest{Seed: 1, Digest: make([]byte, 32)}
	if err := m.Validate(); err != nil {
		return nil, err
	}
	c, err := sla.New(m)
	if err != nil {
		return nil, err
	}
	digest, err := c.SelfTestDigest()
	if err != nil {
		return nil, fmt.Errorf("self-test: %w", err)
	}
	m.SelfTest.Digest = digest[:]
	return pack.Encode(m)
}
