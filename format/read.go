package format

import (
	"io"
	"math"
	"unsafe"
)

// PrefixSize is the length in bytes of the part before the manifest:
//
//	 0  8  magic
//	 8  4  version
//	12  4  manifest length
//	16  8  data length
//	24  8  zero
//	32 32  SHA-256 of bytes 0..31 and the manifest: the slab's identity
//
// Integers are little-endian.
const PrefixSize = 64

// Magic begins every slab. As in PNG, the first byte is not ASCII and the last
// four change in every kind of text-mode transfer.
const Magic = "\x89QTS\r\n\x1a\n"

// MaxSize is the largest slab, in bytes, that any engine opens.
const MaxSize = 1 << 30

// chunk is how much of the data section is read at a time.
const chunk = 1 << 16

// Decode reads a slab that is already in memory. The weights are copied out, so
// slab may be reused afterwards.
func Decode(slab []byte) (*Model, error) {
	return Read(&memory{rest: slab}, int64(len(slab)))
}

// DecodeInPlace is Decode without the copy: wherever the machine's order of bytes and
// the address of slab allow it, the weights are those that lie in slab, which must not be
// changed or reused as long as they are used.
func DecodeInPlace(slab []byte) (*Model, error) {
	return Read(&memory{rest: slab, inPlace: true}, int64(len(slab)))
}

// memory is a slab that is already in memory, as a source. Package bytes would bring the
// tables of package unicode into the module.
type memory struct {
	rest    []byte // what was not read yet
	inPlace bool   // weights may lie in it
}

func (s *memory) Read(p []byte) (int, error) {
	if len(s.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, s.rest)
	s.rest = s.rest[n:]
	return n, nil
}

// next returns the next n bytes of a source: where they lie, if that is memory, else in buf.
// what they are and their offset in the slab are for the error.
func next(r io.Reader, buf []byte, n int, what string, offset int64) ([]byte, error) {
	var got int
	var err error
	if s, ok := r.(*memory); !ok {
		buf = buf[:n]
		got, err = io.ReadFull(r, buf)
	} else if got = min(n, len(s.rest)); got < n {
		err = io.ErrUnexpectedEOF
	} else {
		buf, s.rest = s.rest[:n], s.rest[n:]
	}
	if err != nil && ended(err) {
		err = &Error{ErrCorrupt, what, offset + int64(got), "the input ends here"}
	}
	return buf, err
}

// floatsAt returns the next n floats of a source where they lie, if they may stay there.
func floatsAt(r io.Reader, n int) []float32 {
	s, ok := r.(*memory)
	one := uint16(1)
	if !ok || !s.inPlace || len(s.rest) < 4*n || *(*byte)(unsafe.Pointer(&one)) != 1 {
		return nil
	}
	p := unsafe.Pointer(unsafe.SliceData(s.rest))
	if uintptr(p)%unsafe.Alignof(float32(0)) != 0 {
		return nil
	}
	return unsafe.Slice((*float32)(p), n)
}

// Read reads a slab of exactly size bytes from r. Nothing is allocated on the
// word of a length that size does not bear out. Errors are *Error, or those of r.
func Read(r io.Reader, size int64) (*Model, error) {
	var prefix [PrefixSize]byte
	n, err := io.ReadFull(r, prefix[:])
	if err != nil && !ended(err) {
		return nil, err
	}
	manifestLen, dataLen, err := checkPrefix(prefix[:n], size)
	if err != nil {
		return nil, err
	}

	var buf []byte // for what is not in memory
	if _, ok := r.(*memory); !ok {
		buf = make([]byte, max(chunk, manifestLen))
	}
	manifest, err := next(r, buf, int(manifestLen), "manifest", PrefixSize)
	if err != nil {
		return nil, err
	}
	model := new(Model)
	hash := NewSHA256()
	hash.Write(prefix[:32])
	hash.Write(manifest)
	model.Hash = hash.Sum()
	if model.Hash != [32]byte(prefix[32:64]) {
		return nil, &Error{ErrCorrupt, "manifest", PrefixSize, "does not match its hash: the slab was damaged or cut"}
	}
	m, err := parse(manifest, PrefixSize)
	if err != nil {
		return nil, err
	}
	model.Manifest = *m
	if err := m.Validate(); err != nil {
		return nil, err
	}
	if err := m.checkTable(); err != nil {
		return nil, err
	}
	if need := DataLength(m.Tensors); int64(need) != dataLen {
		return nil, &Error{ErrCorrupt, "data length", 16, "the tensors need " + itoa(need) + " bytes, the prefix says " + itoa(dataLen)}
	}
	if err := model.readData(r, buf, PrefixSize+int(manifestLen)); err != nil {
		return nil, err
	}
	return model, nil
}

// ended tells whether a read stopped because the input did.
func ended(err error) bool {
	return err == io.EOF || err == io.ErrUnexpectedEOF
}

// checkPrefix checks the prefix, of which b holds what there is, and returns the
// lengths of the two parts after it.
func checkPrefix(b []byte, size int64) (manifestLen, dataLen int64, err error) {
	head := b[:min(len(b), len(Magic))]
	if string(head) != Magic[:len(head)] || len(head) == 0 {
		return 0, 0, &Error{ErrNotSlab, "magic", 0, guess(b)}
	}
	if len(b) < PrefixSize {
		return 0, 0, &Error{ErrCorrupt, "prefix", int64(len(b)), "the input ends here"}
	}
	if v := le32(b[8:]); v != Version {
		detail := "this is version " + itoa(v) + ", this reader knows " + itoa(Version)
		if v > Version {
			detail += ": update quarterturn"
		}
		return 0, 0, &Error{ErrVersion, "version", 8, detail}
	}
	manifestLen, data := int64(le32(b[12:])), le64(b[16:])
	if le64(b[24:]) != 0 {
		return 0, 0, &Error{ErrCorrupt, "reserved bytes", 24, "are not zero"}
	}
	if manifestLen > maxManifest {
		return 0, 0, &Error{ErrCorrupt, "manifest length", 12, "is more than " + itoa(maxManifest)}
	}
	start := int64(alignUp(PrefixSize + int(manifestLen)))
	if size < start || data != uint64(size-start) {
		return 0, 0, &Error{ErrCorrupt, "data length", 16,
			"the prefix announces " + itoa(start) + " + " + itoa(data) + " bytes, there are " + itoa(size)}
	}
	return manifestLen, int64(data), nil
}

// guess says what the bytes look like instead.
func guess(b []byte) string {
	is := func(prefix string) bool { return len(b) >= len(prefix) && string(b[:len(prefix)]) == prefix }
	switch {
	case len(b) == 0:
		return "the input is empty"
	case is("\x89QTS") || is("\tQTS"):
		return "the slab was changed by a text-mode transfer: fetch it again as binary"
	case is("<"):
		return "this looks like an HTML or XML page"
	case is("\x1f\x8b"):
		return "this is gzip data: decompress it first"
	case is("PK\x03\x04"):
		return "this is a zip file"
	case is("\x00asm"):
		return "this is a WebAssembly module"
	}
	return "the first bytes are not those of a slab"
}

// readData reads and checks the tensors. The zero padding before each of them
// is checked too: no byte of the file is without meaning. The reader stands at
// offset end of the slab, right behind the manifest; buf has room
// for a chunk if they are not in memory.
func (m *Model) readData(r io.Reader, buf []byte, end int) error {
	start := alignUp(end)
	m.Weights = make([][]float32, 0, len(m.Tensors))
	for i := range m.Tensors {
		t := &m.Tensors[i]
		field := "tensors[" + itoa(i) + "]"
		pad, err := next(r, buf, start+t.Offset-end, field, int64(end))
		if err != nil {
			return err
		}
		for k, b := range pad {
			if b != 0 {
				return &Error{ErrCorrupt, field, int64(end + k), "the padding before it is not zero"}
			}
		}
		weights := floatsAt(r, t.Elements())
		inPlace := weights != nil
		if !inPlace {
			weights = make([]float32, t.Elements())
		}
		hash := NewSHA256()
		for done := 0; done < len(weights); {
			at := int64(start + t.Offset + 4*done)
			part, err := next(r, buf, min(chunk, 4*(len(weights)-done)), field, at)
			if err != nil {
				return err
			}
			hash.Write(part)
			values := weights[done : done+len(part)/4]
			if !inPlace {
				for k := range values {
					values[k] = math.Float32frombits(le32(part[4*k:]))
				}
			}
			for k, v := range values {
				if v-v != 0 { // isFinite, which the module's compiler would not inline
					return &Error{ErrCorrupt, field, at + int64(4*k), t.Name + " holds a number that is not finite"}
				}
			}
			done += len(values)
		}
		if hash.Sum() != [32]byte(t.SHA256) {
			return &Error{ErrCorrupt, field, int64(start + t.Offset), t.Name + " does not match its checksum"}
		}
		m.Weights = append(m.Weights, weights)
		end = start + t.Offset + 4*len(weights)
	}
	if n, err := r.Read(make([]byte, 1)); n > 0 {
		return &Error{ErrCorrupt, "data", int64(end), "trailing bytes after the last tensor"}
	} else if err != nil && !ended(err) {
		return err
	}
	return nil
}

func le32(b []byte) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

func le64(b []byte) uint64 { return uint64(le32(b)) | uint64(le32(b[4:]))<<32 }
