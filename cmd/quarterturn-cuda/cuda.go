//go:build cuda

package main

import (
	"fmt"
	"strings"
	"unsafe"

	"gorgonia.org/cu"
	"gorgonia.org/cu/nvrtc"
)

// A device is the first GPU that CUDA shows: CUDA_VISIBLE_DEVICES says which that is.
// It implements gpuworker.Driver on the calling thread.
type device struct {
	cu.Device
	kernels []cu.Function
}

func open() (*device, error) {
	n, err := cu.NumDevices()
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, fmt.Errorf("CUDA finds no GPU")
	}
	d := &device{}
	if d.Device, err = cu.GetDevice(0); err != nil {
		return nil, err
	}
	ctx, err := d.RetainPrimaryCtx()
	if err != nil {
		return nil, err
	}
	return d, cu.SetCurrentContext(ctx)
}

func (d *device) Compile(source string, kernels []string) (string, error) {
	major, minor, err := d.ComputeCapability()
	if err != nil {
		return "", err
	}
	program, err := nvrtc.CreateProgram(source, "quarterturn.cu")
	if err != nil {
		return "", err
	}
	defer program.Destroy()
	if err := program.Compile(fmt.Sprintf("--gpu-architecture=compute_%d%d", major, minor), "--std=c++17"); err != nil {
		log, _ := program.GetLog()
		return "", fmt.Errorf("the kernels do not compile: %w: %s", err, strings.TrimSpace(log))
	}
	ptx, err := program.GetPTX()
	if err != nil {
		return "", err
	}
	module, err := cu.LoadData(strings.TrimRight(ptx, "\x00"))
	if err != nil {
		return "", err
	}
	for _, name := range kernels {
		f, err := module.Function(name)
		if err != nil {
			return "", fmt.Errorf("kernel %s: %w", name, err)
		}
		d.kernels = append(d.kernels, f)
	}
	return d.Name()
}

func (d *device) Alloc(bytes int) (uint64, error) {
	p, err := cu.MemAlloc(int64(max(bytes, 1)))
	if err == nil {
		err = cu.MemsetD8(p, 0, int64(max(bytes, 1)))
	}
	if err != nil {
		free, total, _ := cu.MemInfo()
		return 0, fmt.Errorf("%w: %d bytes are wanted, %d of the GPU's %d are free", err, bytes, free, total)
	}
	return uint64(p), nil
}

func (d *device) Upload(address uint64, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	return cu.MemcpyHtoD(cu.DevicePtr(address), unsafe.Pointer(&b[0]), int64(len(b)))
}

func (d *device) Download(b []byte, address uint64) error {
	if len(b) == 0 {
		return nil
	}
	return cu.MemcpyDtoH(unsafe.Pointer(&b[0]), cu.DevicePtr(address), int64(len(b)))
}

func (d *device) Launch(kernel int, blocks [3]int, threads int, argument uint64) error {
	return d.kernels[kernel].Launch(blocks[0], blocks[1], blocks[2], threads, 1, 1, 0, cu.Stream{}, []unsafe.Pointer{unsafe.Pointer(&argument)})
}
