package host

import (
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
)

// BenchmarkWork measures what a unit of sla.Work takes in nets of one kind of layer: that
// is to be about the same for all of them in the module.
func BenchmarkWork(b *testing.B) {
	layers := func(first format.Layer, n int, l format.Layer) []format.Layer {
		all := []format.Layer{first}
		for i := range n {
			l.Input = i + 1
			all = append(all, l)
		}
		return all
	}
	conv := func(out, kernel int) format.Layer {
		return format.Layer{Op: format.OpConv, Out: out, Kernel: kernel, Stride: 1, ReLU: true}
	}
	pool := func(out int) format.Layer { return format.Layer{Op: format.OpMax, Out: out, Kernel: 3, Stride: 1} }
	shortcut := func(out int) format.Layer { return format.Layer{Op: format.OpShortcut, Out: out, Stride: 1} }
	for _, x := range []struct {
		name          string
		side, classes int
		layers        []format.Layer
	}{
		{"Winograd/32x32x16", 32, 2, layers(conv(16, 3), 8, conv(16, 3))},
		{"Winograd/16x16x64", 16, 2, layers(conv(64, 3), 8, conv(64, 3))},
		{"Winograd/64x64x1", 64, 2, layers(conv(1, 3), 16, conv(1, 3))},
		{"Direct/32x32x32", 32, 2, layers(conv(32, 1), 16, conv(32, 1))},
		{"Direct/32x32x8", 32, 2, layers(conv(8, 7), 4, conv(8, 7))},
		{"Direct/1x1x8", 1, 2, layers(conv(8, 1), 2000, conv(8, 1))},
		{"Max/64x64x16", 64, 2, layers(conv(16, 1), 20, pool(16))},
		{"Max/64x64x1", 64, 2, layers(conv(1, 1), 20, pool(1))},
		{"Shortcut/64x64x16", 64, 2, layers(conv(16, 1), 40, shortcut(16))},
		{"Shortcut/64x64x1", 64, 2, layers(conv(1, 1), 40, shortcut(1))},
		{"Input/256x256", 256, 2, layers(conv(1, 1), 0, conv1)},
		{"Head/4000x64", 8, 4000, layers(conv(64, 1), 0, conv1)},
		{"Classes/60000", 2, 60000, layers(conv(1, 1), 0, conv1)},
	} {
		slab := slabOf(b, x.side, x.side, x.classes, x.layers...)
		for _, e := range []Engine{Wazero, Native} {
			b.Run(x.name+"/"+e.String(), func(b *testing.B) {
				c := open(b, slab, WithEngine(e), WithPoolSize(1))
				img := noise(1, 8, 8)[0]
				for b.Loop() {
					if _, err := c.Classify(b.Context(), img); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(sla.Work(&c.Model().Manifest)), "ns/unit")
			})
		}
	}
}
