#include "textflag.h"
#include "go_asm.h"

// Compilers that move arithmetic past the loads of a basic block (TurboFan before
// V8 12) have some fourteen registers for what a turn of a loop loads and what it
// sums; with more they spill, at half the speed. So sums has eight sums and six
// loads a turn, and the transforms take one line a turn.

// ADDRESS puts an address on the stack.
#define ADDRESS(r) Get r; I32WrapI64

// FIELD reads a field of the arguments, which R0 points to.
#define FIELD(offset, r) ADDRESS(R0); I64Load $offset; Set r

#define ADVANCE(r, bytes) Get r; I64Const bytes; I64Add; Set r
#define ADD(r, distance) Get r; Get distance; I64Add; Set r

// REPEAT ends a loop that r counts, by so many.
#define REPEAT(r, by) \
	Get r; I64Const by; I64Sub; Tee r; I64Eqz; I32Eqz; BrIf $0; \
	End

#define LOAD(r, offset, f) ADDRESS(r); F32Load offset; Set f
#define STORE(r, offset, f) ADDRESS(r); Get f; F32Store offset

// READ and WRITE are for several floats at fixed distances from what BASE was given.
// Whoever checks bounds before each access (wazero) checks those once, if the
// farthest comes first.
#define BASE(r) ADDRESS(r); Set PC_B
#define READ(offset, f) Get PC_B; F32Load offset; Set f
#define WRITE(offset, f) Get PC_B; Get f; F32Store offset

// MULTIPLY adds a product to a sum. The sum comes first: where an operation writes
// over its first operand (wazero on amd64), it so stays in its register.
#define MULTIPLY(w, x, sum) Get sum; Get w; Get x; F32Mul; F32Add; Set sum

// TURN takes one float of each input.
#define TURN(w0, w1, w2, w3, x) \
	READ(w3, F11); READ(w0, F8); READ(w1, F9); READ(w2, F10); \
	LOAD(R1, x, F12); \
	MULTIPLY(F8, F12, F0); MULTIPLY(F9, F12, F1); MULTIPLY(F10, F12, F2); MULTIPLY(F11, F12, F3); \
	LOAD(R2, x, F13); \
	MULTIPLY(F8, F13, F4); MULTIPLY(F9, F13, F5); MULTIPLY(F10, F13, F6); MULTIPLY(F11, F13, F7)

// func sums(a *sumsArgs)
//
// Four channels, with the weights F8 to F11, of two outputs, with the inputs F12 and
// F13. R1 and R2 walk over the inputs, R6 over the weights, which end where those of
// the next channels begin.
TEXT ·sums(SB), NOSPLIT, $0-8
	MOVD a+0(FP), R0
	FIELD(sumsArgs_w, R3)
	FIELD(sumsArgs_bias, R4)
	FIELD(sumsArgs_y, R15)
	FIELD(sumsArgs_groups, R7)
	FIELD(sumsArgs_xStep, R12)
	FIELD(sumsArgs_yStep, R13)
	FIELD(sumsArgs_run, R9)
	FIELD(sumsArgs_xRow, R14)
	Get R14
	Get R9
	I64Const $4
	I64Mul
	I64Sub
	I64Const $4
	I64Add
	Set R14 // from the last float of a row of the window to the next row
	Loop
		FIELD(sumsArgs_x, R11)
		Get R15
		Set R10
		FIELD(sumsArgs_count, R5)
		Loop
			Get R11
			Tee R1
			Get R12
			I64Add
			Set R2
			Get R3
			Set R6
			BASE(R4)
			READ($12, F3)
			READ($0, F0)
			READ($4, F1)
			READ($8, F2)
			Get F0
			Set F4
			Get F1
			Set F5
			Get F2
			Set F6
			Get F3
			Set F7
			FIELD(sumsArgs_rows, R8)
			Loop
				FIELD(sumsArgs_run, R9)
				Get R9
				I64Const $16
				I64Mul
				I64Const $16
				I64Sub
				Get R6
				I64Add
				Set R9 // the last weights of the row
				Block
					Loop
						BASE(R6)
						TURN($0, $4, $8, $12, $0)
						Get R6
						Get R9
						I64Eq
						BrIf $1
						TURN($16, $20, $24, $28, $4)
						ADVANCE(R1, $8)
						ADVANCE(R2, $8)
						ADVANCE(R6, $32)
						Get R6
						Get R9
						I64LeS
						BrIf $0
					End
					ADVANCE(R1, $-4)
					ADVANCE(R2, $-4)
				End
				ADVANCE(R9, $16)
				Get R9
				Set R6
				ADD(R1, R14)
				ADD(R2, R14)
			REPEAT(R8, $1)
			BASE(R10)
			WRITE($12, F3)
			WRITE($0, F0)
			WRITE($4, F1)
			WRITE($8, F2)
			ADD(R10, R13)
			BASE(R10)
			WRITE($12, F7)
			WRITE($0, F4)
			WRITE($4, F5)
			WRITE($8, F6)
			ADD(R10, R13)
			ADD(R11, R12)
			ADD(R11, R12)
		REPEAT(R5, $2)
		Get R6
		Set R3
		ADVANCE(R4, $16)
		ADVANCE(R15, $16)
	REPEAT(R7, $1)
	RET

// NEXT loads a float and goes on by a distance, PUT stores one and goes on.
#define NEXT(r, distance, f) LOAD(r, $0, f); ADD(r, distance)
#define PUT(r, distance, f) STORE(r, $0, f); ADD(r, distance)

#define FOUR F32Const $(4.0); F32Mul
#define TWICE F32Const $(2.0); F32Mul

// SPREAD is spreadLine of F0 to F5, in place.
#define SPREAD \
	Get F3; Get F1; FOUR; F32Sub; Set F6; \
	Get F4; Get F2; FOUR; F32Sub; Set F7; \
	Get F3; Get F1; F32Sub; Set F8; \
	Get F4; Get F2; F32Sub; Set F9; \
	Get F9; Get F0; Get F2; F32Sub; FOUR; F32Add; Set F0; \
	Get F5; Get F3; F32Sub; Get F8; FOUR; F32Sub; Set F5; \
	Get F7; Get F6; F32Add; Set F1; \
	Get F7; Get F6; F32Sub; Set F2; \
	Get F9; Get F8; TWICE; F32Add; Set F3; \
	Get F9; Get F8; TWICE; F32Sub; Set F4

// func spread(a *spreadArgs)
TEXT ·spread(SB), NOSPLIT, $144-8
	MOVD a+0(FP), R0
	FIELD(spreadArgs_x, R1)
	FIELD(spreadArgs_y, R2)
	FIELD(spreadArgs_channels, R3)
	FIELD(spreadArgs_xRow, R4)
	FIELD(spreadArgs_xStep, R5)
	FIELD(spreadArgs_yStep, R6)
	Get R6
	I64Const $const_reach
	I64Mul
	Set R7 // a row of the spectrum
	Loop
		Get R1
		Set R9
		Get SP
		I64ExtendI32U
		Set R10
		I64Const $const_reach
		Set R11
		Loop
			Get R9
			Set R12
			NEXT(R12, R5, F0)
			NEXT(R12, R5, F1)
			NEXT(R12, R5, F2)
			NEXT(R12, R5, F3)
			NEXT(R12, R5, F4)
			NEXT(R12, R5, F5)
			SPREAD
			BASE(R10)
			WRITE($20, F5)
			WRITE($0, F0)
			WRITE($4, F1)
			WRITE($8, F2)
			WRITE($12, F3)
			WRITE($16, F4)
			ADVANCE(R10, $24)
			ADD(R9, R4)
		REPEAT(R11, $1)
		Get R2
		Set R9
		Get SP
		I64ExtendI32U
		Set R10
		I64Const $const_reach
		Set R11
		Loop
			BASE(R10)
			READ($120, F5)
			READ($0, F0)
			READ($24, F1)
			READ($48, F2)
			READ($72, F3)
			READ($96, F4)
			SPREAD
			Get R9
			Set R12
			PUT(R12, R7, F0)
			PUT(R12, R7, F1)
			PUT(R12, R7, F2)
			PUT(R12, R7, F3)
			PUT(R12, R7, F4)
			PUT(R12, R7, F5)
			ADVANCE(R10, $4)
			ADD(R9, R6)
		REPEAT(R11, $1)
		ADVANCE(R1, $4)
		ADVANCE(R2, $4)
	REPEAT(R3, $1)
	RET

// GATHER is gatherLine of F0 to F5 into F0 to F3.
#define GATHER \
	Get F1; Get F2; F32Add; Set F6; \
	Get F1; Get F2; F32Sub; Set F7; \
	Get F3; Get F4; F32Add; Set F8; \
	Get F3; Get F4; F32Sub; Set F9; \
	Get F0; Get F6; F32Add; Get F8; F32Add; Set F0; \
	Get F7; Get F9; TWICE; F32Add; Set F1; \
	Get F6; Get F8; FOUR; F32Add; Set F2; \
	Get F7; Get F9; F32Const $(8.0); F32Mul; F32Add; Get F5; F32Add; Set F3

// RESIDUAL adds a number of the residual to a sum, if there is a residual.
#define RESIDUAL(sum) ADDRESS(R13); F32Load $0; Get sum; F32Add; Set sum; ADD(R13, R7)

#define BIAS(sum) Get sum; Get F10; F32Add; Set sum

// RELU sets a negative sum to zero; NaN and -0 stay. A mask takes the place of Select,
// which compilers turn into a branch that nobody can predict.
#define RELU(sum) \
	Get sum; I32ReinterpretF32; \
	Get sum; F32Const $(0.0); F32Lt; I32Const $1; I32Sub; \
	I32And; F32ReinterpretI32; Set sum

// func gather(a *gatherArgs)
TEXT ·gather(SB), NOSPLIT, $96-8
	MOVD a+0(FP), R0
	FIELD(gatherArgs_x, R1)
	FIELD(gatherArgs_y, R2)
	FIELD(gatherArgs_bias, R3)
	FIELD(gatherArgs_residual, R4)
	FIELD(gatherArgs_xStep, R5)
	Get R5
	I64Const $const_reach
	I64Mul
	Set R6 // a row of the spectrum
	FIELD(gatherArgs_yStep, R7)
	FIELD(gatherArgs_channels, R8)
	Loop
		Get R1
		Set R9
		Get SP
		I64ExtendI32U
		Set R10
		I64Const $const_reach
		Set R11
		Loop
			Get R9
			Set R12
			NEXT(R12, R6, F0)
			NEXT(R12, R6, F1)
			NEXT(R12, R6, F2)
			NEXT(R12, R6, F3)
			NEXT(R12, R6, F4)
			NEXT(R12, R6, F5)
			GATHER
			BASE(R10)
			WRITE($72, F3)
			WRITE($0, F0)
			WRITE($24, F1)
			WRITE($48, F2)
			ADVANCE(R10, $4)
			ADD(R9, R5)
		REPEAT(R11, $1)
		LOAD(R3, $0, F10)
		Get R2
		Set R9
		Get R4
		Set R14
		Get SP
		I64ExtendI32U
		Set R10
		I64Const $const_tile
		Set R11
		Loop
			BASE(R10)
			READ($20, F5)
			READ($0, F0)
			READ($4, F1)
			READ($8, F2)
			READ($12, F3)
			READ($16, F4)
			GATHER
			BIAS(F0)
			BIAS(F1)
			BIAS(F2)
			BIAS(F3)
			Get R4
			I64Eqz
			I32Eqz
			If
				Get R14
				Set R13
				RESIDUAL(F0)
				RESIDUAL(F1)
				RESIDUAL(F2)
				RESIDUAL(F3)
				FIELD(gatherArgs_rRow, R15)
				ADD(R14, R15)
			End
			FIELD(gatherArgs_relu, R15)
			Get R15
			I64Eqz
			I32Eqz
			If
				RELU(F0)
				RELU(F1)
				RELU(F2)
				RELU(F3)
			End
			Get R9
			Set R12
			PUT(R12, R7, F0)
			PUT(R12, R7, F1)
			PUT(R12, R7, F2)
			PUT(R12, R7, F3)
			FIELD(gatherArgs_yRow, R15)
			ADD(R9, R15)
			ADVANCE(R10, $24)
		REPEAT(R11, $1)
		ADVANCE(R1, $4)
		ADVANCE(R2, $4)
		ADVANCE(R3, $4)
		Get R4
		I64Eqz
		I32Eqz
		If
			ADVANCE(R4, $4)
		End
	REPEAT(R8, $1)
	RET
