//go:build !wasm

package main

import "os"

// On other targets the command only says how to build it.
func main() {
	os.Stderr.WriteString("this is the inference module: build it with go generate ./wasm/module\n")
	os.Exit(2)
}
