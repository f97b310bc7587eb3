// Package narrow takes the address arithmetic of a finished WebAssembly module from
// 64 to 32 bits.
//
// Go computes addresses in 64 bits and cuts them down before every access, for memory
// is addressed by 32. Two things come of that.
//
// Whoever compiles the module sees a new address each time. One that checks bounds
// before every access, as wazero does, cannot know that it has checked this address
// before, and Go's assembler has no 32-bit locals to keep one in. So the kernels are
// written with 64-bit addresses and counters, all below 2^31, and every 64-bit
// operation in them is taken for its 32-bit one here.
//
// And the code is larger than it need be: in all other functions an address on the
// stack, whose pointer has 32 bits, is widened, added to and cut down again. That is
// the same sum in 32 bits, in two bytes less, or no sum but the offset of a load.
package narrow
