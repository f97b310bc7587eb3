// Package gputest has a device for tests: the kernels of package gpu, compiled by a C++
// compiler, on the processor.
package gputest

import (
	_ "embed"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
)

//go:embed testdata/worker.cpp
var worker []byte

// build compiles the worker, once a process. Its folder is left to the system.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gputest")
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "worker")
	for name, b := range map[string][]byte{"worker.cpp": worker, "kernels.h": []byte(gpu.Source())} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o644); err != nil {
			return "", err
		}
	}
	out, err := exec.Command("g++", "-O3", "-march=native", "-w", "-o", program, filepath.Join(dir, "worker.cpp")).CombinedOutput()
	if err != nil {
		os.Stderr.Write(out)
	}
	return program, err
})

// Worker builds the program that is the device, and returns its path.
func Worker(t testing.TB) string {
	t.Helper()
	program, err := build()
	if err != nil {
		t.Fatalf("the kernels do not compile with g++: %v", err)
	}
	return program
}

// Distance is that of two vectors, as a share of the length of the second.
func Distance(got, want []float32) float64 {
	var off, square float64
	for i, v := range want {
		off += (float64(got[i]) - float64(v)) * (float64(got[i]) - float64(v))
		square += float64(v) * float64(v)
	}
	return math.Sqrt(off) / (math.Sqrt(square) + 1e-6)
}

// Open returns a device that is closed when the test ends.
func Open(t testing.TB) *gpu.Device {
	t.Helper()
	d, err := gpu.Open(Worker(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}
