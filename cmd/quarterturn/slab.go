package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/pflag"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/readfile"
	"github.com/quarterturn/quarterturn/trainer"
)

// slabArgs are the slabs a command works on. Every command takes them alike: with
// --model, or as its first argument.
type slabArgs struct{ names []string }

func (s *slabArgs) add(f *pflag.FlagSet, usage string) {
	f.StringArrayVar(&s.names, "model", nil, usage)
}

// one returns the slab's name and the arguments that follow it.
func (s *slabArgs) one(args []string) (name string, rest []string, err error) {
	switch {
	case len(s.names) == 1:
		return s.names[0], args, nil
	case len(s.names) > 1:
		return "", nil, usagef("--model was given %d times; this command takes one slab", len(s.names))
	case len(args) == 0:
		return "", nil, usagef("give a slab, as the first argument or with --model")
	}
	return args[0], args[1:], nil
}

// only returns the slab's name for a command that takes no other argument.
func (s *slabArgs) only(args []string) (string, error) {
	name, rest, err := s.one(args)
	if err == nil && len(rest) > 0 {
		err = usagef("unexpected argument %q: the slab is %s", rest[0], name)
	}
	return name, err
}

// read is only, and reads the slab: see readSlab.
func (s *slabArgs) read(args []string) (name string, slab []byte, m *format.Model, err error) {
	if name, err = s.only(args); err == nil {
		slab, m, err = readSlab(name)
	}
	return name, slab, m, err
}

// all returns the names of the slabs of a command that takes several.
func (s *slabArgs) all(args []string) ([]string, error) {
	if len(s.names) > 0 && len(args) > 0 {
		return nil, usagef("unexpected argument %q: the slabs were given with --model", args[0])
	}
	return append(s.names, args...), nil
}

// slabAlias is the name that a slab's file gives it for KServe.
func slabAlias(file string) string {
	base := filepath.Base(file)
	return cmp.Or(strings.TrimSuffix(base, ".slab"), base)
}

// readSlab returns a slab's bytes and the model in them.
func readSlab(name string) ([]byte, *format.Model, error) {
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		if inside := filepath.Join(name, trainer.SlabFile); isFile(inside) {
			return nil, nil, fmt.Errorf("%s is the folder of a run; its slab is %s", name, inside)
		}
		return nil, nil, fmt.Errorf("%s is a folder, not a slab", name)
	}
	b, err := readfile.Slab(name)
	if err != nil {
		return nil, nil, err
	}
	m, err := format.Decode(b)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	detail("%s: %d bytes, hash %x", name, len(b), m.Hash)
	return b, m, nil
}
