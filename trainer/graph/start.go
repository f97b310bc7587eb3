package graph

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/mat"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/internal/nhwc"
	"github.com/quarterturn/quarterturn/trainer/internal/rows"
)

// NetOf returns the net of a slab for such an input: that of its name, or if it has none, or
// layers of its own, a chain of those. The error is that of layers that cannot be trained.
func NetOf(m *format.Model, input format.Input) (Net, error) {
	if n, err := ParseNet(m.Provenance.Net, input); err == nil && slices.Equal(n.Layers(), m.Layers) {
		return n, nil
	}
	stem := m.Layers[0]
	if stem.Op != format.OpConv {
		return Net{}, fmt.Errorf("the slab begins with the layer %s, not with a convolution: its net cannot be trained", stem.Op)
	}
	for _, l := range m.Layers {
		if l.Op == format.OpMax && l.Kernel == 2 {
			return Net{}, fmt.Errorf("layer %s pools windows of 2x2, which is trained in the nets fast32, fast64 ... alone", l.Name)
		}
	}
	return Net{kernel: stem.Kernel, chain: m.Layers}, nil
}

// Import gives the net the weights of a slab with the same layers. What a slab has folded
// into its convolutions, normalisation, is unfolded with the statistics of the batch that
// is loaded: the net computes of that batch what the slab computes, up to rounding. It is
// for the processor, and runs the batch once for each convolution.
//
// Where normalisation has no scale, in fast nets, a channel is 1/σ times what it is in the
// slab, σ being its deviation; the layer behind it makes up for that.
func (g *Graph) Import(m *format.Model) error {
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
// fitLinear. Every class counts
// alike. It reports no error where there is nothing to fit: heads keep their initial weights.
func (g *Graph) StartHeads(features [][]float32, labels []int) error {
	for i := range g.heads {
		h := &g.heads[i]
		if h.stage {
			continue
		}
		views := 1
		if len(features) > 0 {
			views = len(features[0]) / h.features
		}
		var x [][]float32
		var y, classes []int
		for n, z := range features {
			for j := range views {
				if h.stride > 1 && j > 0 {
					break // of the untransformed image alone
				}
				label := labels[n]
				switch h.labels {
				case viewLabels:
					label = j
				case jointLabels:
					label = labels[n]*views + j
				}
				x, y, classes = append(x, g.scaled(z[j*h.features:(j+1)*h.features])), append(y, label), append(classes, labels[n])
			}
		}
		if err := fitLinear(h.weight.value, h.biasValue(), x, y, classes, h.outputs); err != nil {
			return fmt.Errorf("head %s: %w", h.name, err)
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

// fitLinear writes the weight (K, F) and, if it is not nil, the bias (K) of the linear
// classifier that ridge regression on the one-hot labels y of rows x finds, scaled so that
// its logits have the smallest negative log-likelihood. Rows count so that every class does
// alike. The weight of the penalty, among powers of ten, and the scale are chosen by what
// is predicted of each row by the others (leave-one-out, in closed form: Allen 1974's PRESS).
func fitLinear(weight, bias []float32, x [][]float32, y, classes []int, outputs int) error {
	n, features := len(x), len(weight)/outputs
	width := features
	if bias != nil {
		width++ // a column of ones
	}
	counts := map[int]float64{}
	for _, c := range classes {
		counts[c]++
	}
	design, target := mat.NewDense(n, width, nil), mat.NewDense(n, outputs, nil)
	roots := make([]float64, n) // of the weights of the rows
	for r, row := range x {
		roots[r] = math.Sqrt(float64(n) / float64(len(counts)) / counts[classes[r]])
		for k, v := range row {
			design.Set(r, k, roots[r]*float64(v))
		}
		if bias != nil {
			design.Set(r, features, roots[r])
		}
		target.Set(r, y[r], roots[r])
	}
	var gram mat.SymDense
	gram.SymOuterK(1, design.T())
	var eigen mat.EigenSym
	if !eigen.Factorize(&gram, true) {
		return errors.New("the features are not finite")
	}
	values := eigen.Values(nil)
	var basis, rotated, projected mat.Dense
	eigen.VectorsTo(&basis)
	rotated.Mul(design, &basis)        // (n, width)
	projected.Mul(rotated.T(), target) // (width, outputs)
	var mean float64
	for _, v := range values {
		mean += v / float64(width)
	}
	best := math.Inf(1)
	for power := -4; power <= 2; power++ {
		lambda := mean * math.Pow(10, float64(power))
		shrunk := mat.DenseCopyOf(&projected)
		for i, v := range values {
			row := shrunk.RawRowView(i)
			for k := range row {
				row[k] /= max(0, v) + lambda
			}
		}
		var fitted mat.Dense
		fitted.Mul(&rotated, shrunk)
		left := make([][]float64, n) // the logits of each row by the others
		for r := range n {
			var leverage float64
			for i, v := range values {
				z := rotated.At(r, i)
				leverage += z * z / (max(0, v) + lambda)
			}
			left[r] = make([]float64, outputs)
			for k := range outputs {
				t := target.At(r, k)
				left[r][k] = (t - (t-fitted.At(r, k))/max(1e-6, 1-leverage)) / roots[r]
			}
		}
		scale, nll := fitScale(left, y, roots)
		if nll >= best {
			continue
		}
		best = nll
		var w mat.Dense
		w.Mul(&basis, shrunk) // (width, outputs)
		for k := range outputs {
			for i := range features {
				weight[k*features+i] = float32(scale * w.At(i, k))
			}
			if bias != nil {
				bias[k] = float32(scale * w.At(features, k))
			}
		}
	}
	return nil
}

// fitScale returns the factor of logits with the smallest negative log-likelihood, and that.
func fitScale(logits [][]float64, y []int, roots []float64) (scale, nll float64) {
	p := make([]float64, len(logits[0]))
	cost := func(logScale float64) (sum float64) {
		t := math.Exp(-logScale)
		for r, l := range logits {
			sum += roots[r] * roots[r] * (rows.Softmax(p, l, t) - l[y[r]]/t) / float64(len(logits))
		}
		return sum
	}
	best := rows.Minimum(cost, -1, 5, 25)
	return math.Exp(best), cost(best)
}
