package main

import (
	"fmt"
	"math"
	"strings"
)

// A transform is one of Winograd's algorithm F(4x4, 3x3), of tiles of from x from
// numbers to tiles of to x to: with its matrix M, M X Mᵀ. See winograd_generic.go for
// the matrices. steps takes V0, V1 ... to the registers in result.
type transform struct {
	name      string
	from, to  int
	constants []float64 // in V15, V14 ...
	steps     string
	result    []int
	add       bool // to what the destination holds
}

var transforms = []transform{
	{name: "winogradInput", from: 6, to: 6, constants: []float64{4, 5, 2}, steps: `
		VFMADD132PS V15, V4, V0; VFNMADD231PS V14, V2, V0
		VMOVAPS V4, V6; VFNMADD231PS V15, V2, V6; VMOVAPS V3, V7; VFNMADD231PS V15, V1, V7
		VSUBPS V2, V4, V8; VSUBPS V1, V3, V9
		VFMADD132PS V15, V5, V1; VFNMADD231PS V14, V3, V1
		VADDPS V7, V6, V2; VSUBPS V7, V6, V3
		VMOVAPS V8, V4; VFMADD231PS V13, V9, V4; VFNMADD231PS V13, V9, V8`,
		result: []int{0, 2, 3, 4, 8, 1}},
	{name: "winogradOutput", from: 6, to: 4, constants: []float64{2, 4, 8}, steps: `
		VADDPS V2, V1, V6; VSUBPS V2, V1, V7; VADDPS V4, V3, V8; VSUBPS V4, V3, V9
		VADDPS V6, V0, V0; VADDPS V8, V0, V0
		VFMADD231PS V14, V8, V6
		VADDPS V7, V5, V5; VFMADD231PS V13, V9, V5; VFMADD231PS V15, V9, V7`,
		result: []int{0, 7, 6, 5}},
	{name: "winogradGrad", from: 4, to: 6, constants: []float64{2, 4}, steps: `
		VADDPS V2, V0, V4; VADDPS V3, V1, V5; VADDPS V5, V4, V6; VSUBPS V5, V4, V7
		VFMADD213PS V0, V14, V2; VFMADD231PS V14, V3, V1
		VMOVAPS V2, V8; VFMADD231PS V15, V1, V8; VFNMADD231PS V15, V1, V2`,
		result: []int{0, 6, 7, 8, 2, 3}},
	{name: "winogradGradInput", from: 6, to: 6, add: true, constants: []float64{4, 5}, steps: `
		VADDPS V2, V1, V6; VSUBPS V2, V1, V7; VADDPS V4, V3, V8; VSUBPS V4, V3, V9
		VADDPS V9, V9, V9
		VMULPS V15, V7, V1; VADDPS V9, V1, V2; VFMSUB231PS V15, V5, V2
		VMULPS V15, V6, V3; VADDPS V8, V3, V4; VFNMSUB231PS V14, V0, V4
		VADDPS V7, V9, V9; VFNMADD231PS V14, V5, V9
		VADDPS V8, V6, V6; VADDPS V0, V6, V6
		VMULPS V15, V0, V0`,
		result: []int{0, 2, 4, 9, 6, 5}},
	{name: "winogradWeights", from: 3, to: 6, constants: []float64{1. / 4, -1. / 6, 1. / 24, 1. / 12}, steps: `
		VADDPS V2, V0, V3; VADDPS V1, V3, V4; VMULPS V14, V4, V4; VSUBPS V1, V3, V5; VMULPS V14, V5, V5
		VMULPS V13, V0, V6; VFNMADD231PS V14, V2, V6
		VMOVAPS V6, V7; VFMADD231PS V12, V1, V6; VFNMADD231PS V12, V1, V7
		VMULPS V15, V0, V0`,
		result: []int{0, 4, 5, 6, 7, 2}},
	{name: "winogradGradWeights", from: 6, to: 3, constants: []float64{1. / 4, -1. / 6, 1. / 24, 1. / 12}, steps: `
		VADDPS V2, V1, V6; VSUBPS V2, V1, V7; VADDPS V4, V3, V8; VSUBPS V4, V3, V9
		VMULPS V14, V6, V6
		VFMADD213PS V6, V15, V0; VFMADD231PS V13, V8, V0
		VMULPS V14, V7, V1; VFMADD231PS V12, V9, V1
		VADDPS V6, V5, V2; VFNMADD231PS V14, V8, V2`,
		result: []int{0, 1, 2}},
}

const winogradTile = 6 // the larger side of a transform

// scratch is the address of number (i, k) between the two passes of a transform.
func (s isa) scratch(i, k int) string {
	return fmt.Sprintf("%d(R11)", (i*winogradTile+k)*4*s.lanes)
}

// stepsFrom addresses steps of 0 to 5 from a base, given the registers with one, three and
// five times the distance.
func stepsFrom(base, one, three, five string) []string {
	return []string{fmt.Sprintf("(%s)", base), fmt.Sprintf("(%s)(%s*1)", base, one), fmt.Sprintf("(%s)(%s*2)", base, one),
		fmt.Sprintf("(%s)(%s*1)", base, three), fmt.Sprintf("(%s)(%s*4)", base, one), fmt.Sprintf("(%s)(%s*1)", base, five)}
}

// transform writes the kernel: first down the columns, then along the rows.
func (s isa) transform(t transform) {
	name := t.name + s.name
	frame := winogradTile*winogradTile*4*s.lanes + 64
	fmt.Fprintf(&decl, "//go:noescape\nfunc %s(x *float32, xPixel, xRow uintptr, y *float32, yPixel, yRow, n uintptr)\n\n", name)
	p("\nTEXT ·%s(SB), 0, $%d-56", name, frame)
	p("\tMOVQ x+0(FP), SI\n\tMOVQ xPixel+8(FP), R8\n\tMOVQ xRow+16(FP), R12")
	p("\tMOVQ y+24(FP), DI\n\tMOVQ yPixel+32(FP), R9\n\tMOVQ yRow+40(FP), AX\n\tMOVQ n+48(FP), CX")
	p("\tLEAQ (R12)(R12*2), R13\n\tLEAQ (R12)(R12*4), R14\n\tLEAQ (R9)(R9*2), R10\n\tLEAQ (R9)(R9*4), R15")
	p("\tLEAQ scratch-%d(SP), R11\n\tADDQ $63, R11\n\tANDQ $-64, R11", frame)
	for i, c := range t.constants {
		p("\tVBROADCASTSS winograd%s<>(SB), %s", constantName(c), s.vector(15-i))
	}
	body := func() {
		for _, line := range strings.Split(strings.TrimSpace(t.steps), "\n") {
			s.do(strings.TrimSpace(line))
		}
	}
	p("loop:\n\tMOVQ SI, BX")
	down := stepsFrom("BX", "R12", "R13", "R14")
	for k := range t.from {
		for i := range t.from {
			p("\tVMOVUPS %s, %s", down[i], s.vector(i))
		}
		body()
		for i, r := range t.result {
			p("\tVMOVAPS %s, %s", s.vector(r), s.scratch(i, k))
		}
		if k < t.from-1 {
			p("\tADDQ R8, BX")
		}
	}
	p("\tMOVQ DI, DX")
	along := stepsFrom("DX", "R9", "R10", "R15")
	for i := range t.to {
		for k := range t.from {
			p("\tVMOVAPS %s, %s", s.scratch(i, k), s.vector(k))
		}
		body()
		for k, r := range t.result {
			if t.add {
				p("\tVADDPS %s, %s, %s", along[k], s.vector(r), s.vector(r))
			}
			p("\tVMOVUPS %s, %s", s.vector(r), along[k])
		}
		if i < t.to-1 {
			p("\tADDQ AX, DX")
		}
	}
	p("\tADDQ $%d, SI\n\tADDQ $%d, DI\n\tSUBQ $%d, CX\n\tJNZ loop\n\tVZEROUPPER\n\tRET", 4*s.lanes, 4*s.lanes, s.lanes)
}

func constantName(c float64) string {
	return strings.NewReplacer("-", "Minus", ".", "p").Replace(fmt.Sprintf("%.4f", c))
}

// constants writes what transforms multiply by.
func constants() {
	done := map[string]bool{}
	for _, t := range transforms {
		for _, c := range t.constants {
			if name := constantName(c); !done[name] {
				done[name] = true
				p("\nDATA winograd%s<>+0(SB)/4, $0x%08x\nGLOBL winograd%s<>(SB), RODATA|NOPTR, $4", name, math.Float32bits(float32(c)), name)
			}
		}
	}
}
