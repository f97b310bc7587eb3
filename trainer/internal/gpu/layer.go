package gpu

import "github.com/quarterturn/quarterturn/trainer/internal/nhwc"

// A Layer is nhwc.Layer on a device: convolution, batch normalisation, perhaps a residual,
// perhaps ReLU. Or it is nhwc.Link, where perhaps 2x2 max pooling follows the convolution.
type Layer struct {
	conv nhwc.Conv
	relu bool
	full Map // of the convolution's output
	out  Map // of what is normalised: the same but for pooling
	d    *Device

	Momentum float32 // of the running statistics: the share of the last batch

	whole, dWhole                       Ptr // the convolution's output and its gradient
	raw, dRaw                           Ptr // like the output
	sums                                Ptr // partial sums of normalisation
	mean, std, scale, shift, k1, k2, k3 Ptr // (Out)
	partial, turned                     Ptr // of the weight gradient; weights for the input gradient
	parts                               []part
	blocks, per, slices, perSlice       int

	convolve, pool, sum, ready, apply, sumGrad, readyGrad, grad, poolGrad, weights, reduce Call
}

// A part of the input gradient.
type part struct {
	nhwc.Part
	taps, turned   Ptr
	turn, convolve Call
}

// NewLayer makes a layer; its output and what else it needs is allocated.
func NewLayer(d *Device, c nhwc.Conv, pool, relu bool) *Layer {
	l := &Layer{conv: c, relu: relu, d: d, Momentum: nhwc.Momentum, full: NewMap(c.Images, c.OutHeight(), c.OutWidth(), c.Out)}
	l.out = l.full
	if pool {
		l.out.Height, l.out.Width = l.full.Height/2, l.full.Width/2
	}
	l.raw, l.dRaw = d.Floats(l.Size()), d.scratch("gradient", l.out, l.Size())
	l.whole, l.dWhole = l.raw, l.dRaw
	if pool {
		l.whole, l.dWhole = d.Floats(l.full.size()), d.scratch("gradient", l.full, l.full.size())
	}
	for _, p := range []*Ptr{&l.mean, &l.std, &l.scale, &l.shift, &l.k1, &l.k2, &l.k3} {
		*p = d.Floats(c.Out)
	}
	pixels := l.out.Pixels()
	l.blocks = min(512, (pixels+63)/64)
	l.per = (pixels + l.blocks - 1) / l.blocks
	l.sums = d.Floats(l.blocks * 2 * c.Out)
	rows := c.Kernel * c.Kernel * c.In
	// Enough blocks to fill a large device, each with some work to do.
	pixels = l.full.Pixels()
	l.slices = max(1, min(1024/((rows+63)/64*((c.Out+63)/64)), pixels/128))
	l.perSlice = (pixels + l.slices - 1) / l.slices
	l.partial = d.Floats(l.slices * rows * c.Out)
	return l
}

// Size is the number of floats of the output.
func (l *Layer) Size() int { return l.out.size() }

// size is the number of floats with the border.
func (m Map) size() int { return int(m.Images) * int(m.image()) }

// line and image are the distances of lines and images.
func (m Map) line() int32  { return (m.Width + 2) * m.Channels }
func (m Map) image() int32 { return (m.Height + 2) * m.line() }

// Params are the addresses of what a layer learns.
type Params struct{ Weight, Gamma, Beta, RunningMean, RunningVariance Ptr }

// Grads are the addresses of their gradients.
type Grads struct{ Weight, Gamma, Beta Ptr }

// tensorCores is the end of the names of kernels that may use them.
func (d *Device) tensorCores() string {
	if d.TF32 {
		return "_tf32"
	}
	return ""
}

// tile is the end of the names of kernels that make so many channels at a time.
func tile(channels int) (suffix string, n int) {
	switch {
	case channels <= 16:
		return "16", 16
	case channels <= 32:
		return "32", 32
	}
	return "64", 64
}

// input says where the inputs of an output pixel are.
func (l *Layer) input() (image, line, pixel, start, tap int) {
	c := &l.conv
	border := c.Border()
	row := (c.Width + 2*border) * c.In
	pad := border - c.Kernel/2
	return (c.Height + 2*border) * row, c.Stride * row, c.Stride * c.In, pad*row + pad*c.In, row
}

// launchConvolve launches the kernel for the number of outputs.
func (l *Layer) launchConvolve(call *Call, a convolve) {
	suffix, n := tile(int(a.OutCh))
	Launch(l.d, call, "convolve"+suffix+l.d.tensorCores(), Grid{(int(a.Pixels) + 127) / 128, (int(a.OutCh) + n - 1) / n, 1, 256}, a)
}

// Forward writes to y what the layer makes of x and of the residual, which may be 0.
func (l *Layer) Forward(y, x, residual Ptr, p Params) {
	c := &l.conv
	l.convolveAll(x, p.Weight)
	if l.pools() {
		Launch(l.d, &l.pool, "pool", Each(l.out.Elements()), Pool{X: l.whole, To: l.raw, In: l.full, Out: l.out, Size: 2})
	}
	Launch(l.d, &l.sum, "norm_sums", l.sumGrid(), normSums{X: l.raw, Partial: l.sums, Map: l.out, Per: int32(l.per)})
	Launch(l.d, &l.ready, "norm_ready", Each(c.Out), normReady{Partial: l.sums, Gamma: p.Gamma, Beta: p.Beta,
		Mean: l.mean, Std: l.std, Scale: l.scale, Shift: l.shift, RunningMean: p.RunningMean, RunningVariance: p.RunningVariance,
		Blocks: int32(l.blocks), Channels: int32(c.Out), Count: float32(l.out.Pixels()), Epsilon: nhwc.Epsilon, Momentum: l.Momentum})
	Launch(l.d, &l.apply, "norm_apply", Each(l.out.Elements()), normApply{X: l.raw, Scale: l.scale, Shift: l.shift, Residual: residual, Y: y,
		Map: l.out, ReLU: flag(l.relu)})
}

// convolveAll makes the convolution of a batch.
func (l *Layer) convolveAll(x, weight Ptr) {
	c := &l.conv
	image, line, pixel, start, tap := l.input()
	l.launchConvolve(&l.convolve, convolve{X: x, W: weight, Y: l.whole,
		Pixels: int32(l.full.Pixels()), Height: l.full.Height, Width: l.full.Width,
		XImage: int32(image), XLine: int32(line), XPixel: int32(pixel), XStart: int32(start),
		XTap: int32(tap), Taps: int32(c.Kernel), Length: int32(c.Kernel * c.In),
		YImage: l.full.image(), YLine: l.full.line(), YPixel: int32(c.Out), YStart: l.full.line() + int32(c.Out), OutCh: int32(c.Out)})
}

func (l *Layer) pools() bool { return l.full != l.out }

func (l *Layer) sumGrid() Grid { return Grid{l.blocks, (l.conv.Out + 31) / 32, 1, 256} }

func flag(b bool) int32 {
	if b {
		return 1
	}
	return 0
}

// Backward writes the gradients of the params, that of x to dx and that of the residual to
// dresidual; either of these may be 0 if nobody wants it. x and y are those of the last
// Forward.
func (l *Layer) Backward(dx, dresidual, x, y, dy Ptr, p Params, g Grads) {
	c := &l.conv
	m, mask := dy, Ptr(0)
	if l.relu {
		if m, mask = dresidual, y; m == 0 {
			m = l.d.scratch("masked", l.out, l.Size())
		}
	}
	Launch(l.d, &l.sumGrad, "norm_sums", l.sumGrid(), normSums{X: l.raw, DY: dy, Y: mask, M: m, Partial: l.sums, Map: l.out, Per: int32(l.per)})
	Launch(l.d, &l.readyGrad, "norm_ready_grad", Each(c.Out), normReadyGrad{Partial: l.sums, Gamma: p.Gamma, Mean: l.mean, Std: l.std,
		DGamma: g.Gamma, DBeta: g.Beta, K1: l.k1, K2: l.k2, K3: l.k3, Blocks: int32(l.blocks), Channels: int32(c.Out), Count: float32(l.out.Pixels())})
	Launch(l.d, &l.grad, "norm_grad", Each(l.out.Elements()), normGrad{X: l.raw, M: m, K1: l.k1, K2: l.k2, K3: l.k3, D: l.dRaw, Map: l.out})
	if l.pools() {
		Launch(l.d, &l.poolGrad, "pool_grad", Each(l.full.Elements()), Pool{X: l.whole, Y: l.raw, DY: l.dRaw, To: l.dWhole, In: l.full, Out: l.out, Size: 2})
	}
	l.gradWeights(x, g.Weight)
	if dx != 0 {
		l.gradInput(dx, p.Weight)
	}
}

func (l *Layer) gradWeights(x, dw Ptr) {
	c := &l.conv
	rows := c.Kernel * c.Kernel * c.In
	image, line, pixel, start, tap := l.input()
	suffix, n := tile(c.Out)
	Launch(l.d, &l.weights, "weights"+suffix+l.d.tensorCores(), Grid{(rows + 63) / 64, (c.Out + n - 1) / n, l.slices, 256}, weights{X: x, DY: l.dWhole, Partial: l.partial,
		Pixels: int32(l.full.Pixels()), Height: l.full.Height, Width: l.full.Width,
		XImage: int32(image), XLine: int32(line), XPixel: int32(pixel), XStart: int32(start),
		XTap: int32(tap), Taps: int32(c.Kernel), Length: int32(c.Kernel * c.In),
		YImage: l.full.image(), YLine: l.full.line(), YPixel: int32(c.Out), YStart: l.full.line() + int32(c.Out), OutCh: int32(c.Out), Per: int32(l.perSlice)})
	Launch(l.d, &l.reduce, "reduce", Each(rows*c.Out), reduce{l.partial, dw, int32(rows * c.Out), int32(l.slices)})
}

func (l *Layer) gradInput(dx, w Ptr) {
	c := &l.conv
	if l.parts == nil {
		l.turned = l.d.Floats(c.Kernel * c.Kernel * c.In * c.Out)
		at := l.turned
		for _, p := range c.Parts() {
			if len(p.Taps) == 0 {
				continue // what was zero at the beginning stays so
			}
			var taps []int32
			for _, t := range p.Taps {
				taps = append(taps, int32(t))
			}
			l.parts = append(l.parts, part{Part: p, taps: Put(l.d, taps), turned: at})
			at = at.At(len(taps) * c.In * c.Out)
		}
	}
	row := (c.Width + 2) * c.In
	for i := range l.parts {
		p := &l.parts[i]
		Launch(l.d, &p.turn, "turn", Each(len(p.Taps)*c.In*c.Out), turn{w, p.turned, p.taps, int32(len(p.Taps)), int32(c.In), int32(c.Out)})
		l.launchConvolve(&p.convolve, convolve{X: l.dWhole, W: p.turned, Y: dx,
			Pixels: int32(c.Images * p.Height * p.Width), Height: int32(p.Height), Width: int32(p.Width),
			XImage: l.full.image(), XLine: l.full.line(), XPixel: int32(c.Out), XStart: int32(p.Row)*l.full.line() + int32(p.Column*c.Out),
			XTap: l.full.line(), Taps: int32(p.Rows), Length: int32(p.Columns * c.Out),
			YImage: int32((c.Height + 2) * row), YLine: int32(p.Step * row), YPixel: int32(p.Step * c.In), YStart: int32((p.Y+1)*row + (p.X+1)*c.In), OutCh: int32(c.In)})
	}
}

// Frozen is nhwc.Frozen on a device.
type Frozen struct {
	layer *Layer
	ones  Ptr
}

// NewFrozen makes a frozen layer.
func NewFrozen(d *Device, c nhwc.Conv) *Frozen {
	ones := make([]float32, c.Out)
	for i := range ones {
		ones[i] = 1
	}
	return &Frozen{NewLayer(d, c, false, true), Put(d, ones)}
}

// Forward writes relu(conv(x) + bias) to y.
func (f *Frozen) Forward(y, x, weight, bias Ptr) {
	f.layer.convolveAll(x, weight)
	Launch(f.layer.d, &f.layer.apply, "norm_apply", Each(f.layer.out.Elements()), normApply{X: f.layer.raw, Scale: f.ones, Shift: bias, Y: y,
		Map: f.layer.out, ReLU: 1})
}
