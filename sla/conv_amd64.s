#include "textflag.h"

// TAP adds one column of the window: input vector Y8 times the weights of eight
// output channels, 32 bytes at DI. Multiply, then add: fusing them would give
// other bits than the scalar kernels do.
#define TAP \
	VBROADCASTSS 0(DI), Y9;   VMULPS Y9, Y8, Y9;   VADDPS Y9, Y0, Y0; \
	VBROADCASTSS 4(DI), Y10;  VMULPS Y10, Y8, Y10; VADDPS Y10, Y1, Y1; \
	VBROADCASTSS 8(DI), Y11;  VMULPS Y11, Y8, Y11; VADDPS Y11, Y2, Y2; \
	VBROADCASTSS 12(DI), Y12; VMULPS Y12, Y8, Y12; VADDPS Y12, Y3, Y3; \
	VBROADCASTSS 16(DI), Y9;  VMULPS Y9, Y8, Y9;   VADDPS Y9, Y4, Y4; \
	VBROADCASTSS 20(DI), Y10; VMULPS Y10, Y8, Y10; VADDPS Y10, Y5, Y5; \
	VBROADCASTSS 24(DI), Y11; VMULPS Y11, Y8, Y11; VADDPS Y11, Y6, Y6; \
	VBROADCASTSS 28(DI), Y12; VMULPS Y12, Y8, Y12; VADDPS Y12, Y7, Y7; \
	ADDQ $32, DI

// LOAD reads eight neighbouring floats, LOAD2 every other one of sixteen.
#define LOAD(at) VMOVUPS at(BX), Y8
#define LOAD2(at) \
	VMOVUPS at(BX), Y8; \
	VMOVUPS (at+32)(BX), Y9; \
	VSHUFPS $0x88, Y9, Y8, Y8; \
	VPERMPD $0xD8, Y8, Y8

// STORE finishes the accumulator of one channel: residual, ReLU. VMAXPS gives
// its last source for zeros and NaN, so -0 and NaN stay, as in finish.
#define STORE(acc) \
	TESTQ R11, R11; \
	JZ    3(PC); \
	VADDPS (R11), acc, acc; \
	ADDQ  R12, R11; \
	TESTQ R13, R13; \
	JZ    2(PC); \
	VMAXPS acc, Y15, acc; \
	VMOVUPS acc, (DX); \
	ADDQ  R10, DX

// CONV makes eight neighbouring outputs of a row, of eight channels at a time:
// SI is a channel's window, BX a row of it.
#define CONV(load) \
	MOVQ x+0(FP), SI; \
	MOVQ plane+8(FP), R8; \
	MOVQ row+16(FP), R9; \
	MOVQ channels+24(FP), CX; \
	MOVQ kernel+32(FP), R14; \
	MOVQ w+40(FP), DI; \
	MOVQ bias+48(FP), AX; \
	MOVQ y+56(FP), DX; \
	MOVQ yPlane+64(FP), R10; \
	MOVQ residual+72(FP), R11; \
	MOVQ rPlane+80(FP), R12; \
	MOVQ relu+88(FP), R13; \
	VBROADCASTSS 0(AX), Y0; \
	VBROADCASTSS 4(AX), Y1; \
	VBROADCASTSS 8(AX), Y2; \
	VBROADCASTSS 12(AX), Y3; \
	VBROADCASTSS 16(AX), Y4; \
	VBROADCASTSS 20(AX), Y5; \
	VBROADCASTSS 24(AX), Y6; \
	VBROADCASTSS 28(AX), Y7; \
	VXORPS Y15, Y15, Y15; \
channel: \
	MOVQ SI, BX; \
	MOVQ R14, AX; \
row: \
	CMPQ R14, $3; \
	JNE  any; \
	load(0); \
	TAP; \
	load(4); \
	TAP; \
	load(8); \
	TAP; \
	JMP  next; \
any: \
	LEAQ (BX)(R14*4), R15; \
column: \
	load(0); \
	TAP; \
	ADDQ $4, BX; \
	CMPQ BX, R15; \
	JNE  column; \
	LEAQ (R14*4), R15; \
	SUBQ R15, BX; \
next: \
	ADDQ R9, BX; \
	DECQ AX; \
	JNZ  row; \
	ADDQ R8, SI; \
	DECQ CX; \
	JNZ  channel; \
	STORE(Y0); \
	STORE(Y1); \
	STORE(Y2); \
	STORE(Y3); \
	STORE(Y4); \
	STORE(Y5); \
	STORE(Y6); \
	STORE(Y7); \
	VZEROUPPER; \
	RET

// func convAVX2(x *float32, plane, row, channels, kernel uintptr, w, bias, y *float32, yPlane uintptr, residual *float32, rPlane, relu uintptr)
TEXT ·convAVX2(SB), NOSPLIT, $0-96
	CONV(LOAD)

// func convStride2AVX2(x *float32, plane, row, channels, kernel uintptr, w, bias, y *float32, yPlane uintptr, residual *float32, rPlane, relu uintptr)
TEXT ·convStride2AVX2(SB), NOSPLIT, $0-96
	CONV(LOAD2)

// func hasAVX2() bool
TEXT ·hasAVX2(SB), NOSPLIT, $0-1
	MOVB $0, ret+0(FP)
	MOVL $1, AX
	XORL CX, CX
	CPUID
	ANDL $0x18000000, CX // OSXSAVE, AVX
	CMPL CX, $0x18000000
	JNE  no
	XORL CX, CX
	XGETBV
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
	SHRL $5, BX
	ANDL $1, BX
	MOVB BX, ret+0(FP)
no:
	RET
