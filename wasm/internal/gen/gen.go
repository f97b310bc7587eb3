// Package gen writes bodies of functions of the module in WebAssembly. Package narrow puts
// them into the finished module in place of those that Go assembled or compiled.
//
// Some are there for vector operations, which Go's assembler does not have, and only in
// the build that has them. They give the same bits: every lane of a vector is an output of
// its own, whose sum is that of the plain kernel, of products that are rounded before they
// are added. There are no relaxed operations and no fused ones.
//
// The others, without vectors in the plain build, are loops that Go compiles: it sends every
// turn of a loop through a table of branches, which no engine makes fast, least of all
// while a slab is opened, before it has compiled them a second time.
package gen

// Packages of the functions that have bodies here, as they stand in the names of a module.
const (
	Kernel = "github.com_quarterturn_quarterturn_sla_internal_kernel."
	Format = "github.com_quarterturn_quarterturn_format."
)

// Bodies returns the functions that are finished, by their names in the module, for
// the build with vector operations or without: the body of each, or nil if what Go
// assembled is narrowed.
func Bodies(vectors bool) map[string][]byte {
	b := map[string][]byte{
		Kernel + "GEMM":            nil,
		Kernel + "WinogradInput":   nil,
		Kernel + "WinogradOutput":  nil,
		Kernel + "winogradWeights": winogradWeightsBody(vectors),
		Kernel + "Finish":          finishBody(vectors),
		Kernel + "SumPixels":       sumPixelsBody(vectors),
		Kernel + "MaxPool2":        maxPool2Body(vectors),
		Format + "sha256Blocks":    sha256Body(),
	}
	if vectors {
		b[Kernel+"NR"] = nrBody()
		b[Kernel+"GEMM"] = gemmBody()
		b[Kernel+"WinogradInput"] = winogradInputBody()
		b[Kernel+"WinogradOutput"] = winogradOutputBody()
	}
	return b
}
