package formattest

import (
	"strconv"

	"github.com/quarterturn/quarterturn/format"
)

// A Dice makes choices of bytes, and 0 once they are used up: fuzzers feed it.
type Dice []byte

// Of returns a number from 0 to n-1.
func (d *Dice) Of(n int) int {
	if len(*d) == 0 {
		return 0
	}
	v := int((*d)[0])
	*d = (*d)[1:]
	return v % n
}

// Random returns a small model of any layers, heads and exits, chosen by dice. Its
// manifest is valid, its weights are random and now and then so large that sums
// overflow. Most have but the few pixels and channels that a tile or a group of channels and
// its neighbours take: one in eight is larger, of which some are wider than a part of a
// direct convolution's row.
func Random(d *Dice) *format.Model {
	side, most := 11, 12
	large := d.Of(8) == 0
	if large {
		side, most = 24, 20
	}
	channels := 1 + 2*d.Of(2)
	height := 1 + d.Of(side)
	width := height
	if d.Of(3) == 0 {
		width = 1 + d.Of(side)
	}
	if large && d.Of(3) == 0 {
		width = 60 + d.Of(80)
	}
	identity := []int{0, 1, 2}[:channels]
	m := &format.Model{Manifest: format.Manifest{Name: "random",
		Input: format.Input{Channels: channels, Height: height, Width: width,
			Mean: []float32{.5, .25, .5}[:channels], Std: []float32{.25, .5, .25}[:channels]},
		Transforms: []format.Transform{{Channels: identity}},
		SelfTest:   format.SelfTest{Seed: d.Of(256), Digest: make([]byte, 32)},
	}}
	for i := range 1 + d.Of(6) {
		m.Labels = append(m.Labels, "class "+strconv.Itoa(i))
	}
	if d.Of(2) == 1 {
		m.Transforms = append(m.Transforms, format.Transform{Turns: 2, Channels: identity})
		if height == width {
			m.Transforms = append(m.Transforms, format.Transform{Turns: 1, Channels: identity})
		}
		if channels == 3 {
			m.Transforms = append(m.Transforms, format.Transform{Channels: []int{2, 0, 1}})
		}
	}
	for i := range 1 + d.Of(9) {
		shapes := m.Shapes()
		l := format.Layer{Name: "layer " + strconv.Itoa(i), Input: max(0, i-d.Of(3)), Stride: 1 + d.Of(2)}
		in := shapes[l.Input]
		switch d.Of(6) {
		case 0:
			l.Op, l.Out = format.OpShortcut, in.Channels+d.Of(9)
		case 1:
			l.Op, l.Out, l.Kernel = format.OpMax, in.Channels, 3
		case 2:
			l.Op, l.Out, l.Kernel, l.Stride = format.OpMax, in.Channels, 2, 2
			if min(in.Height, in.Width) < 2 {
				l.Kernel = 3
			}
		default:
			l.Op, l.Out, l.Kernel, l.ReLU = format.OpConv, 1+d.Of(most), 1+2*d.Of(4), d.Of(2) == 1
			if r := d.Of(i + 2); r > 0 && r <= i {
				l.Residual, l.Out = r, shapes[r].Channels
			}
		}
		m.Layers = append(m.Layers, l)
		if l.Residual != 0 {
			if after := m.Shapes(); after[i+1] != after[l.Residual] {
				m.Layers[i].Residual = 0
			}
		}
	}
	m.Layers = append(m.Layers, format.Layer{Name: "mean", Op: format.OpMean, Input: max(0, len(m.Layers)-d.Of(2))})
	m.Heads = []format.Head{{Kind: format.HeadClass, Scale: float32(d.Of(3)) * 5}, {Kind: format.HeadJoint}, {Kind: format.HeadDistilled}}
	m.Recommended = format.ModeAggregated
	if d.Of(2) == 1 {
		for range m.Transforms {
			m.Exits = append(m.Exits, format.Exit{Margin: float32(d.Of(4)) / 4, Temperature: .5 + float32(d.Of(4)), Share: .125})
		}
		m.Exits[len(m.Exits)-1].Margin = 0
	}
	Weigh(m)
	if d.Of(4) == 0 {
		for _, w := range m.Weights {
			for i := range w {
				w[i] *= 1e19
			}
		}
	}
	return m
}

// numbers are those that readers trip over.
var numbers = [...]int{0, 1, 2, 3, 4, 7, 8, 63, 64, 255, 256, 257, 4095, 4096, 4097, 65535, 65536, 65537, 1 << 24, 1<<31 - 1, 1 << 32, 1 << 53}

var words = [...]string{"", "a", "conv", "max", "mean", "shortcut", "class", "joint", "distilled", "auto", "adaptive", "\x00", "\xff", "été", "layer 0"}

// Mutate changes a manifest in some places that dice choose: numbers, words, and the
// lengths of lists, so that it may be valid or not.
func Mutate(m *format.Manifest, d *Dice) {
	number := func() int { return numbers[d.Of(len(numbers))] }
	word := func() string { return words[d.Of(len(words))] }
	float := func() float32 { return float32(number()) / 256 * float32(1-2*d.Of(2)) }
	for range 1 + d.Of(4) {
		switch d.Of(12) {
		case 0:
			m.Input.Height = number()
		case 1:
			m.Input.Width = number()
		case 2:
			m.Input.Channels = number()
			m.Input.Mean, m.Input.Std = resize(m.Input.Mean, d), resize(m.Input.Std, d)
		case 3:
			m.Labels = resize(m.Labels, d)
			if len(m.Labels) > 0 {
				m.Labels[d.Of(len(m.Labels))] = word()
			}
		case 4:
			m.Transforms = resize(m.Transforms, d)
			if n := len(m.Transforms); n > 0 {
				t := &m.Transforms[d.Of(n)]
				t.Turns, t.Channels = d.Of(5), resize(append([]int(nil), t.Channels...), d)
			}
		case 5:
			m.Layers = resize(m.Layers, d)
		case 6, 7, 8:
			if n := len(m.Layers); n > 0 {
				l := &m.Layers[d.Of(n)]
				switch d.Of(8) {
				case 0:
					l.Name = word()
				case 1:
					l.Op = word()
				case 2:
					l.Input = number()
				case 3:
					l.Residual = number()
				case 4:
					l.Out = number()
				case 5:
					l.Kernel = d.Of(9)
				case 6:
					l.Stride = d.Of(4)
				default:
					l.ReLU = !l.ReLU
				}
			}
		case 9:
			m.Heads = resize(m.Heads, d)
			if n := len(m.Heads); n > 0 {
				h := &m.Heads[d.Of(n)]
				h.Kind, h.Scale = word(), float()
			}
		case 10:
			m.Exits = resize(m.Exits, d)
			if n := len(m.Exits); n > 0 {
				x := &m.Exits[d.Of(n)]
				x.Margin, x.Temperature, x.Share = float(), float(), float64(float())
			}
		default:
			m.Recommended = word()
			m.Metrics = append(resize(m.Metrics, d), format.Metric{Mode: word(), N: number(), Accuracy: float64(float())})
		}
	}
}

// resize cuts a list or repeats its elements.
func resize[T any](s []T, d *Dice) []T {
	if d.Of(2) == 0 || len(s) == 0 {
		return append([]T(nil), s[:d.Of(len(s)+1)]...)
	}
	n := []int{1, 2, 5, 300, 5000, 70000}[d.Of(6)]
	var longer []T
	for len(longer) < n {
		longer = append(longer, s...)
	}
	return longer[:n]
}
