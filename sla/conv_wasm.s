#include "textflag.h"

// In each turn of the innermost loop four inputs meet the weights of two output
// channels: F0 to F3 are the sums of the first, F4 to F7 those of the second.
// Compilers that move arithmetic past loads (TurboFan before V8 12) keep eight
// sums and six loads in registers; with more loads a turn, unrolled or in a larger
// tile, they spill, at half the speed.

// ADDRESS puts an address on the stack.
#define ADDRESS(r) Get r; I32WrapI64

// FIELD reads a field of the tileRow, which R0 points to.
#define FIELD(offset, r) ADDRESS(R0); I64Load $offset; Set r

#define ADVANCE(r, bytes) Get r; I64Const bytes; I64Add; Set r

// MULTIPLY adds the products of the input at an offset and the weights F8 and F9
// to two sums.
#define MULTIPLY(offset, first, second) \
	ADDRESS(R1); F32Load $offset; Set F10; \
	Get F10; Get F8; F32Mul; Get first; F32Add; Set first; \
	Get F10; Get F9; F32Mul; Get second; F32Add; Set second

// REPEAT ends a loop that r counts.
#define REPEAT(r) \
	Get r; I64Const $1; I64Sub; Tee r; I64Eqz; I32Eqz; BrIf $0; \
	End

#define ADDRESIDUAL(offset, sum) ADDRESS(R11); F32Load $offset; Get sum; F32Add; Set sum

// RELU sets a negative sum to zero; NaN and -0 stay, as in finish.
#define RELU(sum) F32Const $(0.0); Get sum; Get sum; F32Const $(0.0); F32Lt; Select; Set sum

#define STORE(offset, sum) ADDRESS(R10); Get sum; F32Store $offset

// Every tile of a row. R2 walks over the weights and R1 over the input; R4 is the
// first input of the tile. R7 counts channels, R8 and R9 rows and columns of the
// window, R15 tiles; R12 and R13 are the output and the residual.
#define TILES(stride) \
	MOVD r+0(FP), R0; \
	FIELD(0, R4); \
	FIELD(56, R3); \
	FIELD(64, R5); \
	FIELD(72, R6); \
	FIELD(24, R12); \
	FIELD(32, R13); \
	FIELD(40, R15); \
	Loop; \
	Get R4; Set R1; \
	FIELD(8, R2); \
	FIELD(16, R10); \
	ADDRESS(R10); F32Load $0; Tee F0; Tee F1; Tee F2; Set F3; \
	ADDRESS(R10); F32Load $4; Tee F4; Tee F5; Tee F6; Set F7; \
	FIELD(48, R7); \
	Loop; \
	Get R3; Set R8; \
	Loop; \
	Get R3; Set R9; \
	Loop; \
	ADDRESS(R2); F32Load $0; Set F8; \
	ADDRESS(R2); F32Load $4; Set F9; \
	MULTIPLY(0, F0, F4); \
	MULTIPLY(4*stride, F1, F5); \
	MULTIPLY(8*stride, F2, F6); \
	MULTIPLY(12*stride, F3, F7); \
	ADVANCE(R2, $8); \
	ADVANCE(R1, $4); \
	REPEAT(R9); \
	Get R1; Get R5; I64Add; Set R1; \
	REPEAT(R8); \
	Get R1; Get R6; I64Add; Set R1; \
	REPEAT(R7); \
	Get R13; I64Eqz; I32Eqz; If; \
	Get R13; Set R11; \
	ADDRESIDUAL(0, F0); ADDRESIDUAL(4, F1); ADDRESIDUAL(8, F2); ADDRESIDUAL(12, F3); \
	FIELD(88, R14); Get R11; Get R14; I64Add; Set R11; \
	ADDRESIDUAL(0, F4); ADDRESIDUAL(4, F5); ADDRESIDUAL(8, F6); ADDRESIDUAL(12, F7); \
	ADVANCE(R13, $16); \
	End; \
	FIELD(96, R14); Get R14; I64Eqz; I32Eqz; If; \
	RELU(F0); RELU(F1); RELU(F2); RELU(F3); RELU(F4); RELU(F5); RELU(F6); RELU(F7); \
	End; \
	Get R12; Set R10; \
	STORE(0, F0); STORE(4, F1); STORE(8, F2); STORE(12, F3); \
	FIELD(80, R14); Get R10; Get R14; I64Add; Set R10; \
	STORE(0, F4); STORE(4, F5); STORE(8, F6); STORE(12, F7); \
	ADVANCE(R12, $16); \
	ADVANCE(R4, $(16*stride)); \
	REPEAT(R15); \
	RET

// func convTiles(r *tileRow)
TEXT ·convTiles(SB), NOSPLIT, $0-8
	TILES(1)

// func convTilesStride2(r *tileRow)
TEXT ·convTilesStride2(SB), NOSPLIT, $0-8
	TILES(2)
