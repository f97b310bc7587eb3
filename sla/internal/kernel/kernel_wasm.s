#include "textflag.h"
#include "go_asm.h"

// Addresses and counters have 64 bits here, since Go's assembler has no other locals, and
// stay below 2^31: in the module, wasm/internal/narrow takes every operation for its
// 32-bit one. So use only what it knows, and no values for which that makes a difference.
//
// Compilers that move arithmetic past the loads of a basic block (TurboFan before
// V8 12) have some fourteen registers for what a block loads and what it
// sums; with more they spill, at half the speed. So GEMM has eight sums and three
// loads at a time, the transforms have one line, and a CUT between them.

// ADDRESS puts an address on the stack.
#define ADDRESS(r) Get r; I32WrapI64

// FIELD reads a field of the arguments, which R0 points to. STRIDE reads one that
// counts floats, in bytes.
#define FIELD(offset, r) ADDRESS(R0); I64Load $offset; Set r
#define STRIDE(offset, r) ADDRESS(R0); I64Load $offset; I64Const $4; I64Mul; Set r

#define ADVANCE(r, bytes) Get r; I64Const bytes; I64Add; Set r
#define ADD(r, distance) Get r; Get distance; I64Add; Set r

// AGAIN ends a loop that goes on while a condition holds. The branch back has a block
// of its own: only then does wazero fuse the condition with it.
#define AGAIN If; Br $1; End; End

// REPEAT ends a loop that r counts, by so many.
#define REPEAT(r, by) Get r; I64Const by; I64Sub; Tee r; I64Eqz; I32Eqz; AGAIN

#define LOAD(r, offset, f) ADDRESS(r); F32Load offset; Set f
#define STORE(r, offset, f) ADDRESS(r); Get f; F32Store offset

// AHEAD looks at the farthest of the floats that will be read at a pointer or written.
// Whoever checks bounds before each access (wazero) need not check the others.
#define AHEAD(r, offset) ADDRESS(r); F32Load offset; Drop

// CUT ends a basic block: no pointer is zero. Compilers take a test away that they
// have seen before (TurboFan), so every cut of a loop has its own pointer. The loop
// is in a block.
#define CUT(r) ADDRESS(r); If; Else; Br $2; End

// MULTIPLY adds a product to a sum. The sum comes first: where an operation writes
// over its first operand (wazero on amd64), it so stays in its register.
#define MULTIPLY(x, sum) Get sum; Get F8; Get x; F32Mul; F32Add; Set sum

// WEIGHT multiplies both inputs by one.
#define WEIGHT(w, sum1, sum2) LOAD(R6, w, F8); MULTIPLY(F9, sum1); MULTIPLY(F10, sum2)

// TURN takes one float of each input.
#define TURN(x, w0, w1, w2, w3) \
	LOAD(R1, x, F9); LOAD(R2, x, F10); \
	WEIGHT(w0, F0, F4); WEIGHT(w1, F1, F5); WEIGHT(w2, F2, F6); WEIGHT(w3, F3, F7)

// func GEMM(a *GEMMArgs)
//
// Four channels, F0 to F3 of one output and F4 to F7 of the next. R1 and R2 walk over
// their inputs, R6 over the weights, which end where those of the next channels begin.
TEXT ·GEMM(SB), NOSPLIT, $0-8
	MOVD a+0(FP), R0
	FIELD(GEMMArgs_B, R3)
	FIELD(GEMMArgs_Bias, R4)
	FIELD(GEMMArgs_C, R15)
	FIELD(GEMMArgs_NGroups, R7)
	STRIDE(GEMMArgs_AStride, R12)
	STRIDE(GEMMArgs_CStride, R13)
	FIELD(GEMMArgs_K, R9)
	STRIDE(GEMMArgs_ARowStride, R14)
	Get R14
	Get R9
	I64Const $4
	I64Mul
	I64Sub
	Set R14 // from the end of a row of the window to the next row
	Loop
		FIELD(GEMMArgs_A, R11)
		Get R15
		Set R10
		FIELD(GEMMArgs_M, R5)
		Loop
			Get R11
			Tee R1
			Get R12
			I64Add
			Set R2
			Get R3
			Set R6
			AHEAD(R4, $12)
			LOAD(R4, $0, F0)
			LOAD(R4, $4, F1)
			LOAD(R4, $8, F2)
			LOAD(R4, $12, F3)
			Get F0
			Set F4
			Get F1
			Set F5
			Get F2
			Set F6
			Get F3
			Set F7
			FIELD(GEMMArgs_KRows, R8)
			Loop
				FIELD(GEMMArgs_K, R9)
				Get R9
				I64Const $16
				I64Mul
				I64Const $128
				I64Sub
				Get R6
				I64Add
				Set R9 // the last weights of the row that are eight turns
				Block
					Get R6
					Get R9
					I64GtS
					BrIf $0
					Loop
						AHEAD(R6, $124)
						AHEAD(R1, $28)
						AHEAD(R2, $28)
						TURN($0, $0, $4, $8, $12)
						CUT(R6)
						TURN($4, $16, $20, $24, $28)
						CUT(R1)
						TURN($8, $32, $36, $40, $44)
						CUT(R2)
						TURN($12, $48, $52, $56, $60)
						CUT(R9)
						TURN($16, $64, $68, $72, $76)
						CUT(R3)
						TURN($20, $80, $84, $88, $92)
						CUT(R10)
						TURN($24, $96, $100, $104, $108)
						CUT(R11)
						TURN($28, $112, $116, $120, $124)
						ADVANCE(R1, $32)
						ADVANCE(R2, $32)
						ADVANCE(R6, $128)
						Get R6
						Get R9
						I64LeS
					AGAIN
				End
				ADVANCE(R9, $128) // their end
				Block
					Get R6
					Get R9
					I64Eq
					BrIf $0
					Loop
						AHEAD(R6, $12)
						TURN($0, $0, $4, $8, $12)
						ADVANCE(R1, $4)
						ADVANCE(R2, $4)
						ADVANCE(R6, $16)
						Get R6
						Get R9
						I64Ne
					AGAIN
				End
				ADD(R1, R14)
				ADD(R2, R14)
			REPEAT(R8, $1)
			AHEAD(R10, $12)
			STORE(R10, $0, F0)
			STORE(R10, $4, F1)
			STORE(R10, $8, F2)
			STORE(R10, $12, F3)
			ADD(R10, R13)
			AHEAD(R10, $12)
			STORE(R10, $0, F4)
			STORE(R10, $4, F5)
			STORE(R10, $8, F6)
			STORE(R10, $12, F7)
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

// POINT sets a pointer at a distance from another. What is found there, and at the
// three channels beside it, is about to be read or written.
#define POINT(r, from, distance) Get from; Get distance; I64Add; Set r; AHEAD(r, $12)

// SIX sets pointers at equal distances from R9 on, READSIX reads a channel at each.
#define SIX(distance) \
	AHEAD(R9, $12); POINT(R8, R9, distance); POINT(R12, R8, distance); \
	POINT(R13, R12, distance); POINT(R14, R13, distance); POINT(R15, R14, distance)
#define READSIX(c) \
	LOAD(R9, c, F0); LOAD(R8, c, F1); LOAD(R12, c, F2); LOAD(R13, c, F3); LOAD(R14, c, F4); LOAD(R15, c, F5)

// What is between the two directions of a transform is on the stack, at R10.
#define FROMSTACK Get SP; I64ExtendI32U; Set R10
#define READSTACK(t0, t1, t2, t3, t4, t5) \
	LOAD(R10, t0, F0); LOAD(R10, t1, F1); LOAD(R10, t2, F2); LOAD(R10, t3, F3); LOAD(R10, t4, F4); LOAD(R10, t5, F5)

// KEEP sets a local to a constant by way of memory: one that it can see wazero makes
// anew wherever it is used.
#define KEEP(offset, constant, f) Get SP; F32Const $(constant); F32Store offset; Get SP; F32Load offset; Set f

#define TWICE Get F11; F32Mul
#define FOUR Get F12; F32Mul
#define EIGHT Get F13; F32Mul

// INPUTTRANSFORM is inputTransform of F0 to F5, in place.
#define INPUTTRANSFORM \
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

// INPUTROW is a channel of a row of the tile, INPUTCOLUMN one of a column.
#define INPUTROW(c, t0, t1, t2, t3, t4, t5) \
	READSIX(c); INPUTTRANSFORM; \
	STORE(R10, t0, F0); STORE(R10, t1, F1); STORE(R10, t2, F2); STORE(R10, t3, F3); STORE(R10, t4, F4); STORE(R10, t5, F5)
#define INPUTCOLUMN(c, t0, t1, t2, t3, t4, t5) \
	READSTACK(t0, t1, t2, t3, t4, t5); INPUTTRANSFORM; \
	STORE(R9, c, F0); STORE(R8, c, F1); STORE(R12, c, F2); STORE(R13, c, F3); STORE(R14, c, F4); STORE(R15, c, F5)

// func WinogradInput(a *WinogradInputArgs)
//
// Four channels at a time; the last ones may be beyond those that were asked for.
TEXT ·WinogradInput(SB), NOSPLIT, $576-8
	MOVD a+0(FP), R0
	KEEP($0, 2.0, F11)
	KEEP($0, 4.0, F12)
	FIELD(WinogradInputArgs_X, R1)
	FIELD(WinogradInputArgs_Y, R2)
	FIELD(WinogradInputArgs_Channels, R3)
	STRIDE(WinogradInputArgs_XRowStride, R4)
	STRIDE(WinogradInputArgs_XStride, R5)
	STRIDE(WinogradInputArgs_YStride, R6)
	Get R6
	I64Const $const_InputTile
	I64Mul
	Set R7 // a row of the transformed tile
	Loop
		Get R1
		Set R9
		FROMSTACK
		I64Const $const_InputTile
		Set R11
		Block
			Loop
				SIX(R5)
				AHEAD(R10, $92)
				INPUTROW($0, $0, $16, $32, $48, $64, $80)
				CUT(R9)
				INPUTROW($4, $4, $20, $36, $52, $68, $84)
				CUT(R8)
				INPUTROW($8, $8, $24, $40, $56, $72, $88)
				CUT(R12)
				INPUTROW($12, $12, $28, $44, $60, $76, $92)
				ADVANCE(R10, $96)
				ADD(R9, R4)
			REPEAT(R11, $1)
		End
		Get R2
		Set R9
		FROMSTACK
		I64Const $const_InputTile
		Set R11
		Block
			Loop
				SIX(R7)
				AHEAD(R10, $492)
				INPUTCOLUMN($0, $0, $96, $192, $288, $384, $480)
				CUT(R9)
				INPUTCOLUMN($4, $4, $100, $196, $292, $388, $484)
				CUT(R8)
				INPUTCOLUMN($8, $8, $104, $200, $296, $392, $488)
				CUT(R12)
				INPUTCOLUMN($12, $12, $108, $204, $300, $396, $492)
				ADVANCE(R10, $16)
				ADD(R9, R6)
			REPEAT(R11, $1)
		End
		ADVANCE(R1, $16)
		ADVANCE(R2, $16)
		ADVANCE(R3, $-4)
		Get R3
		I64Const $0
		I64GtS
	AGAIN
	RET

// OUTPUTTRANSFORM is outputTransform of F0 to F5 into F0 to F3.
#define OUTPUTTRANSFORM \
	Get F1; Get F2; F32Add; Set F6; \
	Get F1; Get F2; F32Sub; Set F7; \
	Get F3; Get F4; F32Add; Set F8; \
	Get F3; Get F4; F32Sub; Set F9; \
	Get F0; Get F6; F32Add; Get F8; F32Add; Set F0; \
	Get F7; Get F9; TWICE; F32Add; Set F1; \
	Get F6; Get F8; FOUR; F32Add; Set F2; \
	Get F7; Get F9; EIGHT; F32Add; Get F5; F32Add; Set F3

// RESIDUAL adds a number of the residual to a sum.
#define RESIDUAL(r, c, sum) ADDRESS(r); F32Load c; Get sum; F32Add; Set sum

#define BIAS(sum) Get sum; Get F10; F32Add; Set sum

// RELU sets a sum below F14 to zero; NaN and -0 stay. A mask takes the place of Select,
// which compilers turn into a branch that nobody can predict.
#define RELU(sum) \
	Get sum; I32ReinterpretF32; \
	Get sum; Get F14; F32Lt; I32Const $1; I32Sub; \
	I32And; F32ReinterpretI32; Set sum

// OUTPUTCOLUMN is a channel of a column of the transformed tile, OUTPUTROW one of a row.
#define OUTPUTCOLUMN(c, t0, t1, t2, t3) \
	READSIX(c); OUTPUTTRANSFORM; \
	STORE(R10, t0, F0); STORE(R10, t1, F1); STORE(R10, t2, F2); STORE(R10, t3, F3)
#define OUTPUTROW(c, t0, t1, t2, t3, t4, t5) \
	READSTACK(t0, t1, t2, t3, t4, t5); OUTPUTTRANSFORM; \
	LOAD(R3, c, F10); \
	BIAS(F0); BIAS(F1); BIAS(F2); BIAS(F3); \
	RESIDUAL(R14, c, F0); RESIDUAL(R8, c, F1); RESIDUAL(R6, c, F2); RESIDUAL(R11, c, F3); \
	RELU(F0); RELU(F1); RELU(F2); RELU(F3); \
	STORE(R9, c, F0); STORE(R12, c, F1); STORE(R13, c, F2); STORE(R15, c, F3)

// ZERO puts -0 on the stack.
#define ZERO(offset) Get SP; F32Const $(0.0); F32Neg; F32Store offset

// func WinogradOutput(a *WinogradOutputArgs)
//
// Four channels at a time. No residual is one of -0 everywhere, which changes no sum,
// and no ReLU one below minus infinity: what is known about addresses (AHEAD) would
// not outlast a branch.
TEXT ·WinogradOutput(SB), NOSPLIT, $400-8
	MOVD a+0(FP), R0
	KEEP($0, 2.0, F11)
	KEEP($0, 4.0, F12)
	KEEP($0, 8.0, F13)
	FIELD(WinogradOutputArgs_X, R1)
	FIELD(WinogradOutputArgs_Y, R2)
	FIELD(WinogradOutputArgs_Bias, R3)
	FIELD(WinogradOutputArgs_Residual, R4)
	STRIDE(WinogradOutputArgs_YStride, R7)
	FIELD(WinogradOutputArgs_Channels, R5)
	ZERO($384)
	ZERO($388)
	ZERO($392)
	ZERO($396)
	F32Const $(0.0)
	I32Const $-0x800000 // minus infinity
	F32ReinterpretI32
	ADDRESS(R0)
	I64Load $WinogradOutputArgs_ReLU
	I64Eqz
	I32Eqz
	Select
	Set F14
	Loop
		STRIDE(WinogradOutputArgs_XStride, R6)
		Get R6
		I64Const $const_InputTile
		I64Mul
		Set R6 // a row of the transformed tile
		Get R1
		Set R9
		FROMSTACK
		I64Const $const_InputTile
		Set R11
		Block
			Loop
				SIX(R6)
				AHEAD(R10, $300)
				OUTPUTCOLUMN($0, $0, $96, $192, $288)
				CUT(R9)
				OUTPUTCOLUMN($4, $4, $100, $196, $292)
				CUT(R8)
				OUTPUTCOLUMN($8, $8, $104, $200, $296)
				CUT(R12)
				OUTPUTCOLUMN($12, $12, $108, $204, $300)
				ADVANCE(R10, $16)
				STRIDE(WinogradOutputArgs_XStride, R12)
				ADD(R9, R12)
			REPEAT(R11, $1)
		End
		Get R2
		Set R9
		Get R4
		Get SP
		I64ExtendI32U
		I64Const $384
		I64Add
		Get R4
		I64Eqz
		I32Eqz
		Select
		Set R14
		FROMSTACK
		Block
			Loop
				AHEAD(R9, $12)
				POINT(R12, R9, R7)
				POINT(R13, R12, R7)
				POINT(R15, R13, R7)
				Get R7
				I64Const $0
				Get R4
				I64Eqz
				I32Eqz
				Select
				Set R11 // from one pixel of the residual to the next
				AHEAD(R14, $12)
				POINT(R8, R14, R11)
				POINT(R6, R8, R11)
				POINT(R11, R6, R11)
				AHEAD(R10, $92)
				AHEAD(R3, $12)
				OUTPUTROW($0, $0, $16, $32, $48, $64, $80)
				CUT(R9)
				OUTPUTROW($4, $4, $20, $36, $52, $68, $84)
				CUT(R12)
				OUTPUTROW($8, $8, $24, $40, $56, $72, $88)
				CUT(R13)
				OUTPUTROW($12, $12, $28, $44, $60, $76, $92)
				STRIDE(WinogradOutputArgs_YRowStride, R12)
				ADD(R9, R12)
				STRIDE(WinogradOutputArgs_ResidualRowStride, R12)
				ADD(R14, R12)
				ADVANCE(R10, $96)
				Get R10
				Get SP
				I64ExtendI32U
				I64Sub
				I64Const $384
				I64Ne
			AGAIN
		End
		ADVANCE(R1, $16)
		ADVANCE(R2, $16)
		ADVANCE(R3, $16)
		Get R4
		I64Eqz
		I32Eqz
		If
			ADVANCE(R4, $16)
		End
	REPEAT(R5, $4)
	RET
