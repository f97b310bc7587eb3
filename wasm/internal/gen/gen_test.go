package gen

import (
	"bytes"
	"context"
	"crypto/sha256"
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

func TestGEMM(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	p := newPair(t, "GEMM")
	for _, special := range []bool{false, true} {
		memory := floats(1, special)
		for _, k := range []int{1, 2, 3, 4, 5, 7, 8, 9, 16, 27, 64} {
			for _, groups := range []int{1, 2, 3, 4, 8} {
				for _, m := range []int{4, 8, 16} {
					p.sameProduct(t, memory, gemmWords(m, k, 1+k%3, groups, k%2*5, groups%3*3, m%16))
				}
			}
		}
	}
}

func TestWinograd(t *testing.T) {
	in, out := newPair(t, "WinogradInput"), newPair(t, "WinogradOutput")
	for _, special := range []bool{false, true} {
		memory := floats(2, special)
		for _, channels := range []int{1, 3, 4, 8, 24} {
			in.same(t, memory, inputWords(channels, channels%3, 7, 16))
		}
		for _, channels := range []int{8, 16, 24} {
			for i := range 4 {
				out.same(t, memory, outputWords(channels, 16, i, 5, 3*i, i&1 != 0, i&2 != 0))
			}
		}
	}
}

// The kernels of kernel/rows.go, against what they are documented to compute.
func TestRows(t *testing.T) {
	const words = 4 * 1024
	for _, special := range []bool{false, true} {
		before := floats(7, special)
		at := func(b []byte, i int) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b[i:])) }
		check := func(kernel string, args []int, compute func(b []byte, put func(i int, v float32))) {
			t.Helper()
			want := bytes.Clone(before)
			compute(want, func(i int, v float32) { binary.LittleEndian.PutUint32(want[i:], math.Float32bits(v)) })
			s := newSide(t, Kernel+kernel, true)
			s.module.Memory().Write(0, before)
			s.run(t, args)
			got, _ := s.module.Memory().Read(data, 16*words)
			for i := 0; i < len(got); i += 4 {
				if a, b := binary.LittleEndian.Uint32(got[i:]), binary.LittleEndian.Uint32(want[data+i:]); a != b && !(isNaN(a) && isNaN(b)) {
					t.Fatalf("%s%v: address %d holds %x, want %x", kernel, args, data+i, a, b)
				}
			}
		}
		for _, n := range []int{8, 24} {
			for i := range 4 {
				y, residual := data, (data+words)*(i&1)
				check("Finish", []int{finishY: y, finishResidual: residual, finishN: n, finishReLU: i >> 1}, func(b []byte, put func(int, float32)) {
					for k := 0; k < 4*n; k += 4 {
						v := at(b, y+k)
						if residual != 0 {
							v += at(b, residual+k)
						}
						if i>>1 != 0 && v < 0 {
							v = 0
						}
						put(y+k, v)
					}
				})
			}
		}
		for _, channels := range []int{1, 3, 4, 7, 8, 16, 21} {
			for _, pixels := range []int{1, 2, 5} {
				stride := channels + pixels%3
				x, y := data, data+words
				check("SumPixels", []int{sumX: x, sumY: y, sumPixels: pixels, sumChannels: channels, sumXStride: stride}, func(b []byte, put func(int, float32)) {
					for p := range pixels {
						for c := range channels {
							put(y+4*c, at(b, y+4*c)+at(b, x+4*(p*stride+c)))
						}
					}
				})
				row := 2*pixels*stride + 3
				check("MaxPool2", []int{maxX: x, maxY: y, maxPixels: pixels, maxChannels: channels, maxXRowStride: row, maxXStride: stride, maxYStride: channels + 1}, func(b []byte, put func(int, float32)) {
					for p := range pixels {
						for c := range channels {
							v := at(b, x+4*(2*p*stride+c))
							for _, k := range []int{stride, row, row + stride} {
								if w := at(b, x+4*(2*p*stride+c+k)); w > v {
									v = w
								}
							}
							put(y+4*(p*(channels+1)+c), v)
						}
					}
				})
			}
		}
	}
}

func TestSHA256(t *testing.T) {
	s := newSide(t, Format+"sha256Blocks", false)
	m := s.module.Memory()
	const state = 1024
	for _, n := range []int{0, 1, 55, 56, 63, 64, 1000, 4096} {
		message := floats(uint64(n), true)[:n]
		padded := append(message[:n:n], 0x80)
		for len(padded)%64 != 56 {
			padded = append(padded, 0)
		}
		padded = binary.BigEndian.AppendUint64(padded, uint64(8*n))
		for i, v := range []uint32{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19} {
			m.WriteUint32Le(uint32(state+4*i), v)
		}
		m.Write(data, padded)
		half := len(padded) / 128 * 64
		s.with(t, state, data, half, half)
		s.with(t, state, data+half, len(padded)-half, len(padded)-half)
		var got []byte
		for i := range 8 {
			v, _ := m.ReadUint32Le(uint32(state + 4*i))
			got = binary.BigEndian.AppendUint32(got, v)
		}
		if want := sha256.Sum256(message); !bytes.Equal(got, want[:]) {
			t.Errorf("%d bytes: %x, want %x", n, got, want)
		}
	}
}

// How many output channels GEMM takes together says the function that whoever packs weights asks.
func TestNR(t *testing.T) {
	s := newSide(t, Kernel+"NR", true)
	s.with(t, -1)
	if n, _ := s.module.Memory().ReadUint64Le(stack + 8); n != group {
		t.Errorf("%d, want %d", n, group)
	}
}

// The matrix G of F(4x4, 3x3), in float64; the sums have the order of kernel.PackWinograd.
func TestWinogradWeights(t *testing.T) {
	row := func(a, b, c float64) [6]float64 {
		return [6]float64{a / 4, -(a + c + b) / 6, (b - (a + c)) / 6, (a + 4*c + 2*b) / 24, (a + 4*c - 2*b) / 24, c}
	}
	for _, vectors := range []bool{false, true} {
		s := newSide(t, Kernel+"winogradWeights", vectors)
		for _, channels := range []int{1, 3, 8} {
			for outs := range 3 {
				if outs == 0 {
					continue
				}
				l := layout(data)
				beside := lanes // kernel.NR
				if vectors {
					beside = group
				}
				stride := channels*beside + 3
				words := []int{weightsW: l.floats(outs * channels * 9), weightsY: l.floats(36 * stride), weightsChannels: channels, weightsYStride: stride, weightsOuts: outs}
				memory := floats(uint64(channels), false)
				at := func(i int) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(memory[i:])) }
				want := bytes.Clone(memory)
				for o := range outs {
					for c := range channels {
						var columns [3][6]float64
						g := func(i int) float64 { return float64(at(words[weightsW] + 4*((o*channels+c)*9+i))) }
						for x := range 3 {
							columns[x] = row(g(x), g(3+x), g(6+x))
						}
						for i := range 6 {
							for j, v := range row(columns[0][i], columns[1][i], columns[2][i]) {
								binary.LittleEndian.PutUint32(want[words[weightsY]+4*((i*6+j)*stride+c*beside+o):], math.Float32bits(float32(v)))
							}
						}
					}
				}
				s.module.Memory().Write(0, memory)
				s.run(t, words)
				got, _ := s.module.Memory().Read(data, uint32(len(want)-data))
				if i := different(got, want[data:]); i >= 0 {
					t.Errorf("vectors %v, %d channels to %d: byte %d differs", vectors, channels, outs, data+i)
				}
			}
		}
	}
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

func FuzzGEMM(f *testing.F) {
	p := newPair(f, "GEMM")
	f.Add(uint64(1), uint8(1), uint8(9), uint8(2), uint8(0), uint8(0))
	f.Fuzz(func(t *testing.T, seed uint64, m, k, groups, rows, gap uint8) {
		p.sameProduct(t, floats(seed, seed%2 == 1), gemmWords(4*(1+int(m%8)), 1+int(k%96), 1+int(rows%7), 1+int(groups%12), int(gap%5), int(gap/5%5), int(gap/25)))
	})
}

func FuzzWinograd(f *testing.F) {
	in, out := newPair(f, "WinogradInput"), newPair(f, "WinogradOutput")
	f.Add(uint64(1), uint8(1), uint8(0), uint8(3))
	f.Fuzz(func(t *testing.T, seed uint64, channels, gap, kind uint8) {
		memory := floats(seed, seed%2 == 1)
		in.same(t, memory, inputWords(1+int(channels%64), int(gap%5), int(gap/5%5), int(gap/25)))
		out.same(t, memory, outputWords(8*(1+int(channels%9)), int(gap%5), int(gap/5%5), int(gap/25), int(kind/4), kind&1 != 0, kind&2 != 0))
	})
}

// Every kernel as it is in ResNet-32's layers of 32 channels: its plain body, and the
// one that is written here.
func BenchmarkKernels(b *testing.B) {
	memory := floats(3, false)
	for kernel, words := range map[string][]int{
		"GEMM":           gemmWords(16, 32, 1, 4, 0, 0, 0),
		"WinogradInput":  inputWords(32, 0, 64, 16),
		"WinogradOutput": outputWords(32, 16, 0, 64, 0, true, true),
	} {
		p := newPair(b, kernel)
		for i, name := range []string{"plain", "simd"} {
			b.Run(kernel+"/"+name, func(b *testing.B) {
				words := slices.Clone(words)
				if kernel == "GEMM" && i == 0 {
					words[gemmNGroups] *= halves
				}
				p[i].module.Memory().Write(0, memory)
				p[i].run(b, words)
				for b.Loop() {
					p[i].again(b)
				}
			})
		}
	}
}
