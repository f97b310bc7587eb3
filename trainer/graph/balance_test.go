package graph

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/internal/op"
	"github.com/quarterturn/quarterturn/trainer/loss"
)

// Losses for a long tail on joint labels, and their gradients through a head of
// cosines, against PyTorch.
func TestBalancedLossesAgainstPyTorch(t *testing.T) {
	var want struct {
		Counts, Classes []int
		Cases           map[string]struct {
			Loss   float64
			DZ, DW []float64
		}
	}
	text, err := os.ReadFile("testdata/balance.json")
	if err == nil {
		err = json.Unmarshal(text, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	const views, features = 4, 5
	joint := sla.Joint{Classes: len(want.Counts), Views: views}
	images := len(want.Classes)
	rows := images * views
	for name, w := range want.Cases {
		kind, drw, _ := strings.Cut(name, " ")
		balance, err := loss.NewBalance(kind, drw != "", want.Counts)
		if err != nil {
			t.Fatal(err)
		}
		balance.On = true
		b := &builder{Graph: &Graph{g: G.NewGraph()}, rows: rows}
		b.spec = Spec{Joint: joint, Images: images, Balance: balance, Cosine: kind == loss.LDAM}
		matrix := func(name string, seed uint32, shape ...int) *param {
			v := formattest.LCG(seed, shape[0]*shape[1])
			i := 0
			return b.param(name, func() float32 { i++; return v[i-1] }, shape...)
		}
		z := matrix("z", 11, rows, features)
		targets := make([]float32, images*joint.Classes)
		for i, y := range want.Classes {
			targets[i*joint.Classes+y] = 1
		}
		y := G.NewTensor(b.g, tensor.Float32, 2, G.WithShape(images, joint.Classes), G.WithName("y"),
			G.WithValue(tensor.New(tensor.WithShape(images, joint.Classes), tensor.WithBacking(targets))))
		b.spec.Rng = rand.New(rand.NewPCG(1, 2))
		_, out := b.classify("head", z.node, trainHead{loss.JointLabels, format.HeadJoint}, y)
		if b.err != nil {
			t.Fatal(b.err)
		}
		h := &b.heads[0]
		copy(h.weight.value, formattest.LCG(12, len(h.weight.value)))
		if h.bias != nil {
			clear(h.bias.value)
		}
		if _, err := G.Grad(out, z.node, h.weight.node); err != nil {
			t.Fatal(err)
		}
		vm := G.NewTapeMachine(b.g, G.BindDualValues(z.node, h.weight.node))
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		if got := float64(out.Value().Data().(float32)); math.Abs(got-w.Loss) > 1e-6*w.Loss {
			t.Errorf("%s: the loss is %v, PyTorch says %v", name, got, w.Loss)
		}
		for what, x := range map[string]struct {
			p    *param
			want []float64
		}{"z": {z, w.DZ}, "w": {h.weight, w.DW}} {
			d, err := x.p.node.Grad()
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range op.Floats(d) {
				if math.Abs(float64(v)-x.want[i]) > 1e-6+1e-5*math.Abs(x.want[i]) {
					t.Fatalf("%s: d%s[%d] is %v, PyTorch says %v", name, what, i, v, x.want[i])
				}
			}
		}
		vm.Close()
	}
}

// With LDAM a slab's head computes what the trained one computes: angles, whatever the
// weights' lengths.
func TestCosineHeadsAreExported(t *testing.T) {
	g := fixtureGraph(t, "resnet8w8", "sla+sd", func(s *Spec) {
		var err error
		if s.Balance, err = loss.NewBalance(loss.LDAM, false, []int{500, 60, 7}); err != nil {
			t.Fatal(err)
		}
		s.Cosine = true
	})
	if _, err := g.Run(); err != nil {
		t.Fatal(err)
	}
	model := g.Export(&format.Manifest{})
	for i, h := range g.heads {
		if model.Heads[i].Scale != loss.CosineScale {
			t.Errorf("head %d has scale %v", i, model.Heads[i].Scale)
		}
		weight := model.Weights[len(model.Weights)-2*len(g.heads)+2*i]
		trained := h.weight.value
		for at := 0; at < len(weight); at += h.features {
			var square, dot, norm float64
			for k := range h.features {
				square += float64(weight[at+k]) * float64(weight[at+k])
				dot += float64(weight[at+k]) * float64(trained[at+k])
				norm += float64(trained[at+k]) * float64(trained[at+k])
			}
			if math.Abs(square-1) > 1e-6 || math.Abs(dot*dot/norm-1) > 1e-6 {
				t.Errorf("head %d, row %d: length² %v, cosine² to the trained row %v", i, at/h.features, square, dot*dot/norm)
			}
		}
	}
}
