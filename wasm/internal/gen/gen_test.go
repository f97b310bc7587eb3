package gen

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"testing"
)

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
			for _, vectors := range []bool{false, true} {
				s := newSide(t, Kernel+kernel, vectors)
				s.module.Memory().Write(0, before)
				s.run(t, args)
				got, _ := s.module.Memory().Read(data, 16*words)
				for i := 0; i < len(got); i += 4 {
					if a, b := binary.LittleEndian.Uint32(got[i:]), binary.LittleEndian.Uint32(want[data+i:]); a != b && !(isNaN(a) && isNaN(b)) {
						t.Fatalf("%s%v, vectors %v: address %d holds %x, want %x", kernel, args, vectors, data+i, a, b)
					}
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
