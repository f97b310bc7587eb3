//go:build cuda

package main

import (
	"fmt"
	"os"
	"runtime"

	_ "github.com/quarterturn/quarterturn/cmd/quarterturn-cuda/driver" // first of all
	"github.com/quarterturn/quarterturn/trainer/gpuworker"
)

func main() {
	runtime.LockOSThread() // a context belongs to a thread
	d, err := open()
	if err == nil {
		err = gpuworker.Serve(os.Stdin, os.Stdout, d)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
