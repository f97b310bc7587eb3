package graph

import (
	G "gorgonia.org/gorgonia"

	"github.com/quarterturn/quarterturn/trainer/fewshot"
	"github.com/quarterturn/quarterturn/trainer/internal/gpu"
)

// episodeOp is the loss of an episode: see fewshot.Episode.Loss. Its input is the features
// (images*M, F), rows of length 1.
type episodeOp struct {
	lossOp
	episode fewshot.Episode
	views   int
}

func newEpisodeOp(name string, e fewshot.Episode, views, features int) *episodeOp {
	return &episodeOp{lossOp: lossOp{op: newOp(name, []int{2}), grad: make([]float32, e.Images()*views*features)}, episode: e, views: views}
}

func (o *episodeOp) host(y []float32, x [][]float32) error {
	loss, err := o.episode.Loss(o.grad, x[0], o.views)
	y[0] = float32(loss)
	return err
}

// launch computes on the processor, which solves equations: the features of an episode are
// few.
func (o *episodeOp) launch(_ gpu.Ptr, x []gpu.Ptr) error {
	features, y := make([]float32, len(o.grad)), make([]float32, 1)
	o.dev.Download(features, x[0])
	if err := o.host(y, [][]float32{features}); err != nil {
		return err
	}
	gpu.Upload(o.dev.Device, o.gpu.grad, o.grad)
	gpu.Upload(o.dev.Device, o.dev.losses.At(o.gpu.slot), y)
	return nil
}

func (o *episodeOp) DiffWRT(int) []bool { return []bool{true} }

func (o *episodeOp) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	d, err := o.logitsGrad(1, in[0], out, grad)
	return G.Nodes{d}, err
}
