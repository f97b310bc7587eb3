package sla

import (
	"errors"
	"math"
	"strconv"

	"github.com/quarterturn/quarterturn/format"
)

func itoa(v int) string { return strconv.Itoa(v) }

// ErrSelfTest says that a slab computes other logits than where it was made.
var ErrSelfTest = errors.New("the self-test failed: the slab computes other logits here than where it was made")

// A selfTest is one under way.
type selfTest struct {
	width, height int
	row           []byte // of the test image, RGBA
	state         uint32 // of its generator
	y             int    // rows that were made
	modes         []string
	hash          *format.SHA256
}

// SelfTestDigest computes the digest that a slab's self-test expects: SHA-256
// over the little-endian logits of every mode, in the order of Manifest.Modes,
// on the test image of the manifest's seed.
func (c *Classifier) SelfTestDigest() ([32]byte, error) {
	c.testing = nil
	digest, err := c.runSelfTest(math.MaxInt)
	if err != nil {
		return [32]byte{}, err
	}
	return *digest, nil
}

// SelfTest runs the slab's built-in test, on an image of its own. The error is ErrSelfTest
// if the slab computes other logits here than where it was made.
func (c *Classifier) SelfTest() error {
	_, err := c.SelfTestBudget(math.MaxInt)
	return err
}

// SelfTestBudget is SelfTest in pieces, as RunBudget is Run: it returns whether the test
// is done.
func (c *Classifier) SelfTestBudget(work int) (done bool, err error) {
	digest, err := c.runSelfTest(work)
	if digest == nil || err != nil {
		return false, err
	}
	if *digest != [32]byte(c.manifest.SelfTest.Digest) {
		return true, ErrSelfTest
	}
	return true, nil
}

// runSelfTest goes on with the self-test; nil means that it is not done.
func (c *Classifier) runSelfTest(work int) (*[32]byte, error) {
	if c.testing == nil {
		// A little larger than the input, so that resizing and cropping take part.
		in := c.manifest.Input
		t := &selfTest{width: in.Width + in.Width/2 + 5, height: in.Height + 3,
			state: uint32(c.manifest.SelfTest.Seed), modes: c.manifest.Modes(), hash: format.NewSHA256()}
		t.row = make([]byte, 4*t.width)
		if err := c.Begin(t.width, t.height); err != nil {
			return nil, err
		}
		c.testing = t
	}
	t := c.testing
	for ; t.y < t.height; t.y++ {
		if work <= 0 {
			return nil, nil
		}
		for i := range t.row {
			t.state = t.state*1664525 + 1013904223 // docs/format.md
			t.row[i] = byte(t.state >> 24)
		}
		if err := c.Rows(t.row); err != nil {
			return nil, err
		}
		work -= rowWork * t.width
	}
	for len(t.modes) > 0 {
		mode, err := ParseMode(t.modes[0])
		if err != nil {
			return nil, err
		}
		r, err := c.RunBudget(mode, work)
		if r == nil || err != nil {
			return nil, err
		}
		t.hash.Write(AppendBits(nil, r.Logits))
		t.modes = t.modes[1:]
	}
	c.testing = nil
	digest := t.hash.Sum()
	return &digest, nil
}

// AppendBits appends the little-endian IEEE-754 bits of values to b. Digests of
// logits are SHA-256 over these bytes.
func AppendBits(b []byte, values []float32) []byte {
	for _, v := range values {
		u := math.Float32bits(v)
		b = append(b, byte(u), byte(u>>8), byte(u>>16), byte(u>>24))
	}
	return b
}
