package gen

import (
	"bytes"
	"context"
	"encoding/binary"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

	"github.com/quarterturn/quarterturn/wasm/internal/narrow"
)

// plain is the module as Go builds it.
var plain = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "quarterturn-gen-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "module.wasm")
	cmd := exec.Command("go", "build", "-buildmode=c-shared", "-o", out, "github.com/quarterturn/quarterturn/wasm")
	cmd.Env = append(os.Environ(), "GOOS=wasip1", "GOARCH=wasm")
	if _, err := cmd.Output(); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
})

// small is a module with a memory, a stack pointer and nothing but some bodies.
func small(bodies ...[]byte) []byte {
	out := []byte("\x00asm\x01\x00\x00\x00")
	section := func(id byte, b ...byte) {
		out = append(binary.AppendUvarint(append(out, id), uint64(len(b))), b...)
	}
	n := byte(len(bodies))
	section(1, 1, 0x60, 1, typeI32, 1, typeI32)
	section(3, append([]byte{n}, make([]byte, n)...)...)
	section(5, 1, 0, pages)
	section(6, 1, typeI32, 1, opI32Const, 0, opEnd)
	exports := []byte{n + 2, 6, 'm', 'e', 'm', 'o', 'r', 'y', 2, 0, 2, 's', 'p', 3, 0}
	for i := range n {
		exports = append(exports, 1, 'a'+i, 0, i)
	}
	section(7, exports...)
	code := []byte{n}
	for _, b := range bodies {
		code = append(binary.AppendUvarint(code, uint64(len(b))), b...)
	}
	section(10, code...)
	return out
}

const (
	pages     = 64
	memory    = pages << 16
	stack     = 8192 // of a call, below which its frame is
	arguments = 8192 + 64
	data      = 16384 // where operands are
)

// A pair is the plain body of a kernel and the one that is written here, with a memory
// each.
type pair [2]*side

type side struct {
	module api.Module
	call   api.Function
}

func newPair(t testing.TB, kernel string) pair {
	t.Helper()
	module, err := plain()
	if err != nil {
		t.Fatal(err)
	}
	was, err := narrow.Body(module, Kernel+kernel)
	if err != nil {
		t.Fatal(err)
	}
	r := wazero.NewRuntime(context.Background())
	t.Cleanup(func() { r.Close(context.Background()) })
	var p pair
	for i, body := range [][]byte{was, Bodies(true)[Kernel+kernel]} {
		m, err := r.InstantiateWithConfig(context.Background(), small(body), wazero.NewModuleConfig().WithName(""))
		if err != nil {
			t.Fatal(err)
		}
		p[i] = &side{m, m.ExportedFunction("a")}
	}
	return p
}

// run calls a body with arguments, words.
func (s *side) run(t testing.TB, words []int) {
	for i, w := range words {
		s.module.Memory().WriteUint64Le(uint32(arguments+8*i), uint64(w))
	}
	s.again(t)
}

// newSide is a body of a function on its own.
func newSide(t testing.TB, name string, vectors bool) *side {
	t.Helper()
	return sideOf(t, Bodies(vectors)[name])
}

func sideOf(t testing.TB, body []byte) *side {
	t.Helper()
	r := wazero.NewRuntime(context.Background())
	t.Cleanup(func() { r.Close(context.Background()) })
	m, err := r.Instantiate(context.Background(), small(body))
	if err != nil {
		t.Fatal(err)
	}
	return &side{m, m.ExportedFunction("a")}
}

// with calls a body with parameters, words.
func (s *side) with(t testing.TB, words ...int) {
	s.module.ExportedGlobal("sp").(api.MutableGlobal).Set(stack)
	for i, w := range words {
		s.module.Memory().WriteUint64Le(uint32(stack+8*(1+i)), uint64(w))
	}
	if leave, err := s.call.Call(context.Background(), 0); err != nil || leave[0] != 0 {
		t.Fatal(leave, err)
	}
}

func (s *side) again(t testing.TB) {
	s.module.ExportedGlobal("sp").(api.MutableGlobal).Set(stack)
	s.module.Memory().WriteUint64Le(stack+8, arguments)
	leave, err := s.call.Call(context.Background(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if sp := s.module.ExportedGlobal("sp").Get(); leave[0] != 0 || sp != stack+8 {
		t.Fatalf("it returns %d with the stack pointer at %d, want 0 and %d", leave[0], sp, stack+8)
	}
}

// same runs both bodies on the same memory and compares what they leave in it, but for
// the frame and with every NaN taken for the same.
func (p pair) same(t testing.TB, memory []byte, words []int) {
	t.Helper()
	var after [2][]byte
	for i, s := range p {
		after[i] = s.after(t, memory, words)
	}
	equal(t, after, words)
}

// after is the memory behind the frame, once a body has run.
func (s *side) after(t testing.TB, memory []byte, words []int) []byte {
	s.module.Memory().Write(0, memory)
	s.run(t, words)
	b, _ := s.module.Memory().Read(stack+16, uint32(len(memory)-stack-16))
	return b
}

// sameProduct is same for GEMM, whose plain body reads the weights of four output channels
// side by side, and as many groups of them as it takes.
func (p pair) sameProduct(t testing.TB, memory []byte, words []int) {
	t.Helper()
	plainMemory, plainWords := bytes.Clone(memory), slices.Clone(words)
	plainWords[gemmNGroups] *= halves
	rows := words[gemmK] * words[gemmKRows]
	weights := words[gemmB]
	n := words[gemmNGroups] * rows * step
	for g := range words[gemmNGroups] {
		for k := range rows {
			for h := range halves {
				copy(plainMemory[weights+((g*halves+h)*rows+k)*vector:][:vector], memory[weights+((g*rows+k)*halves+h)*vector:])
			}
		}
	}
	after := [2][]byte{p[0].after(t, plainMemory, plainWords), p[1].after(t, memory, words)}
	at := weights - stack - 16
	if !bytes.Equal(after[0][at:at+n], plainMemory[weights:weights+n]) {
		t.Fatal("the plain body changes the weights")
	}
	copy(after[0][at:], memory[weights:weights+n])
	binary.LittleEndian.PutUint64(after[0][arguments+8*gemmNGroups-stack-16:], uint64(words[gemmNGroups]))
	equal(t, after, words)
}

// equal compares what two bodies leave.
func equal(t testing.TB, after [2][]byte, words []int) {
	t.Helper()
	for i := 0; i < len(after[0]); i += 4 {
		a, b := binary.LittleEndian.Uint32(after[0][i:]), binary.LittleEndian.Uint32(after[1][i:])
		if a != b && !(isNaN(a) && isNaN(b)) {
			t.Fatalf("%v: address %d holds %x (%v), and %x (%v) by the plain body", words, i+stack+16, b, math.Float32frombits(b), a, math.Float32frombits(a))
		}
	}
}

func isNaN(bits uint32) bool { return bits&0x7fffffff > 0x7f800000 }

// floats is a memory of numbers of all kinds: a few of them infinite, no numbers,
// subnormal, zeros of both signs or large.
func floats(seed uint64, special bool) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	odd := []uint32{0, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00000, 1, 0x80000001, 0x00400000, 0x7f7fffff, 0xff7fffff}
	b := make([]byte, memory)
	for i := 0; i < len(b); i += 4 {
		v := math.Float32bits(2*r.Float32() - 1)
		if special && r.IntN(16) == 0 {
			v = odd[r.IntN(len(odd))]
		}
		binary.LittleEndian.PutUint32(b[i:], v)
	}
	return b
}

// A layout hands out memory for operands, in floats; what lies between is not to change.
type layout int

func (l *layout) floats(n int) int {
	at := int(*l)
	*l += layout(4*n + 64)
	if int(*l) > memory {
		panic("the operands do not fit")
	}
	return at
}

// gemmWords are the arguments of a product of that kind.
func gemmWords(m, k, kRows, groups, aGap, cGap, rowGap int) []int {
	l := layout(data)
	aStride, cStride, rowStride := k+aGap, groups*group+cGap, m*(k+aGap)+rowGap
	return []int{
		gemmA: l.floats(kRows*rowStride + m*aStride), gemmB: l.floats(groups * kRows * k * group), gemmBias: l.floats(groups * group),
		gemmC: l.floats(m * cStride), gemmM: m, gemmAStride: aStride, gemmCStride: cStride,
		gemmKRows: kRows, gemmARowStride: rowStride, gemmK: k, gemmNGroups: groups,
	}
}

func inputWords(channels, xGap, rowGap, yGap int) []int {
	l := layout(data)
	padded := (channels + lanes - 1) / lanes * lanes
	xStride, yStride := padded+xGap, padded+yGap
	xRow := inputTile*xStride + rowGap
	return []int{inputX: l.floats(inputTile * xRow), inputY: l.floats(inputTile * inputTile * yStride),
		inputXRowStride: xRow, inputXStride: xStride, inputYStride: yStride, inputChannels: channels}
}

func outputWords(channels, xGap, yGap, rowGap, residualGap int, residual, relu bool) []int {
	l := layout(data)
	xStride, yStride := channels+xGap, channels+yGap
	yRow := outputTile*yStride + rowGap
	words := []int{outputX: l.floats(inputTile * inputTile * xStride), outputY: l.floats(outputTile * yRow),
		outputBias: l.floats(channels), outputXStride: xStride, outputYRowStride: yRow, outputYStride: yStride,
		outputChannels: channels, outputReLU: 0}
	if residual {
		words[outputResidualRowStride] = yRow + residualGap
		words[outputResidual] = l.floats(outputTile * words[outputResidualRowStride])
	}
	if relu {
		words[outputReLU] = 1
	}
	return words
}

// different is where two slices first differ, or -1.
func different(a, b []byte) int {
	for i := range a {
		if a[i] != b[i] {
			return i
		}
	}
	return -1
}
