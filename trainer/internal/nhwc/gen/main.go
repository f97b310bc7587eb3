// Command gen writes the vector kernels of package nhwc: kernels_amd64.s and the
// declarations and tables in kernels_amd64.go. Run it with go generate.
//
// forwardPxV makes P neighbouring pixels of V vectors of output channels in
// registers; weightsIxV makes I input channels by V vectors of output channels
// of a weight gradient. AVX2 has vectors of 8 and 16 registers: twelve
// accumulators, two weight vectors and two broadcasts. AVX-512 has vectors of 16
// and 32 registers, and tiles that divide the widths of CIFAR maps and the
// three times 16 or 32 channels of a row of a 3x3 window.
//
// The kernels of batch normalisation go element by element over n floats, a
// multiple of the vector's; see norm_generic.go for what each computes.
package main

import (
	"bytes"
	"fmt"
	"go/format"
	"log"
	"os"
	"regexp"
	"strings"
)

const maxVectors = 2 // of output channels that a kernel makes

// An isa is an instruction set: its names, vectors and tiles.
type isa struct {
	name   string
	reg    string // of a vector register
	lanes  int    // floats in a vector
	weight int    // the first register for weights, two of them, then two for broadcasts
	// The largest tile with one vector and with two.
	forwardTile, weightsTile [maxVectors + 1]int
}

var isas = []isa{
	{"AVX2", "Y", 8, 12, [...]int{1: 6, 2: 6}, [...]int{1: 12, 2: 6}},
	{"AVX512", "Z", 16, 28, [...]int{1: 16, 2: 8}, [...]int{1: 16, 2: 12}},
}

var asm, decl bytes.Buffer

func p(format string, args ...any) { fmt.Fprintf(&asm, format+"\n", args...) }

// pixel addresses pixel i, displaced by disp bytes: SI is pixel 0, R13 pixel 8,
// R8 the distance of pixels, R9 three, R10 five and R14 seven times that.
func pixel(i, disp int) string {
	index := [...]string{"", "(R8*1)", "(R8*2)", "(R9*1)", "(R8*4)", "(R10*1)", "(R9*2)", "(R14*1)"}[i%8]
	return fmt.Sprintf("%d(%s)%s", disp, [...]string{"SI", "R13"}[i/8], index)
}

func (s isa) vector(i int) string { return fmt.Sprintf("%s%d", s.reg, i) }

func (s isa) clear(i int) {
	v := s.vector(i)
	if s.lanes == 16 {
		p("\tVPXORD %s, %s, %s", v, v, v)
	} else {
		p("\tVXORPS %s, %s, %s", v, v, v)
	}
}

func (s isa) clearAccumulators(n int) {
	for i := range n {
		s.clear(i)
	}
}

// multiply adds broadcast address(i) times the weight vectors for each i.
func (s isa) multiply(tile, vectors int, address func(i int) string) {
	for i := range tile {
		b := s.vector(s.weight + 2 + i%2)
		p("\tVBROADCASTSS %s, %s", address(i), b)
		for v := range vectors {
			p("\tVFMADD231PS %s, %s, %s", s.vector(s.weight+v), b, s.vector(i*vectors+v))
		}
	}
}

func (s isa) loadWeights(vectors int, base string) {
	for v := range vectors {
		p("\tVMOVUPS %d(%s), %s", 4*s.lanes*v, base, s.vector(s.weight+v))
	}
}

func (s isa) forward(tile, vectors int) {
	name := fmt.Sprintf("forward%s_%dx%d", s.name, tile, vectors)
	fmt.Fprintf(&decl, "//go:noescape\nfunc %s(x *float32, pixel, row, length, rows uintptr, w *float32, wRow uintptr, y *float32, yPixel uintptr)\n\n", name)
	p("\nTEXT ·%s(SB), NOSPLIT, $0-72", name)
	for i, r := range []string{"R11", "R8", "R12", "", "BX", "DI", "AX", "DX", "R15"} {
		arg := []string{"x", "pixel", "row", "length", "rows", "w", "wRow", "y", "yPixel"}[i]
		if r != "" { // length is read again for every row
			p("\tMOVQ %s+%d(FP), %s", arg, 8*i, r)
		}
	}
	p("\tLEAQ (R8)(R8*2), R9")
	p("\tLEAQ (R8)(R8*4), R10")
	p("\tLEAQ (R9)(R8*4), R14")
	s.clearAccumulators(tile * vectors)
	p("row:")
	p("\tMOVQ R11, SI")
	step := func(bytes int) {
		p("\tADDQ $%d, SI", bytes)
		if tile > 8 {
			p("\tADDQ $%d, R13", bytes)
		}
	}
	if tile > 8 {
		p("\tLEAQ (SI)(R8*8), R13")
	}
	p("\tMOVQ length+24(FP), CX")
	p("\tSUBQ $4, CX")
	p("\tJLT tail")
	p("four:")
	for u := range 4 {
		s.loadWeights(vectors, "DI")
		p("\tADDQ AX, DI")
		s.multiply(tile, vectors, func(i int) string { return pixel(i, 4*u) })
	}
	step(16)
	p("\tSUBQ $4, CX")
	p("\tJGE four")
	p("tail:")
	p("\tADDQ $4, CX")
	p("\tJZ next")
	p("one:")
	s.loadWeights(vectors, "DI")
	p("\tADDQ AX, DI")
	s.multiply(tile, vectors, func(i int) string { return pixel(i, 0) })
	step(4)
	p("\tDECQ CX")
	p("\tJNZ one")
	p("next:")
	p("\tADDQ R12, R11")
	p("\tDECQ BX")
	p("\tJNZ row")
	for i := range tile {
		for v := range vectors {
			p("\tVMOVUPS %s, %d(DX)", s.vector(i*vectors+v), 4*s.lanes*v)
		}
		p("\tADDQ R15, DX")
	}
	p("\tVZEROUPPER\n\tRET")
}

func (s isa) weights(tile, vectors int) {
	name := fmt.Sprintf("weights%s_%dx%d", s.name, tile, vectors)
	fmt.Fprintf(&decl, "//go:noescape\nfunc %s(x *float32, pixel, row, width, height uintptr, dy *float32, dyPixel, dyRow uintptr, dw *float32, dwRow uintptr)\n\n", name)
	p("\nTEXT ·%s(SB), NOSPLIT, $0-80", name)
	for i, r := range []string{"R11", "R8", "R12", "R13", "BX", "R9", "AX", "R10", "DX", "R15"} {
		arg := []string{"x", "pixel", "row", "width", "height", "dy", "dyPixel", "dyRow", "dw", "dwRow"}[i]
		p("\tMOVQ %s+%d(FP), %s", arg, 8*i, r)
	}
	s.clearAccumulators(tile * vectors)
	p("row:")
	p("\tMOVQ R11, SI")
	p("\tMOVQ R9, DI")
	p("\tMOVQ R13, CX")
	p("column:")
	s.loadWeights(vectors, "DI")
	p("\tADDQ AX, DI")
	s.multiply(tile, vectors, func(i int) string { return fmt.Sprintf("%d(SI)", 4*i) })
	p("\tADDQ R8, SI")
	p("\tDECQ CX")
	p("\tJNZ column")
	p("\tADDQ R12, R11")
	p("\tADDQ R10, R9")
	p("\tDECQ BX")
	p("\tJNZ row")
	for i := range tile {
		for v := range vectors {
			acc := s.vector(i*vectors + v)
			p("\tVADDPS %d(DX), %s, %s", 4*s.lanes*v, acc, acc)
			p("\tVMOVUPS %s, %d(DX)", acc, 4*s.lanes*v)
		}
		p("\tADDQ R15, DX")
	}
	p("\tVZEROUPPER\n\tRET")
}

// peak is nothing but multiply-adds, twelve chains of them: what a core can do.
func (s isa) peak() {
	name := "peak" + s.name
	fmt.Fprintf(&decl, "//go:noescape\nfunc %s(turns uintptr)\n\n", name)
	p("\nTEXT ·%s(SB), NOSPLIT, $0-8\n\tMOVQ turns+0(FP), CX", name)
	s.clearAccumulators(peakChains + 2)
	p("loop:")
	for i := range 4 * peakChains {
		i %= peakChains
		p("\tVFMADD231PS %s, %s, %s", s.vector(peakChains), s.vector(peakChains+1), s.vector(i))
	}
	p("\tDECQ CX\n\tJNZ loop\n\tVZEROUPPER\n\tRET")
}

const peakChains = 12

// elementwise writes a kernel that runs body once for each vector; args are its
// pointers, found in registers by name, and n, a multiple of the lanes, comes last.
func (s isa) elementwise(name string, args []string, body func(reg map[string]string)) {
	registers := []string{"SI", "DI", "R8", "R9", "R10", "R11", "R12", "R13"}
	fmt.Fprintf(&decl, "//go:noescape\nfunc %s%s(%s *float32, n uintptr)\n\n", name, s.name, strings.Join(args, ", "))
	p("\nTEXT ·%s%s(SB), NOSPLIT, $0-%d", name, s.name, 8*len(args)+8)
	reg := map[string]string{}
	for i, a := range args {
		p("\tMOVQ %s+%d(FP), %s", a, 8*i, registers[i])
		reg[a] = "(" + registers[i] + ")(BX*1)"
	}
	p("\tMOVQ n+%d(FP), CX", 8*len(args))
	p("\tSHLQ $2, CX\n\tXORQ BX, BX")
	s.clear(15)
	p("loop:")
	body(reg)
	p("\tADDQ $%d, BX\n\tCMPQ BX, CX\n\tJLT loop\n\tVZEROUPPER\n\tRET", 4*s.lanes)
}

// do writes instructions; "V0" in them is vector register 0, and so on.
func (s isa) do(format string, args ...any) {
	p("\t"+vectorName.ReplaceAllString(strings.ReplaceAll(format, "; ", "\n\t"), s.reg+"$1"), args...)
}

var vectorName = regexp.MustCompile(`\bV([0-9]+)\b`)

func (s isa) norms() {
	s.elementwise("sums", []string{"sum", "square", "x"}, func(r map[string]string) {
		s.do("VMOVUPS %s, V0; VADDPS %s, V0, V1; VMOVUPS V1, %s", r["x"], r["sum"], r["sum"])
		s.do("VMOVUPS %s, V2; VFMADD231PS V0, V0, V2; VMOVUPS V2, %s", r["square"], r["square"])
	})
	for _, v := range []struct {
		name           string
		residual, relu bool
	}{{"affine", false, false}, {"affineReLU", false, true}, {"affineAddReLU", true, true}} {
		args := []string{"y", "x", "scale", "shift"}
		if v.residual {
			args = append(args, "residual")
		}
		s.elementwise(v.name, args, func(r map[string]string) {
			s.do("VMOVUPS %s, V0; VMOVUPS %s, V1; VFMADD132PS %s, V1, V0", r["x"], r["shift"], r["scale"])
			if v.residual {
				s.do("VADDPS %s, V0, V0", r["residual"])
			}
			if v.relu {
				s.do("VMAXPS V0, V15, V0") // in this order a NaN stays one
			}
			s.do("VMOVUPS V0, %s", r["y"])
		})
	}
	// gradient adds V0 to sum and its product with x to product.
	gradient := func(r map[string]string) {
		s.do("VADDPS %s, V0, V1; VMOVUPS V1, %s", r["sum"], r["sum"])
		s.do("VMOVUPS %s, V2; VFMADD231PS %s, V0, V2; VMOVUPS V2, %s", r["product"], r["x"], r["product"])
	}
	s.elementwise("gradSums", []string{"sum", "product", "x", "dy"}, func(r map[string]string) {
		s.do("VMOVUPS %s, V0", r["dy"])
		gradient(r)
	})
	s.elementwise("maskSums", []string{"m", "sum", "product", "x", "dy", "y"}, func(r map[string]string) {
		if s.lanes == 16 { // 0 < y
			s.do("VCMPPS $1, %s, V15, K1; VMOVUPS.Z %s, K1, V0", r["y"], r["dy"])
		} else {
			s.do("VMOVUPS %s, V0; VCMPPS $1, %s, V15, V1; VANDPS V1, V0, V0", r["dy"], r["y"])
		}
		s.do("VMOVUPS V0, %s", r["m"])
		gradient(r)
	})
	// The same, where y is what affineReLU makes of x.
	s.elementwise("maskNormSums", []string{"m", "sum", "product", "x", "dy", "scale", "shift"}, func(r map[string]string) {
		s.do("VMOVUPS %s, V3; VMOVUPS %s, V1; VFMADD132PS %s, V1, V3", r["x"], r["shift"], r["scale"])
		if s.lanes == 16 {
			s.do("VCMPPS $1, V3, V15, K1; VMOVUPS.Z %s, K1, V0", r["dy"])
		} else {
			s.do("VMOVUPS %s, V0; VCMPPS $1, V3, V15, V1; VANDPS V1, V0, V0", r["dy"])
		}
		s.do("VMOVUPS V0, %s", r["m"])
		gradient(r)
	})
	s.elementwise("gradApply", []string{"dx", "x", "dy", "k1", "k2", "k3"}, func(r map[string]string) {
		s.do("VMOVUPS %s, V2; VMOVUPS %s, V3; VFMADD132PS %s, V2, V3", r["k2"], r["x"], r["k3"])
		s.do("VMOVUPS %s, V0; VFMADD231PS %s, V0, V3; VMOVUPS V3, %s", r["dy"], r["k1"], r["dx"])
	})
	s.elementwise("add", []string{"y", "x"}, func(r map[string]string) {
		s.do("VMOVUPS %s, V0; VADDPS %s, V0, V0; VMOVUPS V0, %s", r["y"], r["x"], r["y"])
	})
}

// addPixels writes the kernel that adds pixels of channels floats to float64
// sums, 8 channels at a time.
func addPixels() {
	fmt.Fprintf(&decl, "//go:noescape\nfunc addPixelsAVX2(sum *float64, x *float32, channels, pixels uintptr)\n\n")
	p("\nTEXT ·addPixelsAVX2(SB), NOSPLIT, $0-32")
	p("\tMOVQ sum+0(FP), DI\n\tMOVQ x+8(FP), SI\n\tMOVQ channels+16(FP), CX\n\tMOVQ pixels+24(FP), DX")
	p("\tLEAQ (CX*4), R8")
	p("channels:")
	p("\tVMOVUPD (DI), Y0\n\tVMOVUPD 32(DI), Y1\n\tMOVQ SI, R9\n\tMOVQ DX, BX")
	p("pixels:")
	p("\tVCVTPS2PD (R9), Y2\n\tVCVTPS2PD 16(R9), Y3\n\tVADDPD Y2, Y0, Y0\n\tVADDPD Y3, Y1, Y1")
	p("\tADDQ R8, R9\n\tDECQ BX\n\tJNZ pixels")
	p("\tVMOVUPD Y0, (DI)\n\tVMOVUPD Y1, 32(DI)\n\tADDQ $64, DI\n\tADDQ $32, SI")
	p("\tSUBQ $8, CX\n\tJNZ channels\n\tVZEROUPPER\n\tRET")
}

// each calls f for every tile and number of vectors.
func each(largest [maxVectors + 1]int, f func(tile, vectors int)) {
	for vectors := 1; vectors <= maxVectors; vectors++ {
		for tile := 1; tile <= largest[vectors]; tile++ {
			f(tile, vectors)
		}
	}
}

func (s isa) table() {
	fmt.Fprintf(&decl, "var kernels%s = kernels{lanes: %d, peak: peak%s, peakFLOP: %d,\n", s.name, s.lanes, s.name, 4*peakChains*2*s.lanes)
	for _, kind := range []struct {
		name    string
		largest [maxVectors + 1]int
	}{{"forward", s.forwardTile}, {"weights", s.weightsTile}} {
		fmt.Fprintf(&decl, "\t%s: [vectorMax + 1][]%sKernel{\n", kind.name, kind.name)
		each(kind.largest, func(tile, vectors int) {
			if tile == 1 {
				fmt.Fprintf(&decl, "\t\t%d: {", vectors)
			}
			fmt.Fprintf(&decl, "%d: %s%s_%dx%d,", tile, kind.name, s.name, tile, vectors)
			if tile == kind.largest[vectors] {
				fmt.Fprintf(&decl, "},\n")
			}
		})
		fmt.Fprintf(&decl, "\t},\n")
	}
	for _, t := range transforms {
		fmt.Fprintf(&decl, "\t%s: %s%s,\n", t.name, t.name, s.name)
	}
	fmt.Fprintf(&decl, "\tmaxPool: maxPool%s, maxPoolGrad: maxPoolGrad%s,\n", s.name, s.name)
	fmt.Fprintf(&decl, "}\n\n")
}

func main() {
	const head = "// Code generated by gen/main.go; DO NOT EDIT.\n\n"
	asm.WriteString(head + "#include \"textflag.h\"\n")
	decl.WriteString(head + "package nhwc\n\n")
	for _, s := range isas {
		each(s.forwardTile, s.forward)
		each(s.weightsTile, s.weights)
		s.peak()
		s.norms()
		s.pool()
		for _, t := range transforms {
			s.transform(t)
		}
		s.table()
	}
	addPixels()
	constants()
	poolConstants()
	declared, err := format.Source(decl.Bytes())
	if err != nil {
		log.Fatal(err)
	}
	for file, b := range map[string][]byte{"kernels_amd64.s": asm.Bytes(), "kernels_amd64.go": declared} {
		if err := os.WriteFile(file, append(bytes.TrimRight(b, "\n"), '\n'), 0o644); err != nil {
			log.Fatal(err)
		}
	}
}
