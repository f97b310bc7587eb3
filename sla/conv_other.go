//go:build !amd64

package sla

import "github.com/quarterturn/quarterturn/format"

func hasVectors(int) bool { return false }

func packVectors([]float32, int, int, int) []float32 { panic("no vector kernels") }

func convVectors(_, _, _ *value, _ *format.Layer, _, _ []float32) { panic("no vector kernels") }
