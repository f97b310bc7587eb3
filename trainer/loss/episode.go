package loss

import (
	G "gorgonia.org/gorgonia"

	"github.com/quarterturn/quarterturn/trainer/fewshot"
	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
	"github.com/quarterturn/quarterturn/trainer/internal/op"
)

// An Episode is the loss of an episode: see fewshot.Episode.Loss. Its input is the features
// (images*M, F), rows of length 1.
type Episode struct {
	lossOp
	episode fewshot.Episode
	views   int
}

// NewEpisode makes the Op of an Episode; features is F.
func NewEpisode(name string, e fewshot.Episode, views, features int) *Episode {
	return &Episode{lossOp: lossOp{Base: op.New(name, []int{2}), grad: make([]float32, e.Images()*views*features)}, episode: e, views: views}
}

func (o *Episode) Host(y []float32, x [][]float32) error {
	loss, err := o.episode.Loss(o.grad, x[0], o.views)
	y[0] = float32(loss)
	return err
}

// Launch computes on the processor, which solves equations: the features of an episode are
// few.
func (o *Episode) Launch(_ gpu.Ptr, x []gpu.Ptr) error {
	features, y := make([]float32, len(o.grad)), make([]float32, 1)
	o.Dev.Download(features, x[0])
	if err := o.Host(y, [][]float32{features}); err != nil {
		return err
	}
	gpu.Upload(o.Dev.Device, o.gpu.grad, o.grad)
	gpu.Upload(o.Dev.Device, o.gpu.loss, y)
	return nil
}

func (o *Episode) DiffWRT(int) []bool { return []bool{true} }

func (o *Episode) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	d, err := o.logitsGrad(1, in[0], out, grad)
	return G.Nodes{d}, err
}
