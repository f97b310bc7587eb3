//go:build cuda

// Package driver ends the process with one line if there is no CUDA driver. It comes
// before gorgonia.org/cu in the order in which Go initialises packages, which is that of
// their paths; cu would write to standard output, where replies go.
package driver

// #cgo LDFLAGS: -lcuda
// #cgo CFLAGS: -I/usr/local/cuda/include
// #include <cuda.h>
import "C"

import (
	"fmt"
	"os"
)

func init() {
	if code := C.cuInit(0); code != 0 {
		fmt.Fprintf(os.Stderr, "there is no CUDA driver that works (cuInit returns error %d)\n", int(code))
		os.Exit(1)
	}
}
