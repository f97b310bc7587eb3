// Package simd writes bodies of the module's kernels in WebAssembly's vector
// operations, which Go's assembler does not have. Package narrow puts them into the
// finished module in place of the plain ones.
//
// They give the same bits: every lane of a vector is an output of its own, whose sum
// is that of the plain kernel, of products that are rounded before they are added.
// There are no relaxed operations and no fused ones.
package simd

// Package is the package of the functions that have bodies here, as it stands in
// the names of a module.
const Package = "github.com_quarterturn_quarterturn_sla_internal_kernel."

// Bodies returns the body of each kernel by the function's name in the module.
func Bodies() map[string][]byte {
	return map[string][]byte{
		Package + "GEMM":           gemmBody(),
		Package + "WinogradInput":  winogradInputBody(),
		Package + "WinogradOutput": winogradOutputBody(),
	}
}
