package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/pflag"

	"github.com/quarterturn/quarterturn/trainer"
)

// gpuWorker is the program that drives a GPU.
const gpuWorker = "quarterturn-cuda"

// deviceFlag says where to train.
func deviceFlag(f *pflag.FlagSet) *string {
	return f.String("device", "cpu", "where to train: cpu; cuda, a GPU, which "+gpuWorker+" drives; or auto, a GPU if there is one that works")
}

// openDevice gives a device by its name; cpu is nil.
func openDevice(name string) (*trainer.Device, error) {
	switch name {
	case "cpu":
		return nil, nil
	case "cuda", "auto":
	default:
		return nil, usagef("device %q: want cpu, cuda or auto", name)
	}
	d, err := startWorker()
	if err != nil && name == "auto" {
		note("training on the processor: %v", err)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	note("training on %s", d.Name())
	return d, nil
}

// startWorker starts the worker that is beside this program, or in PATH.
func startWorker() (*trainer.Device, error) {
	if self, err := os.Executable(); err == nil {
		if beside := filepath.Join(filepath.Dir(self), gpuWorker); isFile(beside) {
			return trainer.OpenDevice(beside)
		}
	}
	path, err := exec.LookPath(gpuWorker)
	if err != nil {
		return nil, fmt.Errorf("no %s is beside quarterturn or in PATH; build it from cmd/%s", gpuWorker, gpuWorker)
	}
	return trainer.OpenDevice(path)
}

func isFile(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}
