package gpuworker

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
)

// A fake is a driver that writes down what it is asked for, with a memory.
type fake struct {
	memory []byte
	said   []string
	fails  string // the method that does
}

func (f *fake) note(method string, format string, args ...any) error {
	f.said = append(f.said, method+fmt.Sprintf(format, args...))
	if method == f.fails {
		return errors.New(method + " failed")
	}
	return nil
}

func (f *fake) Compile(source string, kernels []string) (string, error) {
	return "a fake", f.note("compile", " %v %d", source == gpu.Source(), len(kernels))
}

func (f *fake) Alloc(bytes int) (uint64, error) {
	at := len(f.memory)
	f.memory = append(f.memory, make([]byte, bytes)...)
	return uint64(at + 1000), f.note("alloc", " %d", bytes)
}

func (f *fake) Upload(address uint64, b []byte) error {
	copy(f.memory[address-1000:], b)
	return f.note("upload", " %d", len(b))
}

func (f *fake) Download(b []byte, address uint64) error {
	copy(b, f.memory[address-1000:])
	return f.note("download", " %d", len(b))
}

func (f *fake) Launch(kernel int, blocks [3]int, threads int, argument uint64) error {
	return f.note("launch", " %s %v %d %d", gpu.Kernels(gpu.Source())[kernel], blocks, threads, argument)
}

// The test binary is the worker, too: with GPUWORKER it serves a fake, and prints what
// that was asked for to standard error.
func TestMain(m *testing.M) {
	fails, worker := os.LookupEnv("GPUWORKER")
	if !worker {
		os.Exit(m.Run())
	}
	f := &fake{fails: fails}
	if err := Serve(os.Stdin, os.Stdout, f); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if name := os.Getenv("GPUWORKER_LOG"); name != "" {
		if err := os.WriteFile(name, []byte(strings.Join(f.said, "\n")), 0o644); err != nil {
			os.Exit(1)
		}
	}
}

// What a trainer asks for reaches the driver, in order, an argument only when it changed.
func TestServe(t *testing.T) {
	log := t.TempDir() + "/log"
	t.Setenv("GPUWORKER", "")
	t.Setenv("GPUWORKER_LOG", log)
	d, err := gpu.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	if d.Name != "a fake" {
		t.Errorf("the device is %q", d.Name)
	}
	p := gpu.Put(d, []float32{1, 2, 3})
	var c gpu.Call
	for _, count := range []int32{3, 3, 2} {
		gpu.Launch(d, &c, "add", gpu.Each(300), gpu.Add{A: p, B: p, To: p, Count: count})
	}
	got := make([]float32, 2)
	d.Download(got, p.At(1))
	if !slices.Equal(got, []float32{2, 3}) || d.Err() != nil {
		t.Errorf("downloaded %v, %v", got, d.Err())
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("compile true %d\nalloc 12\nupload 12\nalloc 32\nupload 32\nlaunch add [2 1 1] 256 1012\nlaunch add [2 1 1] 256 1012\nupload 32\nlaunch add [2 1 1] 256 1012\ndownload 8",
		len(gpu.Kernels(gpu.Source())))
	if string(b) != want {
		t.Errorf("the driver was asked for\n%s\nwant\n%s", b, want)
	}
}

// An error of the driver comes with the next reply, and nothing is asked of it after that.
func TestErrors(t *testing.T) {
	for _, fails := range []string{"alloc", "upload", "launch", "download"} {
		t.Setenv("GPUWORKER", fails)
		d, err := gpu.Open(os.Args[0])
		if err != nil {
			t.Fatal(err)
		}
		p := gpu.Put(d, []float32{1})
		gpu.Launch(d, new(gpu.Call), "add", gpu.Each(1), gpu.Add{A: p})
		d.Download(make([]float32, 1), p)
		if err := d.Err(); err == nil || err.Error() != "GPU: "+fails+" failed" {
			t.Errorf("%s: %v", fails, err)
		}
		d.Close()
	}
	t.Setenv("GPUWORKER", "compile")
	if _, err := gpu.Open(os.Args[0]); err == nil || !strings.HasPrefix(err.Error(), "GPU: compile failed") {
		t.Errorf("kernels that do not compile: %v", err)
	}
	for _, b := range [][]byte{{9, 0, 0, 0}, {4, 0, 0, 0, 1, 0, 0, 0, 5}, append([]byte{0, 0, 0, 0}, 255, 255, 255, 255)} {
		if err := Serve(bytes.NewReader(b), new(bytes.Buffer), &fake{}); err == nil {
			t.Errorf("requests %v were served", b)
		}
	}
}
