package trainer

import (
	"math"

	G "gorgonia.org/gorgonia"

	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
)

// What Ops launch on a device; each is what the Op's Do does on the processor.

// convDevice is a convOp's part on a device.
type convDevice struct {
	layer     *gpu.Layer
	params    gpu.Params
	grads     gpu.Grads
	dresidual gpu.Ptr
}

func (o *convOp) place(d *device) {
	o.op.place(d)
	o.convDevice = &convDevice{layer: gpu.NewLayer(d.Device, o.Conv, false, o.ReLU)}
}

// allocate makes the memory of gradients.
func (c *convDevice) allocate(o *convOp) {
	l := o.layer
	c.grads = gpu.Grads{Weight: o.dev.Floats(len(l.weight.value)), Gamma: o.dev.Floats(len(l.gamma.value)), Beta: o.dev.Floats(len(l.beta.value))}
	if o.residual {
		c.dresidual = o.dev.Floats(o.shape.TotalSize())
	}
}

func (o *convOp) kernels(at []gpu.Ptr, to gpu.Ptr) {
	var residual gpu.Ptr
	if o.residual {
		residual = at[4]
	}
	there := o.layer.there
	o.convDevice.params = gpu.Params{Weight: at[1], Gamma: at[2], Beta: at[3], RunningMean: there.RunningMean, RunningVariance: there.RunningVariance}
	o.convDevice.layer.Forward(to, at[0], residual, o.convDevice.params)
}

func (o *convGradOp) kernels(at []gpu.Ptr, to gpu.Ptr) {
	f := o.forward.convDevice
	if o.forward.images {
		to = 0
	}
	f.layer.Backward(to, f.dresidual, at[0], at[1], at[2], f.params, f.grads)
}

func (o *shortcutOp) kernels(at []gpu.Ptr, to gpu.Ptr) {
	gpu.Launch(o.dev.Device, &o.call, "shortcut", gpu.Each(o.out.Elements()), gpu.Shortcut{From: at[0], To: to, In: o.in, Out: o.out, Stride: int32(o.stride)})
}

func (o *shortcutGradOp) kernels(at []gpu.Ptr, to gpu.Ptr) {
	f := o.forward
	gpu.Launch(o.dev.Device, &o.call, "shortcut_grad", gpu.Each(f.in.Elements()), gpu.Shortcut{From: at[0], To: to, In: f.in, Out: f.out, Stride: int32(f.stride)})
}

// maps gives the images that go into pooling and come out of it.
func maps(p *nhwc.Pool) (in, out gpu.Map) {
	return gpu.NewMap(p.Images, p.Height, p.Width, p.Channels), gpu.NewMap(p.Images, p.OutHeight(), p.OutWidth(), p.Channels)
}

func (o *poolOp) kernels(at []gpu.Ptr, to gpu.Ptr) {
	in, out := maps(o.Pool)
	gpu.Launch(o.dev.Device, &o.call, "pool", gpu.Each(out.Elements()), gpu.Pool{X: at[0], To: to, In: in, Out: out, Size: 3})
}

func (o *poolGradOp) kernels(at []gpu.Ptr, to gpu.Ptr) {
	in, out := maps(o.Pool)
	gpu.Launch(o.dev.Device, &o.call, "pool_grad", gpu.Each(in.Elements()), gpu.Pool{X: at[0], Y: at[1], DY: at[2], To: to, In: in, Out: out, Size: 3})
}

func (o *meanOp) images() gpu.Map { return gpu.NewMap(o.rows, o.height, o.width, o.channels) }

func (o *meanOp) kernels(at []gpu.Ptr, to gpu.Ptr) {
	gpu.Launch(o.dev.Device, &o.call, "mean", gpu.Each(o.rows*o.channels), gpu.Mean{From: at[0], To: to, Map: o.images()})
}

func (o *meanGradOp) kernels(at []gpu.Ptr, to gpu.Ptr) {
	m := o.forward.images()
	gpu.Launch(o.dev.Device, &o.call, "mean_grad", gpu.Each(m.Elements()), gpu.Mean{From: at[0], To: to, Map: m})
}

// argument is the kernels' but for addresses.
func (o *linearOp) argument() gpu.Linear {
	return gpu.Linear{Rows: int32(o.rows), Features: int32(o.features), Outputs: int32(o.outputs), Stride: int32(o.step)}
}

func (o *linearOp) kernels(at []gpu.Ptr, to gpu.Ptr) {
	a := o.argument()
	a.Z, a.W, a.B, a.To = at[0], at[1], at[2], to
	gpu.Launch(o.dev.Device, &o.call, "linear", gpu.Each(o.rows/o.step*o.outputs), a)
}

func (o *linearGradOp) kernels(at []gpu.Ptr, to gpu.Ptr) {
	f := o.forward
	a, b := f.argument(), f.argument()
	a.W, a.DY, a.To = at[1], at[2], to
	gpu.Launch(o.dev.Device, &o.call, "linear_dz", gpu.Each(f.rows*f.features), a)
	b.Z, b.DY, b.To, b.Bias = at[0], at[2], o.weight, o.bias
	gpu.Launch(o.dev.Device, &o.weights, "linear_dw", gpu.Each(f.outputs*f.features), b)
}

func (o *normaliseOp) argument() gpu.Normalise {
	return gpu.Normalise{Rows: int32(o.shape[0]), Width: int32(o.width), Length: float32(o.length)}
}

func (o *normaliseOp) kernels(at []gpu.Ptr, to gpu.Ptr) {
	a := o.argument()
	a.X, a.To = at[0], to
	gpu.Launch(o.dev.Device, &o.call, "normalise", gpu.Each(o.shape[0]), a)
}

func (o *normaliseGradOp) kernels(at []gpu.Ptr, to gpu.Ptr) {
	a := o.forward.argument()
	a.X, a.Y, a.DY, a.To = at[0], at[1], at[2], to
	gpu.Launch(o.dev.Device, &o.call, "normalise_grad", gpu.Each(o.shape[0]), a)
}

// lossDevice is a loss's part on a device: each row's loss, the gradient of the logits,
// and what a balance has.
type lossDevice struct {
	rowLoss, gradient gpu.Ptr
	slot              int
	weights, margins  gpu.Ptr
	call, total       gpu.Call
}

// device makes it, if the loss o is on one, and gives where the gradient will be.
func (l *lossDevice) device(o *op, logits, rows int) gpu.Ptr {
	if o.dev == nil {
		return 0
	}
	l.gradient, l.rowLoss = o.dev.Floats(logits), o.dev.Floats(rows)
	l.slot = o.dev.lost
	o.dev.lost++
	return l.gradient
}

// balanceArgument is the balance of a loss; scale is that of an image of weight 1.
func (l *lossDevice) balanceArgument(d *device, b *balance, scale float64) gpu.Balance {
	put := func(p *gpu.Ptr, values []float64) {
		if *p == 0 && values != nil {
			var v []float32
			for _, x := range values {
				v = append(v, float32(x))
			}
			*p = gpu.Put(d.Device, v)
		}
	}
	put(&l.margins, b.margins)
	a := gpu.Balance{Margins: l.margins, Gamma: float32(b.gamma), Scale: float32(scale)}
	if b.on {
		put(&l.weights, b.weights)
		a.Weights = l.weights
	}
	return a
}

// launchTotal adds up the losses of the rows.
func (l *lossDevice) launchTotal(d *device, rows int) {
	gpu.Launch(d.Device, &l.total, "total", gpu.Grid{X: 1, Y: 1, Z: 1, Threads: 256}, gpu.Total{Src: l.rowLoss, Dst: d.losses.At(l.slot), Count: int32(rows)})
}

func (o *crossEntropyOp) launchLoss(v []G.Value) (G.Value, error) {
	at, err := o.dev.at(v)
	if err != nil {
		return nil, err
	}
	scale := float64(o.weight) / (o.balance.total(floats(v[1]), o.Classes) * float64(o.Views))
	gpu.Launch(o.dev.Device, &o.call, "cross_entropy", gpu.Each(o.rows), gpu.CrossEntropy{
		Logits: at[0], Targets: at[1], Grad: o.gradient, Loss: o.rowLoss, Balance: o.balanceArgument(o.dev, o.balance, scale),
		Rows: int32(o.rows), Outputs: int32(o.outputs()), Classes: int32(o.Classes), Views: int32(o.Views), Labels: int32(o.kind)})
	o.launchTotal(o.dev, o.rows)
	return G.NewF32(0), nil
}

func (o *distilOp) launchLoss(v []G.Value) (G.Value, error) {
	at, err := o.dev.at(v)
	if err != nil {
		return nil, err
	}
	if o.teacher == 0 {
		o.teacher = o.dev.Floats(o.images * o.Classes)
	}
	scale := o.beta / o.balance.total(floats(v[2]), o.Classes)
	gpu.Launch(o.dev.Device, &o.call, "distil", gpu.Each(o.images), gpu.Distil{
		Logits: at[0], Student: at[1], Targets: at[2], Grad: o.gradient, Loss: o.rowLoss, Teacher: o.teacher,
		Balance: o.balanceArgument(o.dev, o.balance, scale),
		Images:  int32(o.images), Classes: int32(o.Classes), Views: int32(o.Views), Temperature: float32(o.temperature)})
	o.launchTotal(o.dev, o.images)
	return G.NewF32(0), nil
}

// launchLoss of an episode computes on the processor, which solves equations: the features
// of an episode are few.
func (o *episodeOp) launchLoss(v []G.Value) (G.Value, error) {
	at, err := o.dev.at(v)
	if err != nil {
		return nil, err
	}
	directions := make([]float32, len(o.grad))
	o.dev.Download(directions, at[0])
	loss, err := o.play(directions)
	if err != nil {
		return nil, err
	}
	gpu.Upload(o.dev.Device, o.gradient, o.grad)
	gpu.Upload(o.dev.Device, o.dev.losses.At(o.slot), []float32{float32(loss)})
	return G.NewF32(0), nil
}

// A deviceBatch makes batches on a device out of augmented images.
type deviceBatch struct {
	pixels, levels, transforms, partner gpu.Ptr
	call                                gpu.Call
}

// render makes the views of the images in b, n of them, as batcher.view does.
func (g *graph) render(b *batcher, n int, m *mixture) {
	d := g.there
	if d.batch == nil {
		var levels []float32
		for c := range b.norm {
			levels = append(levels, b.norm[c][:]...)
		}
		var transforms []int32
		for _, t := range b.transforms {
			row := [4]int32{int32(t.Turns)}
			for c, from := range t.Channels {
				row[1+c] = int32(from)
			}
			transforms = append(transforms, row[:]...)
		}
		d.batch = &deviceBatch{pixels: d.Alloc(len(b.images)), levels: gpu.Put(d.Device, levels), transforms: gpu.Put(d.Device, transforms), partner: d.Alloc(4 * n)}
	}
	gpu.Upload(d.Device, d.batch.pixels, b.images)
	a := gpu.Views{Pixels: d.batch.pixels, Levels: d.batch.levels, Transforms: d.batch.transforms, To: d.where[g.input],
		Images: int32(n), Views: int32(len(b.transforms)), Height: int32(b.input.Height), Width: int32(b.input.Width), Channels: int32(b.input.Channels), Edge: int32(b.border)}
	if m != nil {
		var partner []int32
		for _, p := range m.partner {
			partner = append(partner, int32(p))
		}
		gpu.Upload(d.Device, d.batch.partner, partner)
		a.Partner, a.Share, a.Top, a.Left, a.Bottom, a.Right = d.batch.partner, m.share, int32(m.top), int32(m.left), int32(m.bottom), int32(m.right)
		if b.mix == mixup {
			a.Mixup = 1
		}
	}
	gpu.Launch(d.Device, &d.batch.call, "views", gpu.Each(n*len(b.transforms)*b.input.Height*b.input.Width), a)
	gpu.Upload(d.Device, d.where[g.target], g.targets)
}

// rootOfSum is the norm of what has these squares.
func rootOfSum(squares []float32) float64 {
	var sum float64
	for _, s := range squares {
		sum += float64(s)
	}
	return math.Sqrt(sum)
}
