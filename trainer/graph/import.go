package graph

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
	"github.com/quarterturn/quarterturn/trainer/loss"
	"github.com/quarterturn/quarterturn/trainer/start"
)

// Import gives the net the weights of a slab with the same layers. What a slab has folded
// into its convolutions, normalisation, is unfolded with the statistics of the batch that
// is loaded: the net computes of that batch what the slab computes, up to rounding. It is
// for the processor, and runs the batch once for each convolution, until the context ends.
//
// Where normalisation has no scale, in fast nets, a channel is 1/σ times what it is in the
// slab, σ being its deviation; the layer behind it makes up for that.
func (g *Graph) Import(ctx context.Context, m *format.Model) error {
	if len(m.Weights) < 2*len(g.convs) {
		return errors.New("the slab has fewer convolutions than the net")
	}
	g.unscaled = nil
	for i, c := range g.convs {
		weight, bias := m.Weights[2*i], m.Weights[2*i+1]
		shape := c.weight.node.Shape() // (k, k, in, out)
		k, in, out := shape[0], shape[2], shape[3]
		if len(weight) != len(c.weight.value) || len(bias) != out {
			return fmt.Errorf("layer %s: the slab has %d weights, the net %d", c.layer.Name, len(weight), len(c.weight.value))
		}
		for o := range out {
			for i := range in {
				factor := float32(1)
				if g.unscaled != nil {
					factor = g.unscaled[i]
				}
				for t := range k * k {
					c.weight.value[(t*in+i)*out+o] = factor * weight[(o*in+i)*k*k+t]
				}
			}
		}
		if c.frozen {
			copy(c.beta.value, bias)
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := g.Run(); err != nil {
			return err
		}
		copy(c.running.mean, c.unit.Mean)
		copy(c.running.variance, c.unit.Var)
		deviations := make([]float32, out)
		for o := range out {
			deviations[o] = float32(math.Sqrt(float64(c.unit.Var[o]) + nhwc.Epsilon))
			c.beta.value[o] = bias[o] + c.unit.Mean[o]
			if c.gamma == nil {
				c.beta.value[o] /= deviations[o]
			}
		}
		if c.gamma == nil {
			g.unscaled = deviations
		} else {
			copy(c.gamma.value, deviations)
		}
	}
	return nil
}

// SlowDown gives every convolution a lower learning rate the nearer it is to the images:
// that of the first is so much of the heads', and those between lie on a geometric line
// (Howard and Ruder 2018, "discriminative fine-tuning").
func (g *Graph) SlowDown(first float64) {
	for i, c := range g.convs {
		rate := float32(math.Pow(first, 1-float64(i)/float64(len(g.convs))))
		for _, p := range []*param{c.weight, c.gamma, c.beta} {
			if p != nil {
				p.rate = rate
			}
		}
	}
}

// StartHeads sets the heads on the last features to the ridge regressions of their labels on
// features of images, (n, M*F), as the imported slab computes them, whose classes are labels: see
// start.FitLinear. Every class counts alike. Without images heads keep their initial weights.
func (g *Graph) StartHeads(ctx context.Context, features [][]float32, labels []int) error {
	if len(features) == 0 {
		return nil
	}
	for i := range g.heads {
		h := &g.heads[i]
		if h.stage {
			continue
		}
		views := len(features[0]) / h.features
		var x [][]float32
		var y, classes []int
		for n, z := range features {
			for j := range views {
				if h.stride > 1 && j > 0 {
					break // of the untransformed image alone
				}
				label := labels[n]
				switch h.labels {
				case loss.ViewLabels:
					label = j
				case loss.JointLabels:
					label = labels[n]*views + j
				}
				x, y, classes = append(x, g.scaled(z[j*h.features:(j+1)*h.features])), append(y, label), append(classes, labels[n])
			}
		}
		if err := start.FitLinear(ctx, h.weight.value, h.biasValue(), x, y, classes, h.outputs); err != nil {
			return fmt.Errorf("head %s: %w", h.Name, err)
		}
	}
	return nil
}

// scaled is a feature of a slab as the net has it: see Import.
func (g *Graph) scaled(feature []float32) []float32 {
	if g.unscaled == nil {
		return feature
	}
	own := make([]float32, len(feature))
	for k, v := range feature {
		own[k] = v / g.unscaled[k]
	}
	return own
}

// biasValue is the bias's memory, or nil.
func (h *headLayer) biasValue() []float32 {
	if h.bias == nil {
		return nil
	}
	return h.bias.value
}
