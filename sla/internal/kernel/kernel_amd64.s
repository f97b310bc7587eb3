#include "textflag.h"
#include "go_asm.h"

// A vector holds eight neighbouring channels. Multiply, then add: fusing them
// would give other bits than the scalar kernels do.

// TWO adds to the sums of an output, two vectors of channels, its input times the
// weights in Y8 and Y9; ONE does so for one vector.
#define TWO(x, first, second) \
	VBROADCASTSS x, Y10; \
	VMULPS Y10, Y8, Y11; \
	VMULPS Y10, Y9, Y12; \
	VADDPS Y11, first, first; \
	VADDPS Y12, second, second

#define ONE(x, first, second) \
	VBROADCASTSS x, Y10; \
	VMULPS Y10, Y8, Y11; \
	VADDPS Y11, first, first

#define BIAS2 \
	VMOVUPS (BX), Y0; \
	VMOVUPS 32(BX), Y1; \
	VMOVAPS Y0, Y2; VMOVAPS Y1, Y3; \
	VMOVAPS Y0, Y4; VMOVAPS Y1, Y5; \
	VMOVAPS Y0, Y6; VMOVAPS Y1, Y7

#define BIAS1 \
	VMOVUPS (BX), Y0; \
	VMOVAPS Y0, Y2; \
	VMOVAPS Y0, Y4; \
	VMOVAPS Y0, Y6

#define WEIGHTS2 \
	VMOVUPS (DI), Y8; \
	VMOVUPS (DI)(R10*1), Y9

#define WEIGHTS1 VMOVUPS (DI), Y8

#define STORE2 \
	VMOVUPS Y0, (DX); VMOVUPS Y1, 32(DX); \
	VMOVUPS Y2, (DX)(R11*1); VMOVUPS Y3, 32(DX)(R11*1); \
	VMOVUPS Y4, (DX)(R11*2); VMOVUPS Y5, 32(DX)(R11*2); \
	VMOVUPS Y6, (DX)(R12*1); VMOVUPS Y7, 32(DX)(R12*1)

#define STORE1 \
	VMOVUPS Y0, (DX); \
	VMOVUPS Y2, (DX)(R11*1); \
	VMOVUPS Y4, (DX)(R11*2); \
	VMOVUPS Y6, (DX)(R12*1)

// NEXT2 sets R12 so that R12 + 2 DI walks over the weights of the next sixteen channels
// while DI walks over eight of these; with NEXT1, R12 + DI walks over those of eight.
#define NEXT2 \
	LEAQ (R10)(R10*1), R12; \
	SUBQ DI, R12

#define NEXT1 MOVQ R10, R12

// OUTPUTS makes some channels of all outputs, four at a time. SI walks over the
// inputs and DI over the weights, which end where those of the next channels begin. By
// way of R12 these are asked for: where outputs are few, it takes longer to read weights
// that come from a far cache than to multiply by them.
#define OUTPUTS(output, row, column, next, groups, bias, weights, add, store) \
	MOVQ GEMMArgs_A(AX), CX; \
	MOVQ y-8(SP), DX; \
	MOVQ GEMMArgs_M(AX), R15; \
output: \
	bias; \
	MOVQ CX, SI; \
	MOVQ w-16(SP), DI; \
	next; \
	MOVQ GEMMArgs_KRows(AX), R14; \
	MOVQ R14, rows-24(SP); \
row: \
	MOVQ GEMMArgs_K(AX), R14; \
column: \
	PREFETCHT0 (R12)(DI*groups); \
	weights; \
	add((SI), Y0, Y1); \
	add((SI)(R8*1), Y2, Y3); \
	add((SI)(R8*2), Y4, Y5); \
	add((SI)(R9*1), Y6, Y7); \
	ADDQ $4, SI; \
	ADDQ $32, DI; \
	DECQ R14; \
	JNZ  column; \
	ADDQ R13, SI; \
	DECQ rows-24(SP); \
	JNZ  row; \
	LEAQ (R11)(R11*2), R12; \
	store; \
	LEAQ (CX)(R8*4), CX; \
	LEAQ (DX)(R11*4), DX; \
	SUBQ $const_MR, R15; \
	JNZ  output

// func gemmAVX2(a *GEMMArgs)
//
// R8 and R9 are one and three steps of x, R11 and then R12 of y, R10 is the distance to
// the weights of the next eight channels, R13 from the end of a row of the window to
// the next row.
TEXT ·gemmAVX2(SB), NOSPLIT, $32-8
	MOVQ a+0(FP), AX
	MOVQ GEMMArgs_AStride(AX), R8
	SHLQ $2, R8
	LEAQ (R8)(R8*2), R9
	MOVQ GEMMArgs_CStride(AX), R11
	SHLQ $2, R11
	MOVQ GEMMArgs_K(AX), R14
	MOVQ GEMMArgs_KRows(AX), R10
	IMULQ R14, R10
	SHLQ $5, R10
	SHLQ $2, R14
	MOVQ GEMMArgs_ARowStride(AX), R13
	SHLQ $2, R13
	SUBQ R14, R13
	MOVQ GEMMArgs_B(AX), BX
	MOVQ BX, w-16(SP)
	MOVQ GEMMArgs_C(AX), BX
	MOVQ BX, y-8(SP)
	MOVQ GEMMArgs_NGroups(AX), BX
	MOVQ BX, groups-32(SP)
	MOVQ GEMMArgs_Bias(AX), BX

groups:
	CMPQ groups-32(SP), $1
	JEQ  last
	OUTPUTS(output2, row2, column2, NEXT2, 2, BIAS2, WEIGHTS2, TWO, STORE2)
	ADDQ R10, DI
	MOVQ DI, w-16(SP)
	ADDQ $64, BX
	ADDQ $64, y-8(SP)
	SUBQ $2, groups-32(SP)
	JNZ  groups
	VZEROUPPER
	RET

last:
	OUTPUTS(output1, row1, column1, NEXT1, 1, BIAS1, WEIGHTS1, ONE, STORE1)
	VZEROUPPER
	RET

// With AVX-512 a vector holds sixteen channels, of two groups. PAIR loads their weights;
// ADD16 adds to an output's sums its input times them.
#define PAIR \
	VMOVUPS (DI), Y8; \
	VINSERTF64X4 $1, (DI)(R10*1), Z8, Z8

#define ADD16(x, product, sum) \
	VMULPS.BCST x, Z8, product; \
	VADDPS product, sum, sum

#define BIAS16 \
	VMOVUPS (BX), Z0; \
	VMOVAPS Z0, Z1; VMOVAPS Z0, Z2; VMOVAPS Z0, Z3

#define FOUR16 \
	ADD16((SI), Z16, Z0); \
	ADD16((SI)(R8*1), Z17, Z1); \
	ADD16((SI)(R8*2), Z18, Z2); \
	ADD16((SI)(R9*1), Z19, Z3)

#define STORE16 \
	VMOVUPS Z0, (DX); \
	VMOVUPS Z1, (DX)(R11*1); \
	VMOVUPS Z2, (DX)(R11*2); \
	VMOVUPS Z3, (DX)(R12*1); \
	LEAQ (DX)(R11*4), DX

// PRODUCTS goes over the window of some outputs: CX is the first one's input.
#define PRODUCTS(row, column, add) \
	MOVQ w-16(SP), DI; \
	NEXT2; \
	MOVQ GEMMArgs_KRows(AX), R14; \
	MOVQ R14, rows-24(SP); \
row: \
	MOVQ GEMMArgs_K(AX), R14; \
column: \
	PREFETCHT0 (R12)(DI*2); \
	PAIR; \
	add; \
	ADDQ $4, SI; \
	ADDQ $32, DI; \
	DECQ R14; \
	JNZ  column; \
	ADDQ R13, SI; \
	DECQ rows-24(SP); \
	JNZ  row; \
	LEAQ (R11)(R11*2), R12

// EIGHT16 is FOUR16 of twice as many outputs.
#define EIGHT16 \
	LEAQ (SI)(R8*4), R15; \
	FOUR16; \
	ADD16((R15), Z20, Z4); \
	ADD16((R15)(R8*1), Z21, Z5); \
	ADD16((R15)(R8*2), Z22, Z6); \
	ADD16((R15)(R9*1), Z23, Z7)

// func gemmAVX512(a *GEMMArgs)
//
// It computes whole pairs of groups, eight outputs at a time and the last four. The
// registers are those of gemmAVX2.
TEXT ·gemmAVX512(SB), NOSPLIT, $40-8
	MOVQ a+0(FP), AX
	MOVQ GEMMArgs_AStride(AX), R8
	SHLQ $2, R8
	LEAQ (R8)(R8*2), R9
	MOVQ GEMMArgs_CStride(AX), R11
	SHLQ $2, R11
	MOVQ GEMMArgs_K(AX), R14
	MOVQ GEMMArgs_KRows(AX), R10
	IMULQ R14, R10
	SHLQ $5, R10
	SHLQ $2, R14
	MOVQ GEMMArgs_ARowStride(AX), R13
	SHLQ $2, R13
	SUBQ R14, R13
	MOVQ GEMMArgs_B(AX), BX
	MOVQ BX, w-16(SP)
	MOVQ GEMMArgs_C(AX), BX
	MOVQ BX, y-8(SP)
	MOVQ GEMMArgs_NGroups(AX), BX
	SHRQ $1, BX
	MOVQ BX, pairs-32(SP)
	MOVQ GEMMArgs_Bias(AX), BX

pairs:
	MOVQ GEMMArgs_A(AX), CX
	MOVQ y-8(SP), DX
	MOVQ GEMMArgs_M(AX), R15
	MOVQ R15, left-40(SP)

outputs:
	MOVQ CX, SI
	BIAS16
	CMPQ left-40(SP), $8
	JLT  four
	VMOVAPS Z0, Z4
	VMOVAPS Z0, Z5
	VMOVAPS Z0, Z6
	VMOVAPS Z0, Z7
	PRODUCTS(row8, column8, EIGHT16)
	STORE16
	VMOVUPS Z4, (DX)
	VMOVUPS Z5, (DX)(R11*1)
	VMOVUPS Z6, (DX)(R11*2)
	VMOVUPS Z7, (DX)(R12*1)
	LEAQ (DX)(R11*4), DX
	LEAQ (CX)(R8*8), CX
	SUBQ $8, left-40(SP)
	JNZ  outputs
	JMP  next

four:
	PRODUCTS(row4, column4, FOUR16)
	STORE16

next:
	ADDQ R10, DI
	MOVQ DI, w-16(SP)
	ADDQ $64, BX
	ADDQ $64, y-8(SP)
	DECQ pairs-32(SP)
	JNZ  pairs
	VZEROUPPER
	RET

DATA ·four(SB)/4, $4.0
GLOBL ·four(SB), RODATA|NOPTR, $4

// INPUTTRANSFORM is inputTransform of Y0 to Y5, into Y10, Y13, Y6, Y7, Y9 and Y11; Y15 is 4.
#define INPUTTRANSFORM \
	VMULPS Y15, Y1, Y6; VSUBPS Y6, Y3, Y6; \
	VMULPS Y15, Y2, Y7; VSUBPS Y7, Y4, Y7; \
	VSUBPS Y1, Y3, Y8; \
	VSUBPS Y2, Y4, Y9; \
	VSUBPS Y2, Y0, Y10; VMULPS Y15, Y10, Y10; VADDPS Y10, Y9, Y10; \
	VSUBPS Y3, Y5, Y11; VMULPS Y15, Y8, Y12; VSUBPS Y12, Y11, Y11; \
	VADDPS Y8, Y8, Y12; \
	VADDPS Y6, Y7, Y13; \
	VSUBPS Y6, Y7, Y6; \
	VADDPS Y12, Y9, Y7; \
	VSUBPS Y12, Y9, Y9

// func winogradInputAVX2(a *WinogradInputArgs)
//
// DI walks over rows of the tile, then over columns of the transformed tile; R8 and R9, R10
// are one, three and five steps.
TEXT ·winogradInputAVX2(SB), 0, $1152-8
	MOVQ a+0(FP), AX
	VBROADCASTSS ·four(SB), Y15
	MOVQ WinogradInputArgs_X(AX), SI
	MOVQ WinogradInputArgs_Y(AX), DX
	MOVQ WinogradInputArgs_Channels(AX), CX
	MOVQ WinogradInputArgs_XStride(AX), R8
	SHLQ $2, R8
	LEAQ (R8)(R8*2), R9
	LEAQ (R8)(R8*4), R10
	MOVQ WinogradInputArgs_YStride(AX), R11
	SHLQ $2, R11
	LEAQ (R11)(R11*2), R12
	ADDQ R12, R12 // a row of the transformed tile
	LEAQ (R12)(R12*2), R13
	LEAQ (R12)(R12*4), R14
	MOVQ WinogradInputArgs_XRowStride(AX), R15
	SHLQ $2, R15

channels:
	MOVQ SI, DI
	LEAQ t-1152(SP), BX
	MOVQ $6, AX

rows:
	VMOVUPS (DI), Y0
	VMOVUPS (DI)(R8*1), Y1
	VMOVUPS (DI)(R8*2), Y2
	VMOVUPS (DI)(R9*1), Y3
	VMOVUPS (DI)(R8*4), Y4
	VMOVUPS (DI)(R10*1), Y5
	INPUTTRANSFORM
	VMOVUPS Y10, (BX)
	VMOVUPS Y13, 32(BX)
	VMOVUPS Y6, 64(BX)
	VMOVUPS Y7, 96(BX)
	VMOVUPS Y9, 128(BX)
	VMOVUPS Y11, 160(BX)
	ADDQ R15, DI
	ADDQ $192, BX
	DECQ AX
	JNZ  rows
	MOVQ DX, DI
	LEAQ t-1152(SP), BX
	MOVQ $6, AX

columns:
	VMOVUPS (BX), Y0
	VMOVUPS 192(BX), Y1
	VMOVUPS 384(BX), Y2
	VMOVUPS 576(BX), Y3
	VMOVUPS 768(BX), Y4
	VMOVUPS 960(BX), Y5
	INPUTTRANSFORM
	VMOVUPS Y10, (DI)
	VMOVUPS Y13, (DI)(R12*1)
	VMOVUPS Y6, (DI)(R12*2)
	VMOVUPS Y7, (DI)(R13*1)
	VMOVUPS Y9, (DI)(R12*4)
	VMOVUPS Y11, (DI)(R14*1)
	ADDQ R11, DI
	ADDQ $32, BX
	DECQ AX
	JNZ  columns
	ADDQ $32, SI
	ADDQ $32, DX
	SUBQ $const_ChannelGroup, CX
	JGT  channels
	VZEROUPPER
	RET

// OUTPUTTRANSFORM is outputTransform of Y0 to Y5, into Y0 to Y3; Y15 is 4.
#define OUTPUTTRANSFORM \
	VADDPS Y2, Y1, Y6; \
	VSUBPS Y2, Y1, Y7; \
	VADDPS Y4, Y3, Y8; \
	VSUBPS Y4, Y3, Y9; \
	VADDPS Y6, Y0, Y0; VADDPS Y8, Y0, Y0; \
	VADDPS Y9, Y9, Y10; VADDPS Y10, Y7, Y1; \
	VMULPS Y15, Y8, Y8; VADDPS Y8, Y6, Y2; \
	VMULPS Y15, Y10, Y10; VADDPS Y10, Y7, Y3; VADDPS Y5, Y3, Y3

// FINISH makes one output of a sum: bias, residual, ReLU. VMAXPS gives its last
// source for zeros and NaN, so -0 and NaN stay, as in the other kernels.
#define FINISH(sum, y, residual) \
	VADDPS Y14, sum, sum; \
	TESTQ R9, R9; \
	JZ    2(PC); \
	VADDPS residual, sum, sum; \
	TESTQ R10, R10; \
	JZ    2(PC); \
	VMAXPS sum, Y13, sum; \
	VMOVUPS sum, y

// func winogradOutputAVX2(a *WinogradOutputArgs)
//
// SI walks over columns of the transformed tile, DI over rows of the tile and R9 over those
// of the residual. R11 is a row of the transformed tile, R12 and R13 are three and five of
// them; then R11 and R12 are one and three pixels.
TEXT ·winogradOutputAVX2(SB), 0, $800-8
	MOVQ a+0(FP), AX
	VBROADCASTSS ·four(SB), Y15
	VXORPS Y13, Y13, Y13
	MOVQ WinogradOutputArgs_Channels(AX), CX
	MOVQ WinogradOutputArgs_ReLU(AX), R10
	MOVQ WinogradOutputArgs_XStride(AX), R8
	SHLQ $2, R8
	XORQ DX, DX // bytes of the channels that are done

channels:
	MOVQ WinogradOutputArgs_X(AX), SI
	ADDQ DX, SI
	LEAQ (R8)(R8*2), R11
	ADDQ R11, R11
	LEAQ (R11)(R11*2), R12
	LEAQ (R11)(R11*4), R13
	LEAQ t-768(SP), BX
	MOVQ $6, R14

columns:
	VMOVUPS (SI), Y0
	VMOVUPS (SI)(R11*1), Y1
	VMOVUPS (SI)(R11*2), Y2
	VMOVUPS (SI)(R12*1), Y3
	VMOVUPS (SI)(R11*4), Y4
	VMOVUPS (SI)(R13*1), Y5
	OUTPUTTRANSFORM
	VMOVUPS Y0, (BX)
	VMOVUPS Y1, 192(BX)
	VMOVUPS Y2, 384(BX)
	VMOVUPS Y3, 576(BX)
	ADDQ R8, SI
	ADDQ $32, BX
	DECQ R14
	JNZ  columns
	MOVQ WinogradOutputArgs_Y(AX), DI
	ADDQ DX, DI
	MOVQ WinogradOutputArgs_Residual(AX), R9
	TESTQ R9, R9
	JZ   2(PC)
	ADDQ DX, R9
	MOVQ WinogradOutputArgs_Bias(AX), BX
	VMOVUPS (BX)(DX*1), Y14
	MOVQ WinogradOutputArgs_YStride(AX), R11
	SHLQ $2, R11
	LEAQ (R11)(R11*2), R12
	LEAQ t-768(SP), BX
	MOVQ $4, R14

rows:
	VMOVUPS (BX), Y0
	VMOVUPS 32(BX), Y1
	VMOVUPS 64(BX), Y2
	VMOVUPS 96(BX), Y3
	VMOVUPS 128(BX), Y4
	VMOVUPS 160(BX), Y5
	OUTPUTTRANSFORM
	FINISH(Y0, (DI), (R9))
	FINISH(Y1, (DI)(R11*1), (R9)(R11*1))
	FINISH(Y2, (DI)(R11*2), (R9)(R11*2))
	FINISH(Y3, (DI)(R12*1), (R9)(R12*1))
	MOVQ WinogradOutputArgs_YRowStride(AX), R13
	LEAQ (DI)(R13*4), DI
	TESTQ R9, R9
	JZ   3(PC)
	MOVQ WinogradOutputArgs_ResidualRowStride(AX), R13
	LEAQ (R9)(R13*4), R9
	ADDQ $192, BX
	DECQ R14
	JNZ  rows
	ADDQ $32, DX
	SUBQ $const_ChannelGroup, CX
	JNZ  channels
	VZEROUPPER
	RET

// func vectors() int
TEXT ·vectors(SB), NOSPLIT, $0-8
	MOVQ $0, ret+0(FP)
	MOVL $1, AX
	XORL CX, CX
	CPUID
	ANDL $0x18000000, CX // OSXSAVE, AVX
	CMPL CX, $0x18000000
	JNE  no
	XORL CX, CX
	XGETBV
	MOVL AX, R8
	ANDL $6, AX // the system saves XMM and YMM
	CMPL AX, $6
	JNE  no
	XORL AX, AX
	CPUID
	CMPL AX, $7
	JLT  no
	MOVL $7, AX
	XORL CX, CX
	CPUID
	BTL  $5, BX
	JCC  no
	MOVQ $const_AVX2, ret+0(FP)
	ANDL $0xe0, R8 // and ZMM
	CMPL R8, $0xe0
	JNE  no
	BTL  $16, BX
	JCC  no
	MOVQ $const_AVX512, ret+0(FP)
no:
	RET
