package narrow

import (
	_ "embed"
	"encoding/binary"
	"math"
	"strings"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

//go:embed testdata/dot.wasm
var dot []byte

// narrowing names functions to narrow.
func narrowing(names ...string) map[string][]byte {
	kernels := map[string][]byte{}
	for _, name := range names {
		kernels[name] = nil
	}
	return kernels
}

// instance runs a module with a vector at 0 and another at 256.
func instance(t *testing.T, module []byte, n int) api.Module {
	t.Helper()
	r := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfigInterpreter())
	t.Cleanup(func() { r.Close(t.Context()) })
	if _, err := r.NewHostModuleBuilder("test").NewFunctionBuilder().WithFunc(func() {}).Export("nothing").Instantiate(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, err := r.Instantiate(t.Context(), module)
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		m.Memory().WriteFloat32Le(uint32(4*i), float32(i)+0.5)
		m.Memory().WriteFloat32Le(uint32(256+4*i), 1/(float32(i)+3))
	}
	return m
}

func result(t *testing.T, m api.Module, f string, args ...uint64) uint32 {
	t.Helper()
	v, err := m.ExportedFunction(f).Call(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return uint32(v[0])
}

func TestNarrowedFunctionsDoTheSame(t *testing.T) {
	for _, names := range [][]string{nil, {"dot"}, {"below"}, {"below", "dot"}} {
		narrowed, err := Module(dot, narrowing(names...))
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int{0, 1, 17} {
			was, is := instance(t, dot, n), instance(t, narrowed, n)
			if got, want := result(t, is, "dot", 0, 256, uint64(n)), result(t, was, "dot", 0, 256, uint64(n)); got != want {
				t.Errorf("%v: the product of %d numbers is %v, was %v", names, n, math.Float32frombits(got), math.Float32frombits(want))
			}
		}
		for _, v := range []uint64{0, 7, 999, 1000, 1 << 30} {
			was, is := instance(t, dot, 0), instance(t, narrowed, 0)
			for _, m := range []api.Module{was, is} {
				m.Memory().WriteUint64Le(1016, v)
				m.Memory().WriteUint64Le(1040, v+1)
			}
			if got, want := result(t, is, "above"), result(t, was, "above"); got != want || want != uint32(v+1) {
				t.Errorf("%v: above gives %d, gave %d", names, got, want)
			}
			if got, want := result(t, is, "below"), result(t, was, "below"); got != want {
				t.Errorf("%v: below gives %d, gave %d", names, got, want)
			}
		}
	}
}

// operations is how often each operation occurs in a module.
func operations(t *testing.T, module []byte) (count [256]int) {
	t.Helper()
	sections, err := split(module)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sections {
		if s.id != codeSection {
			continue
		}
		r := &reader{b: s.body}
		for range r.unsigned() {
			f := &reader{b: r.bytes(int(r.unsigned()))}
			f.locals(false)
			code, err := f.instructions()
			if err != nil {
				t.Fatal(err)
			}
			for _, x := range code {
				count[x.op]++
			}
		}
	}
	return count
}

func TestWhatIsNarrowed(t *testing.T) {
	before := operations(t, dot)
	short, err := Module(dot, nil)
	if err != nil {
		t.Fatal(err)
	}
	after := operations(t, short)
	if a, b := before[i64ExtendI32U]-after[i64ExtendI32U], before[i32WrapI64]-after[i32WrapI64]; a != 2 || b != 2 {
		t.Errorf("%d widenings and %d cuts less, want 2 of each, of the addresses on the stack", a, b)
	}
	if n := after[i32Add] - before[i32Add]; n != 1 {
		t.Errorf("%d sums of 32 bits are new, want one: the other is the offset of a load", n)
	}
	whole, err := Module(dot, narrowing("dot", "below", "above"))
	if err != nil {
		t.Fatal(err)
	}
	after = operations(t, whole)
	if n := after[i64Load] + after[i64Add] + after[i64Sub] + after[i64Mul] + after[i32WrapI64] + after[i64ExtendI32U]; n != 0 {
		t.Errorf("%d operations of 64 bits are left", n)
	}
	if after[i32Eqz] != 1 {
		t.Errorf("%d tests for zero are left, want the one at the beginning", after[i32Eqz])
	}
	if strings.Contains(string(whole), "left") {
		t.Error("the names are still there")
	}
}

func TestWhatCannotBeNarrowed(t *testing.T) {
	for name, want := range map[string]string{
		"stores": "operation 0x37", "large": "the constant 2147483648 has more than 32 bits", "global": "operation 0x23 01",
		"typed": "operation 0x2 ", "calls": "operation 0x10", "nothing": "no function", "other": "no function",
	} {
		if _, err := Module(dot, narrowing(name)); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want an error with %q", name, err, want)
		}
	}
	for n := range len(dot) {
		if n == len(header) {
			continue // an empty module
		}
		if _, err := Module(dot[:n], narrowing("dot")); err == nil {
			t.Fatalf("the first %d bytes of the module are taken for a module", n)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, v := range []int64{0, 1, -1, 63, 64, -64, -65, 127, 128, 1<<31 - 1, -1 << 31, math.MaxInt64, math.MinInt64} {
		r := &reader{b: appendSigned(nil, v)}
		if got := r.signed(); got != v || r.short || len(r.b) != 0 {
			t.Errorf("%d is read as %d", v, got)
		}
	}
	if r := (&reader{b: binary.AppendUvarint(nil, 1<<32)}); r.unsigned() != 0 || !r.short {
		t.Error("a number of more than 32 bits is read")
	}
}

func FuzzModule(f *testing.F) {
	f.Add(dot, "dot")
	f.Add(dot, "calls")
	f.Fuzz(func(t *testing.T, module []byte, name string) {
		out, err := Module(module, narrowing(name))
		if err != nil {
			return
		}
		if _, err := Module(out, nil); err != nil {
			t.Errorf("what it writes it cannot read: %v", err)
		}
	})
}
