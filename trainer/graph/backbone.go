package graph

import (
	"fmt"
	"strings"

	G "gorgonia.org/gorgonia"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
)

// A backboneBuilder makes the nodes of a net: of a residual net of basic blocks the stem,
// perhaps pooling, and an Op a stage; of others an Op a layer.
type backboneBuilder struct {
	*builder
	layers  []format.Layer
	learn   []*format.Layer // the layers of them that learn and have no Op yet, in order
	buffers nhwc.Buffers
}

// backbone applies the net to the images and returns the features (rows, F) behind
// every stage, or behind the last alone.
func (b *builder) backbone(x *G.Node) G.Nodes {
	bb := &backboneBuilder{builder: b, layers: b.spec.Net.Layers()}
	for i := range bb.layers {
		if bb.layers[i].Op == format.OpConv {
			bb.learn = append(bb.learn, &bb.layers[i])
		}
	}
	if b.spec.Net.IsFast() {
		return bb.fast(x)
	}
	if b.spec.Net.Chain != nil || b.dev != nil {
		return bb.chain(x)
	}
	return bb.stages(x)
}

// next makes what the next layer that learns does, given its unit.
func (b *backboneBuilder) next(u *nhwc.Unit) *convLayer {
	c := b.conv(b.learn[0], u)
	b.learn = b.learn[1:]
	return c
}

// single makes the next layer an Op of its own; residual may be nil.
func (b *backboneBuilder) single(c nhwc.Conv, relu bool, x, residual *G.Node) *G.Node {
	isInputLayer := len(b.convs) == 0
	n := nhwc.NewLayer(c, relu, &b.buffers)
	l := b.next(&n.Unit)
	inputs := append(G.Nodes{x}, l.nodes()...)
	if residual != nil {
		inputs = append(inputs, residual)
	}
	return b.apply(newConvOp(l, n, isInputLayer, residual != nil), inputs...)
}

// chain makes a net layer by layer.
func (b *backboneBuilder) chain(x *G.Node) (features G.Nodes) {
	m := format.Manifest{Input: b.spec.Input, Layers: b.layers}
	shapes := m.Shapes()
	values := G.Nodes{x}
	for i := range b.layers {
		l := &b.layers[i]
		in, from := shapes[l.Input], values[l.Input]
		var out *G.Node
		switch l.Op {
		case format.OpConv:
			var residual *G.Node
			if l.Residual != 0 {
				residual = values[l.Residual]
			}
			c := nhwc.Conv{Images: b.rows, Height: in.Height, Width: in.Width, In: in.Channels, Out: l.Out, Kernel: l.Kernel, Stride: l.Stride}
			out = b.single(c, l.ReLU, from, residual)
		case format.OpShortcut:
			to := shapes[i+1]
			out = b.apply(newShortcutOp(l.Name, gpu.NewMap(b.rows, in.Height, in.Width, in.Channels), gpu.NewMap(b.rows, to.Height, to.Width, to.Channels), l.Stride), from)
		case format.OpMax:
			out = b.apply(newPoolOp(l.Name, b.rows, in.Height, in.Width, in.Channels), from)
		default:
			out = b.apply(newMeanOp(l.Name, b.rows, in.Height, in.Width, in.Channels), from)
		}
		values = append(values, out)
		if to := shapes[i+1]; b.spec.StageHeads && b.endsStage(i) {
			features = append(features, b.apply(newMeanOp(l.Name+" mean", b.rows, to.Height, to.Width, to.Channels), out))
		}
	}
	return append(features, values[len(values)-1])
}

// endsStage says whether a stage but the last ends with layer i.
func (b *backboneBuilder) endsStage(i int) bool {
	stage := func(i int) string {
		name, _, _ := strings.Cut(b.layers[i].Name, ".")
		return name
	}
	return strings.HasPrefix(stage(i), "stage") && i+2 < len(b.layers) && stage(i+1) != stage(i)
}

// stages makes a net of basic blocks.
func (b *backboneBuilder) stages(x *G.Node) (features G.Nodes) {
	net := &b.spec.Net
	c := nhwc.Conv{Images: b.rows, Height: b.spec.Input.Height, Width: b.spec.Input.Width,
		In: b.spec.Input.Channels, Out: net.Stem.Width, Kernel: net.Stem.Kernel, Stride: net.Stem.Stride}
	x = b.single(c, true, x, nil)
	height, width := c.OutHeight(), c.OutWidth()
	if net.Pool {
		pool := newPoolOp("pool", b.rows, height, width, c.Out)
		x, height, width = b.apply(pool, x), pool.OutHeight(), pool.OutWidth()
	}
	for i, specs := range net.Stages {
		var blocks []*nhwc.Block
		inputs := G.Nodes{x}
		var units []*convLayer
		for _, spec := range specs {
			c = nhwc.Conv{Images: b.rows, Height: height, Width: width, In: c.Out, Out: spec.Out, Kernel: 3, Stride: spec.Stride}
			height, width = c.OutHeight(), c.OutWidth()
			block := nhwc.NewBlock(c, net.Project)
			for _, u := range block.Units() {
				l := b.next(u)
				units, inputs = append(units, l), append(inputs, l.nodes()...)
			}
			blocks = append(blocks, block)
		}
		x = b.apply(newStageOp(fmt.Sprint("stage", i+1), nhwc.NewStage(blocks, &b.buffers), units), inputs...)
		if b.spec.StageHeads || i == len(net.Stages)-1 {
			features = append(features, b.apply(newMeanOp(fmt.Sprint("mean", i+1), b.rows, height, width, c.Out), x))
		}
	}
	return features
}
