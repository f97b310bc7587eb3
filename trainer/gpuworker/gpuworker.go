// Package gpuworker is the other end of a trainer's GPU: it reads the trainer's requests
// and carries them out with a driver. The program cmd/quarterturn-cuda has one for CUDA.
package gpuworker

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
)

// A Driver has a GPU. Addresses are those that Alloc returned. What is launched may run on while
// the next request is read; an error of it may come with a later request.
type Driver interface {
	// Compile makes the kernels with these names out of CUDA C and names the device.
	Compile(source string, kernels []string) (device string, err error)
	// Alloc returns the address of so many bytes of memory, zeroed.
	Alloc(bytes int) (address uint64, err error)
	Upload(address uint64, b []byte) error
	// Download waits for what was launched.
	Download(b []byte, address uint64) error
	// Launch starts a kernel, by its place in Compile's list, on blocks of so many threads;
	// argument is the address of its only argument, a pointer.
	Launch(kernel int, blocks [3]int, threads int, argument uint64) error
}

// Serve carries out requests until in ends. The error is that of in or out; the driver's
// go to the trainer.
func Serve(in io.Reader, out io.Writer, d Driver) error {
	s := &server{in: bufio.NewReaderSize(in, 1<<20), out: bufio.NewWriterSize(out, 1<<20), driver: d}
	for {
		request := s.word()
		if errors.Is(s.err, io.EOF) {
			return nil // between two requests
		}
		if s.serve(request); s.err != nil {
			return s.err
		}
	}
}

type server struct {
	in      *bufio.Reader
	out     *bufio.Writer
	driver  Driver
	kernels int
	failure error  // the driver's first
	err     error  // of in or out
	buffer  []byte // of an upload or a download
}

func (s *server) read(b []byte) {
	if s.err == nil {
		_, s.err = io.ReadFull(s.in, b)
	}
}

func (s *server) word() int {
	var b [4]byte
	s.read(b[:])
	return int(binary.LittleEndian.Uint32(b[:]))
}

func (s *server) long() uint64 {
	var b [8]byte
	s.read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// bytes returns room for n.
func (s *server) bytes(n int) []byte {
	if len(s.buffer) < n {
		s.buffer = make([]byte, n)
	}
	return s.buffer[:n]
}

// text reads a text; a trainer sends none of a megabyte.
func (s *server) text() string {
	n := s.word()
	if s.err == nil && n > 1<<20 {
		s.err = fmt.Errorf("a text of %d bytes", n)
	}
	if s.err != nil {
		return ""
	}
	b := make([]byte, n)
	s.read(b)
	return string(b)
}

// try calls the driver unless something failed before.
func (s *server) try(f func() error) {
	if s.err == nil && s.failure == nil {
		s.failure = f()
	}
}

func (s *server) reply(b []byte) {
	status := uint32(0)
	if s.failure != nil {
		status, b = 1, []byte(s.failure.Error())
	}
	head := binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, status), uint32(len(b)))
	for _, part := range [][]byte{head, b} {
		if s.err == nil {
			_, s.err = s.out.Write(part)
		}
	}
	if s.err == nil {
		s.err = s.out.Flush()
	}
}

func (s *server) serve(request int) {
	switch request {
	case gpu.Hello:
		source := s.text()
		var names []string
		for n := s.word(); n > 0 && s.err == nil; n-- {
			names = append(names, s.text())
		}
		var device string
		s.try(func() (err error) { device, err = s.driver.Compile(source, names); return err })
		s.kernels = len(names)
		s.reply([]byte(device))
	case gpu.Allocate:
		n := int(s.long())
		var address uint64
		s.try(func() (err error) { address, err = s.driver.Alloc(n); return err })
		s.reply(binary.LittleEndian.AppendUint64(nil, address))
	case gpu.Write:
		address, b := s.long(), s.bytes(int(s.long()))
		s.read(b)
		s.try(func() error { return s.driver.Upload(address, b) })
	case gpu.Read:
		address, b := s.long(), s.bytes(int(s.long()))
		s.try(func() error { return s.driver.Download(b, address) })
		s.reply(b)
	case gpu.Run:
		for n := s.word(); n > 0 && s.err == nil; n-- {
			kernel, blocks, threads, argument := s.word(), [3]int{s.word(), s.word(), s.word()}, s.word(), s.long()
			if s.err == nil && kernel >= s.kernels {
				s.err = fmt.Errorf("a launch of kernel %d of %d", kernel, s.kernels)
			}
			s.try(func() error { return s.driver.Launch(kernel, blocks, threads, argument) })
		}
	default:
		s.err = fmt.Errorf("request %d", request)
	}
}
