package sla

import (
	"errors"
	"math"
	"strconv"

	"github.com/quarterturn/quarterturn/format"
)

func itoa(v int) string { return strconv.Itoa(v) }

// ErrSelfTest says that a slab computes other logits than where it was made.
var ErrSelfTest = errors.New("the self-test failed")

// testImage is the image of a self-test: RGBA noise, a little larger than the
// input so that resizing and cropping take part. docs/format.md gives the
// generator.
func testImage(in format.Input, seed int) (width, height int, rgba []byte) {
	width, height = in.Width+in.Width/2+5, in.Height+3
	rgba = make([]byte, 4*width*height)
	state := uint32(seed)
	for i := range rgba {
		state = state*1664525 + 1013904223
		rgba[i] = byte(state >> 24)
	}
	return width, height, rgba
}

// SelfTestDigest computes the digest that a slab's self-test expects: SHA-256
// over the little-endian logits of every mode, in the order of Manifest.Modes,
// on the test image of the manifest's seed.
func (c *Classifier) SelfTestDigest() ([32]byte, error) {
	width, height, rgba := testImage(c.manifest.Input, c.manifest.SelfTest.Seed)
	hash := format.NewSHA256()
	if err := c.Begin(width, height); err != nil {
		return [32]byte{}, err
	}
	if err := c.Rows(rgba); err != nil {
		return [32]byte{}, err
	}
	for _, name := range c.manifest.Modes() {
		mode, err := ParseMode(name)
		if err != nil {
			return [32]byte{}, err
		}
		r, err := c.Run(mode)
		if err != nil {
			return [32]byte{}, err
		}
		hash.Write(AppendBits(nil, r.Logits))
	}
	return hash.Sum(), nil
}

// SelfTest runs the slab's built-in test.
func (c *Classifier) SelfTest() error {
	got, err := c.SelfTestDigest()
	if err != nil {
		return err
	}
	if got != [32]byte(c.manifest.SelfTest.Digest) {
		return ErrSelfTest
	}
	return nil
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
