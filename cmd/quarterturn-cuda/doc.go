// Command quarterturn-cuda drives a GPU for quarterturn, which starts it when it is told
// to train on one and finds it beside itself or in PATH. It is a program and a module of
// its own, so that nothing else needs cgo, and so that gorgonia.org/cu, which ends its
// process when there is no driver, ends only this.
//
// It needs CUDA 12 or 13 and is built with the tag cuda, the folder cuda13 first among
// those with headers:
//
//	cd cmd/quarterturn-cuda
//	CGO_CFLAGS="-I$PWD/cuda13" CGO_LDFLAGS="-L/usr/local/cuda/lib64/stubs" go build -tags cuda .
package main
