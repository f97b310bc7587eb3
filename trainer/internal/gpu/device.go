package gpu

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"unsafe"

	_ "embed"
)

//go:embed kernels.cu
var kernelsSource string

//go:embed convolve.cu
var convolveSource string

//go:embed heads.cu
var headsSource string

// Source is the CUDA C source of all kernels.
func Source() string { return kernelsSource + convolveSource + headsSource }

// Kernels lists the kernels of a source.
func Kernels(source string) (names []string) {
	for line := range strings.Lines(source) {
		if rest, ok := strings.CutPrefix(line, "KERNEL("); ok {
			name, _, _ := strings.Cut(rest, ",")
			names = append(names, name)
		}
	}
	return names
}

// Requests, see the package's documentation.
const (
	Hello = iota
	Allocate
	Write
	Read
	Run
)

// A Ptr is an address in a device's memory; 0 is none.
type Ptr uint64

// At is the address of the float with that index behind p.
func (p Ptr) At(i int) Ptr { return p + Ptr(4*i) }

// A Device is a GPU. The first error sticks: Err returns it, and what is asked for after it
// is not done. It is not safe for concurrent use.
type Device struct {
	Name string // as its driver calls it
	TF32 bool   // convolutions may round the factors of their products to 10 bits, for tensor cores

	command *exec.Cmd
	stderr  bytes.Buffer
	in      io.WriteCloser
	to      *bufio.Writer
	from    *bufio.Reader
	kernels []string
	queue   []byte // launches
	queued  int
	err     error
	closed  bool
	shared  map[scratchKey]Ptr
}

// A scratchKey is a use of memory, and the images for which it is.
type scratchKey struct {
	use    string
	images Map
}

// Open starts a worker, which is a program and its arguments.
func Open(worker ...string) (*Device, error) {
	d := &Device{command: exec.Command(worker[0], worker[1:]...)}
	d.command.Stderr = &d.stderr
	var err error
	if d.in, err = d.command.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := d.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := d.command.Start(); err != nil {
		return nil, err
	}
	d.to, d.from = bufio.NewWriterSize(d.in, 1<<20), bufio.NewReaderSize(out, 1<<20)
	source := Source()
	d.kernels = Kernels(source)
	hello := append(words(nil, Hello, uint32(len(source))), source...)
	hello = words(hello, uint32(len(d.kernels)))
	for _, name := range d.kernels {
		hello = append(words(hello, uint32(len(name))), name...)
	}
	d.write(hello)
	if d.Name = string(d.reply(maxText)); d.err != nil {
		d.Close()
		return nil, d.err
	}
	return d, nil
}

// words appends 32-bit numbers.
func words(b []byte, numbers ...uint32) []byte {
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint32(b, n)
	}
	return b
}

// Err is the first error.
func (d *Device) Err() error { return d.err }

// fail keeps an error. A worker that is gone has said why, perhaps.
func (d *Device) fail(err error) {
	if d.err != nil || err == nil {
		return
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.EPIPE) {
		d.Close()
		if strings.TrimSpace(d.stderr.String()) != "" {
			err = errors.New(strings.Join(strings.Fields(d.stderr.String()), " "))
		} else {
			err = errors.New("the worker exited without an error")
		}
	}
	d.err = fmt.Errorf("GPU: %w", err)
}

func (d *Device) write(b []byte) {
	if d.err == nil {
		_, err := d.to.Write(b)
		d.fail(err)
	}
}

// maxText is the largest length of a name or an error.
const maxText = 1 << 20

// reply reads one, of so many bytes at the most.
func (d *Device) reply(most int) []byte {
	if d.err != nil {
		return nil
	}
	if err := d.to.Flush(); err != nil {
		d.fail(err)
		return nil
	}
	var head [8]byte
	if _, err := io.ReadFull(d.from, head[:]); err != nil {
		d.fail(err)
		return nil
	}
	failed, n := binary.LittleEndian.Uint32(head[:]) != 0, int(binary.LittleEndian.Uint32(head[4:]))
	if failed {
		most = maxText
	}
	if n > most {
		d.fail(fmt.Errorf("the worker says what no worker says, beginning with %q", head))
		return nil
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(d.from, b); err != nil {
		d.fail(err)
		return nil
	}
	if failed {
		d.fail(errors.New(string(b)))
		return nil
	}
	return b
}

// Alloc returns memory for so many bytes, zeroed, until the device is closed.
func (d *Device) Alloc(bytes int) Ptr {
	d.write(binary.LittleEndian.AppendUint64(words(nil, Allocate), uint64(bytes)))
	if b := d.reply(8); len(b) == 8 {
		return Ptr(binary.LittleEndian.Uint64(b))
	}
	return 0
}

// Floats returns memory for so many floats.
func (d *Device) Floats(n int) Ptr { return d.Alloc(4 * n) }

// scratch returns memory for a while, until another layer with such images asks for it for
// the same use. Borders stay zero, since all who write it have them in the same places.
func (d *Device) scratch(use string, images Map, floats int) Ptr {
	key := scratchKey{use, images}
	if d.shared[key] == 0 {
		if d.shared == nil {
			d.shared = map[scratchKey]Ptr{}
		}
		d.shared[key] = d.Floats(floats)
	}
	return d.shared[key]
}

// Upload writes to the device's memory what its type has the same memory of on both sides.
func Upload[T byte | int32 | float32](d *Device, to Ptr, values []T) {
	d.Flush()
	b := raw(values)
	head := binary.LittleEndian.AppendUint64(words(nil, Write), uint64(to))
	d.write(binary.LittleEndian.AppendUint64(head, uint64(len(b))))
	d.write(b)
}

// UploadValue writes the argument of kernels.
func UploadValue[A any](d *Device, to Ptr, value A) { Upload(d, to, raw([]A{value})) }

// Put allocates and uploads.
func Put[T byte | int32 | float32](d *Device, values []T) Ptr {
	p := d.Alloc(len(raw(values)))
	Upload(d, p, values)
	return p
}

func raw[T any](values []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(values))), len(values)*int(unsafe.Sizeof(*new(T))))
}

// Download waits for all that was launched and reads memory.
func (d *Device) Download(to []float32, from Ptr) {
	d.Flush()
	head := binary.LittleEndian.AppendUint64(words(nil, Read), uint64(from))
	d.write(binary.LittleEndian.AppendUint64(head, uint64(4*len(to))))
	copy(raw(to), d.reply(4*len(to)))
}

// A Call is a kernel with an argument in the device's memory, to launch again and again.
type Call struct {
	argument Ptr
	last     []byte
}

// A Grid is the number of blocks in x, y and z, and of the threads in each.
type Grid struct{ X, Y, Z, Threads int }

// Each is a grid with a thread for each of n elements.
func Each(n int) Grid { return Grid{(n + 255) / 256, 1, 1, 256} }

// Launch queues a kernel. Its argument is uploaded if it is not what it was.
func Launch[A any](d *Device, c *Call, kernel string, g Grid, argument A) {
	b := raw([]A{argument})
	if c.argument == 0 {
		c.argument = d.Alloc(len(b))
	}
	if !bytes.Equal(b, c.last) {
		Upload(d, c.argument, b)
		c.last = bytes.Clone(b)
	}
	d.queue = words(d.queue, uint32(slices.Index(d.kernels, kernel)), uint32(g.X), uint32(g.Y), uint32(g.Z), uint32(g.Threads))
	d.queue = binary.LittleEndian.AppendUint64(d.queue, uint64(c.argument))
	d.queued++
}

// Flush has launched what is queued, without waiting for it.
func (d *Device) Flush() {
	if d.queued > 0 {
		d.write(words(nil, Run, uint32(d.queued)))
		d.write(d.queue)
		d.queue, d.queued = d.queue[:0], 0
	}
}

// Close ends the worker. Only the first call does something.
func (d *Device) Close() error {
	if d.closed {
		return nil
	}
	d.closed = true
	return errors.Join(d.in.Close(), d.command.Wait())
}
