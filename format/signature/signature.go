// Package signature checks who made a slab. Signatures are those of minisign
// (https://jedisct1.github.io/minisign/), detached, in a file beside the slab:
//
//	minisign -G -p quarterturn.pub -s quarterturn.key    # once
//	minisign -S -s quarterturn.key -m model.slab         # writes model.slab.minisig
//
// The checksums in a slab show damage; they do not show who made it.
package signature

import (
	"errors"
	"fmt"
	"strings"

	"aead.dev/minisign"
)

// Extension is what minisign appends to the name of a file for that of its signature.
const Extension = ".minisig"

// ErrUntrusted is the kind of every error about a signature: there is none, it is of another
// key, or it is of something else.
var ErrUntrusted = errors.New("untrusted slab")

// A Key is a public key of minisign.
type Key struct{ public minisign.PublicKey }

// String returns the key as minisign writes it, a line that begins with RW.
func (k Key) String() string { return k.public.String() }

// ParseKey reads a public key: the line that begins with RW, or a whole key file.
func ParseKey(text string) (Key, error) {
	var k Key
	if strings.Contains(text, "secret key") {
		return k, errors.New("this is a secret key; signatures are checked with the public one, which ends in .pub")
	}
	if err := k.public.UnmarshalText([]byte(strings.TrimSpace(text))); err != nil {
		return k, fmt.Errorf("not a public key of minisign, a line that begins with RW: %w", err)
	}
	return k, nil
}

// Verify checks that signature, the text of a .minisig file, is of these bytes and by one
// of the keys. It returns the trusted comment, which is signed too. Errors are
// ErrUntrusted.
func Verify(slab, signature []byte, keys ...Key) (comment string, err error) {
	if len(signature) == 0 {
		return "", fmt.Errorf("%w: it comes with no signature", ErrUntrusted)
	}
	var s minisign.Signature
	if err := s.UnmarshalText(signature); err != nil {
		return "", fmt.Errorf("%w: the signature is not one of minisign: %w", ErrUntrusted, err)
	}
	for _, k := range keys {
		if k.public.ID() != s.KeyID {
			continue
		}
		if !minisign.Verify(k.public, slab, signature) {
			return "", fmt.Errorf("%w: the signature by key %X is of other bytes, or was altered", ErrUntrusted, s.KeyID)
		}
		return s.TrustedComment, nil
	}
	return "", fmt.Errorf("%w: it is signed by key %X, which is not among the %d trusted ones", ErrUntrusted, s.KeyID, len(keys))
}
