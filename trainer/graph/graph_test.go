package graph

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/internal/op"
	"github.com/quarterturn/quarterturn/trainer/internal/rows"
	"github.com/quarterturn/quarterturn/trainer/loss"
	"github.com/quarterturn/quarterturn/trainer/nets"
	"github.com/quarterturn/quarterturn/trainer/optim"
	"github.com/quarterturn/quarterturn/trainer/start"
)

// fixtureSide is how many pixels the images of fixtureGraph have a side.
func fixtureSide(netName string) int {
	if strings.HasSuffix(netName, nets.Halved) {
		return 16
	}
	return 8
}

// fixtureGraph is the net, batch and objective of testdata/fixtures.py.
func fixtureGraph(t testing.TB, netName, methodName string, changes ...func(*Spec)) *Graph {
	t.Helper()
	const images, classes = 5, 3
	side := fixtureSide(netName)
	net, err := nets.Parse(netName, format.Input{Channels: 1, Height: side, Width: side})
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseMethod(methodName)
	if err != nil {
		t.Fatal(err)
	}
	joint := sla.Joint{Classes: classes, Views: 4}
	if !m.Views {
		joint.Views = 1
	}
	spec := Spec{
		Net: net, Input: format.Input{Channels: 1, Height: side, Width: side},
		Joint: joint, Images: images, Method: m, Temperature: 2, Beta: 0.5, Rng: rand.New(rand.NewPCG(1, 2)),
	}
	for _, change := range changes {
		change(&spec)
	}
	g, err := New(spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { g.Close() })
	for i, p := range g.params {
		offset := float32(0)
		if strings.HasSuffix(p.node.Name(), " gamma") {
			offset = 1
		}
		for k, v := range formattest.LCG(uint32(200+i), len(p.value)) {
			p.value[k] = offset + 0.25*v
		}
	}
	if spec.Device != nil {
		return g // onDevice fills the batch
	}
	pixels := formattest.LCG(1, images*side*side)
	for b := range images {
		for j := range joint.Views {
			border := g.border
			row := g.inputs[(b*joint.Views+j)*(side+2*border)*(side+2*border):]
			for y := range side {
				for x := range side {
					sy, sx := sla.RotatedSource(j, y, x, side, side)
					row[(y+border)*(side+2*border)+x+border] = pixels[(b*side+sy)*side+sx]
				}
			}
		}
		p := make([]float64, classes)
		logits := formattest.LCG(2, images*classes)[b*classes : (b+1)*classes]
		rows.Softmax(p, logits, 0.5)
		for k := range p {
			g.targets[b*classes+k] = float32(p[k])
		}
	}
	return g
}

// A probe is of a tensor that PyTorch has.
type probe struct {
	First     []float64
	Dot, Norm float64
}

// steps is what PyTorch says of two training steps.
type steps struct {
	Losses  []float64
	Params  []probe
	Running [][2]probe
}

// readFixture reads a file that a script of PyTorch wrote.
func readFixture(t *testing.T, name string, to any) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err == nil {
		err = json.Unmarshal(b, to)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Two steps of SLA+SD, loss, weights and running statistics, against PyTorch.
func TestTrainingStepsAgainstPyTorch(t *testing.T) {
	var want steps
	readFixture(t, "step.json", &want)
	want.check(t, fixtureGraph(t, "resnet8w8", "sla+sd"), &optim.SGD{LR: 0.1, Momentum: 0.9, WeightDecay: 1e-2, DecayAll: true})
}

// Two steps of SLA on a fast net, with all that its recipe has.
func TestFastStepsAgainstPyTorch(t *testing.T) {
	var want struct {
		SGD, Muon steps
		Course    []float64 // losses by SGD
	}
	readFixture(t, "fast.json", &want)
	const stem, features = 16, 16
	whitened := func(s *Spec) {
		s.NormMomentum = 0.4
		s.Whitening = &start.Whitening{Weight: formattest.LCG(190, 9*stem), Bias: formattest.LCG(191, stem)}
	}
	// The script has logits over the number of features; here the head's weights are.
	solver := optim.SGD{LR: 0.05, BiasLR: 8, HeadLR: 1. / (features * features), Momentum: 0.85, Nesterov: true, WeightDecay: 0.1, Decoupled: true}
	plain, muon := solver, solver
	muon.Muon = &optim.Muon{Momentum: 0.6}
	want.SGD.check(t, fixtureGraph(t, "fast8", "sla", whitened), &plain)
	want.Muon.check(t, fixtureGraph(t, "fast8", "sla", whitened), &muon)

	// The errors of Winograd's algorithm do not add up: training takes the course it takes in
	// float64, until some day a number falls on the other side of a ReLU.
	g, worst := fixtureGraph(t, "fast8", "sla", whitened), 0.
	solver.Velocity = nil
	for _, w := range want.Course {
		loss, err := g.Run()
		if err == nil {
			err = g.Step(&solver)
		}
		if err != nil {
			t.Fatal(err)
		}
		worst = max(worst, math.Abs(loss-w)/w)
	}
	if t.Logf("%d steps, from a loss of %.3f to %.3f: off by up to %.1g of it", len(want.Course)-1, want.Course[0], want.Course[len(want.Course)-1], worst); worst > 5e-6 {
		t.Error("that is too much")
	}
}

// check takes two steps.
func (want *steps) check(t *testing.T, g *Graph, solver *optim.SGD) {
	t.Helper()
	compare := func(what string, got []float32, want probe) {
		t.Helper()
		var dot float64
		for i, v := range formattest.LCG(3, len(got)) {
			dot += float64(v) * float64(got[i])
		}
		for i, v := range want.First {
			if math.Abs(float64(got[i])-v) > 1e-5*(1+math.Abs(v)) {
				t.Errorf("%s[%d] is %v, PyTorch says %v", what, i, got[i], v)
			}
		}
		if math.Abs(dot-want.Dot) > 1e-5*(1+want.Norm) {
			t.Errorf("%s: its dot product is %v, PyTorch says %v", what, dot, want.Dot)
		}
	}

	for step, w := range want.Losses {
		loss, err := g.Run()
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(loss-w) > 1e-5*w {
			t.Errorf("the loss before step %d is %v, PyTorch says %v", step+1, loss, w)
		}
		if step < 2 {
			if err := g.Step(solver); err != nil {
				t.Fatal(err)
			}
		}
	}
	if len(want.Params) != len(g.params) {
		t.Fatalf("%d parameters, PyTorch has %d", len(g.params), len(want.Params))
	}
	for i, p := range g.params {
		compare(p.node.Name(), p.value, want.Params[i])
	}
	var normalized []*convLayer
	for _, c := range g.convs {
		if !c.frozen {
			normalized = append(normalized, c)
		}
	}
	for i, c := range normalized {
		compare(c.layer.Name+" running mean", c.running.mean, want.Running[i][0])
		compare(c.layer.Name+" running variance", c.running.variance, want.Running[i][1])
	}
}

// logSoftmax is the plain formula in float64.
func logSoftmax(logits []float32, t float64) []float64 {
	var sum float64
	for _, v := range logits {
		sum += math.Exp(float64(v) / t)
	}
	out := make([]float64, len(logits))
	for i, v := range logits {
		out[i] = float64(v)/t - math.Log(sum)
	}
	return out
}

// plainLoss is an objective written down once more, in float64, from the logits
// of the last run. teacher holds the aggregated logits; if it is nil they are
// taken from the run.
func plainLoss(g *Graph, m Method, sumViews bool, teacher [][]float32) (sum float64, aggregated [][]float32) {
	const images, classes, temperature, beta = 5, 3, 2, 0.5
	views := g.heads[0].rows / images
	target := func(b, y int) float64 { return float64(g.targets[b*classes+y]) }
	heads := m.heads
	for len(heads) < len(g.heads) { // the distilled one, left out below, and those of the stages
		heads = append(slices.Clip(heads), trainHead{labels: loss.JointLabels})
	}
	for i, h := range heads {
		if m.distils && i == 1 {
			continue
		}
		weight := 1.0 / float64(images*views)
		if sumViews && h.labels == loss.JointLabels {
			weight = 1.0 / images
		}
		logits := g.heads[i].Buffer()
		k := len(logits) / (images * views)
		for r := range images * views {
			b, j := r/views, r%views
			for o, lp := range logSoftmax(logits[r*k:(r+1)*k], 1) {
				var label float64
				switch {
				case h.labels == loss.ClassLabels:
					label = target(b, o)
				case h.labels == loss.ViewLabels && o == j, h.labels == loss.JointLabels && o%views == j:
					if label = 1; h.labels == loss.JointLabels {
						label = target(b, o/views)
					}
				}
				sum -= label * lp * weight
			}
		}
	}
	if !m.distils {
		return sum, nil
	}
	joint, student := g.heads[0].Buffer(), g.heads[1].Buffer()
	for b := range images {
		s := make([]float32, classes)
		for y := range s {
			for j := range views {
				s[y] += joint[(b*views+j)*classes*views+y*views+j] / float32(views)
			}
		}
		aggregated = append(aggregated, s)
		if teacher != nil {
			s = teacher[b]
		}
		u := student[b*classes : (b+1)*classes]
		p, q, hard := logSoftmax(s, temperature), logSoftmax(u, temperature), logSoftmax(u, 1)
		for y := range p {
			sum += (temperature*temperature*math.Exp(p[y])*(p[y]-q[y]) - beta*target(b, y)*hard[y]) / images
		}
	}
	return sum, aggregated
}

// Every objective's loss against the plain formula, and its gradient against
// central differences of that formula along the gradient. In SLA+SD the teacher
// is held fixed, which is what its stop-gradient means.
func TestGradientOfEveryObjective(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	type objective struct {
		net string
		Method
		stageHeads, sumViews bool
	}
	var objectives []objective
	for _, m := range methods {
		objectives = append(objectives, objective{"resnet8w8", m, false, false})
		if m.Joint() {
			objectives = append(objectives, objective{"resnet8w8", m, true, true})
		}
		if m.distils {
			objectives = append(objectives, objective{"conv4w8", m, false, false}, objective{"resnet12w16", m, false, false})
		}
	}
	for _, m := range objectives {
		g := fixtureGraph(t, m.net, m.Name, func(s *Spec) { s.StageHeads, s.SumViews = m.stageHeads, m.sumViews })
		loss, err := g.Run()
		if err != nil {
			t.Fatal(err)
		}
		want, teacher := plainLoss(g, m.Method, m.sumViews, nil)
		if math.Abs(loss-want) > 1e-6*want {
			t.Errorf("%+v: the loss is %v, want %v", m, loss, want)
		}
		if exported := len(g.Export(&format.Manifest{}).Heads); m.stageHeads && exported > 2 {
			t.Errorf("%s: %d heads are exported", m.Name, exported)
		}
		checkSlopes(t, m.Name, g, func() float64 {
			loss, _ := plainLoss(g, m.Method, m.sumViews, teacher)
			return loss
		})
	}
}

// checkSlopes compares the gradient of every parameter, of the last Run, with central
// differences of a loss that is computed from the logits of a Run.
func checkSlopes(t *testing.T, name string, g *Graph, loss func() float64) {
	t.Helper()
	var grads [][]float32
	for _, p := range g.params {
		grad, err := p.node.Grad()
		if err != nil {
			t.Fatal(err)
		}
		grads = append(grads, append([]float32(nil), op.Floats(grad)...))
	}
	for i, p := range g.params {
		var square float64
		for _, v := range grads[i] {
			square += float64(v) * float64(v)
		}
		norm := math.Sqrt(square)
		if norm < 1e-3 {
			t.Errorf("%s, %s: the gradient vanishes", name, p.node.Name())
			continue
		}
		start := append([]float32(nil), p.value...)
		best := math.Inf(1)
		for _, h := range []float64{1e-3, 3e-4, 1e-4} { // large steps meet kinks, small ones rounding
			var side [2]float64
			for s, sign := range []float64{h, -h} {
				for k := range p.value {
					p.value[k] = start[k] + float32(sign*float64(grads[i][k])/norm)
				}
				if _, err := g.Run(); err != nil {
					t.Fatal(err)
				}
				side[s] = loss()
			}
			best = min(best, math.Abs((side[0]-side[1])/(2*h)-norm))
		}
		copy(p.value, start)
		if best > 2e-2*norm {
			t.Errorf("%s, %s: the slope along the gradient is off by %v from the gradient's norm %v", name, p.node.Name(), best, norm)
		}
	}
}

// A net with a teacher: its loss is T² KL(s || u) + beta CE(u, y), written down once more, and
// the gradient of its weights is the slope of that.
func TestTaught(t *testing.T) {
	const images, classes, temperature, beta = 5, 3, 2, 0.5
	g := fixtureGraph(t, "resnet8w8", "baseline", func(s *Spec) { s.Taught = true })
	copy(g.teacher, formattest.LCG(9, images*classes))
	for i := range g.teacher {
		g.teacher[i] *= 4
	}
	plain := func() (loss float64) {
		u := g.heads[0].Buffer()
		for b := range images {
			p, q := logSoftmax(g.teacher[b*classes:][:classes], temperature), logSoftmax(u[b*classes:][:classes], temperature)
			hard := logSoftmax(u[b*classes:][:classes], 1)
			for y := range p {
				loss += (temperature*temperature*math.Exp(p[y])*(p[y]-q[y]) - beta*float64(g.targets[b*classes+y])*hard[y]) / images
			}
		}
		return loss
	}
	loss, err := g.Run()
	if err != nil {
		t.Fatal(err)
	}
	if want := plain(); math.Abs(loss-want) > 1e-6*want {
		t.Errorf("the loss is %v, want %v", loss, want)
	}
	if m := g.Export(&format.Manifest{}); len(m.Heads) != 1 || m.Heads[0].Kind != format.HeadClass {
		t.Errorf("exported heads: %+v", m.Heads)
	}
	checkSlopes(t, "taught", g, plain)
}
