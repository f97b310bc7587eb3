// Package gpu is the memory and the kernels of a GPU, which another process has: the
// worker, cmd/quarterturn-cuda, a program of its own that drives CUDA through
// gorgonia.org/cu. So the trainer needs no cgo, whatever it is built for, and nothing
// of it ends when there is no driver. Tests have a worker that runs the same kernels on
// the processor, package gputest.
//
// Requests go to the worker's standard input, replies come from its standard output, all
// in the processor's byte order, little-endian. A request is a 32-bit number and its
// fields:
//
//	0 hello: length, CUDA C source; number of kernels, for each length and name
//	1 alloc: 64-bit size in bytes. The memory is zero
//	2 upload: 64-bit address and size, bytes
//	3 download: 64-bit address and size
//	4 launch: number of launches, for each kernel (its place in hello), blocks in x, y and
//	  z, threads of a block, 64-bit address of the kernel's argument
//
// Lengths and numbers have 32 bits. Hello, alloc and download are replied to: a 32-bit
// status, 32-bit length and as many bytes, the device's name, a 64-bit address or memory.
// If the status is not 0, something failed, perhaps an earlier request without a reply,
// and the bytes say what. Requests are carried out one after the other.
package gpu
