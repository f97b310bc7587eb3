package graph

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	G "gorgonia.org/gorgonia"
	"gorgonia.org/tensor"

	"github.com/quarterturn/quarterturn/format/formattest"
	"github.com/quarterturn/quarterturn/trainer/fewshot"
	"github.com/quarterturn/quarterturn/trainer/internal/op"
	"github.com/quarterturn/quarterturn/trainer/loss"
)

// The loss of an episode on joint classes and its gradient, through the normalisation of
// the features, against PyTorch's. There ridge regression is solved in the primal form.
func TestEpisodesAgainstPyTorch(t *testing.T) {
	var want struct {
		Way, Shot, Queries, Views, Features int
		Cases                               map[string]struct {
			Loss float64
			Dz   []float64
		}
	}
	b, err := os.ReadFile("testdata/episode.json")
	if err == nil {
		err = json.Unmarshal(b, &want)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, head := range []string{"proto", "ridge"} {
		e := fewshot.Episode{Head: head, Way: want.Way, Shot: want.Shot, Queries: want.Queries}
		rows := e.Images() * want.Views
		values := tensor.New(tensor.WithShape(rows, want.Features), tensor.WithBacking(formattest.LCG(21, rows*want.Features)))
		g := G.NewGraph()
		z := G.NewTensor(g, tensor.Float32, 2, G.WithShape(rows, want.Features), G.WithName("z"), G.WithValue(values))
		unit, err := op.Apply(nil, newNormalizeOp("unit", rows, want.Features, 1), z)
		if err != nil {
			t.Fatal(err)
		}
		term, err := op.Apply(nil, loss.NewEpisode("episode", e, want.Views, want.Features), unit)
		if err == nil {
			_, err = G.Grad(term, z)
		}
		if err != nil {
			t.Fatal(err)
		}
		vm := G.NewTapeMachine(g, G.BindDualValues(z))
		if err := vm.RunAll(); err != nil {
			t.Fatal(err)
		}
		expected := want.Cases[head]
		if got := float64(term.Value().Data().(float32)); math.Abs(got-expected.Loss) > 1e-6*expected.Loss {
			t.Errorf("%s: the loss is %v, PyTorch says %v", head, got, expected.Loss)
		}
		grad, err := z.Grad()
		if err != nil {
			t.Fatal(err)
		}
		for i, v := range op.Floats(grad) {
			if math.Abs(float64(v)-expected.Dz[i]) > 1e-6 {
				t.Errorf("%s: gradient %d is %v, PyTorch says %v", head, i, v, expected.Dz[i])
			}
		}
		vm.Close()
	}
}
