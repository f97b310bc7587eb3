// Package abi is the interface between the inference module and what embeds it: the one
// source of its version, exports and result codes. Package wasm implements it, package
// host and the JavaScript package call it; tests here compare the JavaScript, the
// directives of package wasm and the description of the HTTP interface with it. Modes are
// numbered as sla.Mode.
package abi

import (
	"errors"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
)

// Version is what the export ABI returns. It changes with every change of what is
// written here or in the documentation of package wasm.
const Version = 2

// The exports; the documentation of package wasm says what each takes and does.
const (
	ABI       = "qt_abi"
	Alloc     = "qt_alloc"
	Free      = "qt_free"
	Open      = "qt_open"
	Describe  = "qt_describe"
	Verify    = "qt_verify"
	Begin     = "qt_begin"
	Rows      = "qt_rows"
	Input     = "qt_input"
	Run       = "qt_run"
	Features  = "qt_features"
	Match     = "qt_match"
	Trace     = "qt_trace"
	Close     = "qt_close"
	Output    = "qt_output"
	OutputLen = "qt_output_len"
)

// Exports lists them.
var Exports = [...]string{ABI, Alloc, Free, Open, Describe, Verify, Begin, Rows, Input, Run, Features, Match, Trace,
	Close, Output, OutputLen}

var (
	// ErrNoSlab says that a call needs a slab and none is open.
	ErrNoSlab = errors.New("no slab is open")
	// ErrBlock says that a pointer and a size are not those of a block of Alloc.
	ErrBlock = errors.New("the memory given is not a block of " + Alloc)
)

// A Result code is what most exports return.
type Result struct {
	Name string // in JavaScript
	Err  error  // its kind in Go; nil for success
}

// Results are the result codes: code i is Results[i].
var Results = [...]Result{
	{"ok", nil},
	{"not-slab", format.ErrNotSlab},
	{"version", format.ErrVersion},
	{"corrupt", format.ErrCorrupt},
	{"unsupported", format.ErrUnsupported},
	{"mode", sla.ErrMode},
	{"image", sla.ErrImage},
	{"selftest", sla.ErrSelfTest},
	{"no-slab", ErrNoSlab},
	{"block", ErrBlock},
}

// Code is the result code of an error, which must be of one of the kinds of Results.
// errors.Is would bring reflection into the module; the errors of format and sla unwrap
// to their kinds in one step.
func Code(err error) int32 {
	if u, ok := err.(interface{ Unwrap() error }); ok {
		err = u.Unwrap()
	}
	for i, r := range Results {
		if r.Err == err {
			return int32(i)
		}
	}
	return -1
}

// GOGC is the environment variable of that name with which the module is to be started:
// the share of garbage, in percent of what an instance holds, with which sla.Need reckons.
// Weights and activations are never garbage, so that the collector has little to look at.
const GOGC = "25"
