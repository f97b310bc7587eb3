package main

import "fmt"

// pool writes the kernels of 2x2 max pooling, a row of pixels at a time: maxPool, which
// notes in a bit an element whether the largest is in the second column of its window
// and in another whether it is in the second row, and maxPoolGrad, which puts gradients
// where these bits say.
func (s isa) pool() {
	fmt.Fprintf(&decl, "//go:noescape\nfunc maxPool%s(y *float32, column, row *byte, x *float32, xRow, channels, pixels uintptr)\n\n", s.name)
	p("\nTEXT ·maxPool%s(SB), NOSPLIT, $0-56", s.name)
	p("\tMOVQ y+0(FP), DI\n\tMOVQ column+8(FP), R11\n\tMOVQ row+16(FP), R12\n\tMOVQ x+24(FP), SI")
	p("\tMOVQ xRow+32(FP), R9\n\tMOVQ channels+40(FP), R8\n\tMOVQ pixels+48(FP), CX")
	p("\tSHLQ $2, R8\n\tLEAQ (R9)(R8*1), R10")
	p("pixel:\n\tMOVQ R8, DX\nchannel:")
	s.do("VMOVUPS (SI), V0; VMOVUPS (SI)(R8*1), V1; VMOVUPS (SI)(R9*1), V2; VMOVUPS (SI)(R10*1), V3")
	if s.lanes == 16 {
		s.do("VCMPPS $1, V1, V0, K1; VCMPPS $1, V3, V2, K2; VMAXPS V1, V0, V0; VMAXPS V3, V2, V2")
		s.do("VCMPPS $1, V2, V0, K3; VMAXPS V2, V0, V0")
		s.do("KANDNW K1, K3, K4; KANDW K2, K3, K5; KORW K4, K5, K4")
		s.do("KMOVW K4, AX; MOVW AX, (R11); KMOVW K3, AX; MOVW AX, (R12)")
	} else {
		s.do("VCMPPS $1, V1, V0, V4; VCMPPS $1, V3, V2, V5; VMAXPS V1, V0, V0; VMAXPS V3, V2, V2")
		s.do("VCMPPS $1, V2, V0, V6; VMAXPS V2, V0, V0; VBLENDVPS V6, V5, V4, V7")
		s.do("VMOVMSKPS V7, AX; MOVB AX, (R11); VMOVMSKPS V6, AX; MOVB AX, (R12)")
	}
	s.do("VMOVUPS V0, (DI)")
	s.nextPoolVector()

	fmt.Fprintf(&decl, "//go:noescape\nfunc maxPoolGrad%s(dx *float32, dxRow uintptr, column, row *byte, dy *float32, channels, pixels uintptr)\n\n", s.name)
	p("\nTEXT ·maxPoolGrad%s(SB), NOSPLIT, $0-56", s.name)
	p("\tMOVQ dx+0(FP), SI\n\tMOVQ dxRow+8(FP), R9\n\tMOVQ column+16(FP), R11\n\tMOVQ row+24(FP), R12\n\tMOVQ dy+32(FP), DI")
	p("\tMOVQ channels+40(FP), R8\n\tMOVQ pixels+48(FP), CX")
	p("\tSHLQ $2, R8\n\tLEAQ (R9)(R8*1), R10")
	if s.lanes != 16 {
		s.do("VMOVDQU poolBits<>(SB), V8")
	}
	p("pixel:\n\tMOVQ R8, DX\nchannel:")
	s.do("VMOVUPS (DI), V0")
	if s.lanes == 16 {
		s.do("KMOVW (R11), K1; KMOVW (R12), K2; KORW K1, K2, K3; KNOTW K3, K3; KANDNW K1, K2, K4; KANDNW K2, K1, K5; KANDW K1, K2, K6")
		s.do("VMOVAPS.Z V0, K3, V1; VMOVAPS.Z V0, K4, V2; VMOVAPS.Z V0, K5, V3; VMOVAPS.Z V0, K6, V4")
	} else {
		s.do("MOVBLZX (R11), AX; VMOVD AX, X5; VPBROADCASTD X5, V5; VPAND V8, V5, V5; VPCMPEQD V8, V5, V5")
		s.do("MOVBLZX (R12), AX; VMOVD AX, X6; VPBROADCASTD X6, V6; VPAND V8, V6, V6; VPCMPEQD V8, V6, V6")
		s.do("VPANDN V0, V5, V1; VPAND V0, V5, V2; VPAND V1, V6, V3; VPAND V2, V6, V4; VPANDN V1, V6, V1; VPANDN V2, V6, V2")
	}
	s.do("VMOVUPS V1, (SI); VMOVUPS V2, (SI)(R8*1); VMOVUPS V3, (SI)(R9*1); VMOVUPS V4, (SI)(R10*1)")
	s.nextPoolVector()
}

// nextPoolVector goes on to the next channels, and to the next pixel, of which the larger
// image has two.
func (s isa) nextPoolVector() {
	v := 4 * s.lanes
	p("\tADDQ $%d, SI\n\tADDQ $%d, DI\n\tADDQ $%d, R11\n\tADDQ $%d, R12\n\tSUBQ $%d, DX\n\tJNZ channel", v, v, s.lanes/8, s.lanes/8, v)
	p("\tADDQ R8, SI\n\tDECQ CX\n\tJNZ pixel\n\tVZEROUPPER\n\tRET")
}

// poolConstants writes the bit of each element.
func poolConstants() {
	p("")
	for i := range 8 {
		p("DATA poolBits<>+%d(SB)/4, $%d", 4*i, 1<<i)
	}
	p("GLOBL poolBits<>(SB), RODATA|NOPTR, $32")
}
