package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/quarterturn/quarterturn/trainer"
	"github.com/quarterturn/quarterturn/trainer/graph"
)

// gpuWorker is the program that drives a GPU.
const gpuWorker = "quarterturn-cuda"

// deviceFlags say where to train.
type deviceFlags struct {
	device string
	tf32   bool
}

func addDeviceFlags(f *pflag.FlagSet) *deviceFlags {
	w := &deviceFlags{}
	f.StringVar(&w.device, "device", "cpu", "where to train: cpu; cuda, a GPU, which "+gpuWorker+" drives; or auto, a GPU if there is one that works")
	offer(f, "device", "cpu", "cuda", "auto")
	f.BoolVar(&w.tf32, "tf32", false, "on a GPU, round the factors of convolutions to 10 bits of mantissa, for its tensor cores")
	return w
}

// open returns the device; the processor is nil.
func (w *deviceFlags) open() (*graph.Device, error) {
	switch w.device {
	case "cpu":
		return nil, nil
	case "cuda", "auto":
	default:
		return nil, usagef("device %q: want cpu, cuda or auto", w.device)
	}
	d, err := startWorker()
	if err != nil && w.device == "auto" {
		note("training on the processor: %v", err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if w.tf32 {
		d.UseTensorCores()
	}
	note("training on %s", d.Name())
	return d, nil
}

// train trains in the folder that begin opens for the device, and then what the slab teaches.
func (w *deviceFlags) train(ctx context.Context, asJSON bool, command string, begin func(*graph.Device) (*trainer.RunDir, error)) error {
	d, err := w.open()
	if err != nil {
		return err
	}
	if d != nil {
		defer d.Close()
	}
	f, err := begin(d)
	if errors.Is(err, trainer.ErrComplete) {
		note("%v; to train on, give --epochs", err)
		return nil
	}
	for err == nil {
		err = errors.Join(train(ctx, f, asJSON, command), f.Close())
		if err != nil || f.Student == "" {
			return err
		}
		f, err = f.StartStudent(ctx, d)
	}
	return err
}

// startWorker starts the worker that is beside this program, or in PATH.
func startWorker() (*graph.Device, error) {
	if self, err := os.Executable(); err == nil {
		if beside := filepath.Join(filepath.Dir(self), gpuWorker); isFile(beside) {
			return graph.OpenDevice(beside)
		}
	}
	path, err := exec.LookPath(gpuWorker)
	if err != nil {
		return nil, fmt.Errorf("no %s is beside quarterturn or in PATH; build it from cmd/%s", gpuWorker, gpuWorker)
	}
	return graph.OpenDevice(path)
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}
