package format

import "math/bits"

// The standard library's crypto/sha256 brings its FIPS 140 machinery along:
// 142 KB of the module's gzipped 620 KB budget. This is FIPS 180-4, plainly.

var sha256K = [64]uint32{
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
	0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
	0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
	0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
	0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
	0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
	0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
}

// A SHA256 computes a SHA-256 digest. NewSHA256 makes one.
type SHA256 struct {
	h      [8]uint32
	buf    [64]byte
	fill   int
	length uint64
}

// NewSHA256 returns a SHA256 that has been fed nothing.
func NewSHA256() *SHA256 {
	return &SHA256{h: [8]uint32{
		0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19,
	}}
}

// Write feeds p; the error is always nil.
func (s *SHA256) Write(p []byte) (int, error) {
	n := len(p)
	s.length += uint64(n)
	for len(p) > 0 {
		if s.fill == 0 && len(p) >= 64 {
			whole := len(p) &^ 63
			sha256Blocks(&s.h, p[:whole])
			p = p[whole:]
			continue
		}
		k := copy(s.buf[s.fill:], p)
		s.fill += k
		p = p[k:]
		if s.fill == 64 {
			sha256Blocks(&s.h, s.buf[:])
			s.fill = 0
		}
	}
	return n, nil
}

// Sum returns the digest of all that was fed, and may be called once.
func (s *SHA256) Sum() (digest [32]byte) {
	bits := s.length * 8
	pad := [72]byte{0x80}
	n := 1 + (119-int(s.length%64))%64
	for i := range 8 {
		pad[n+i] = byte(bits >> (56 - 8*i))
	}
	s.Write(pad[:n+8])
	for i, v := range s.h {
		digest[4*i], digest[4*i+1], digest[4*i+2], digest[4*i+3] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
	}
	return digest
}

// sha256Blocks takes the blocks of p, 64 bytes each, into the state. In the module it
// has another body, written by wasm/internal/gen.
func sha256Blocks(state *[8]uint32, p []byte) {
	var w [64]uint32
	for ; len(p) >= 64; p = p[64:] {
		for i := range 16 {
			w[i] = uint32(p[4*i])<<24 | uint32(p[4*i+1])<<16 | uint32(p[4*i+2])<<8 | uint32(p[4*i+3])
		}
		for i := 16; i < 64; i++ {
			x, y := w[i-15], w[i-2]
			w[i] = w[i-16] + w[i-7] + (bits.RotateLeft32(x, -7) ^ bits.RotateLeft32(x, -18) ^ x>>3) + (bits.RotateLeft32(y, -17) ^ bits.RotateLeft32(y, -19) ^ y>>10)
		}
		a, b, c, d, e, f, g, h := state[0], state[1], state[2], state[3], state[4], state[5], state[6], state[7]
		for i := range 64 {
			t := h + (bits.RotateLeft32(e, -6) ^ bits.RotateLeft32(e, -11) ^ bits.RotateLeft32(e, -25)) + (e&f ^ ^e&g) + sha256K[i] + w[i]
			u := (bits.RotateLeft32(a, -2) ^ bits.RotateLeft32(a, -13) ^ bits.RotateLeft32(a, -22)) + (a&b ^ a&c ^ b&c)
			a, b, c, d, e, f, g, h = t+u, a, b, c, d+t, e, f, g
		}
		for i, v := range [8]uint32{a, b, c, d, e, f, g, h} {
			state[i] += v
		}
	}
}

// SumSHA256 is the SHA-256 digest of b.
func SumSHA256(b []byte) [32]byte {
	s := NewSHA256()
	s.Write(b)
	return s.Sum()
}
