package trainer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mat"
	G "gorgonia.org/gorgonia"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
)

// An Episode is a small problem of classification: of some classes a few images each
// are shown, the support, and others are to be classified, the queries (Vinyals et al.
// 2016). The zero Episode is none.
type Episode struct {
	Head    string `json:"head"`    // proto or ridge, see shotHeads
	Way     int    `json:"way"`     // classes
	Shot    int    `json:"shot"`    // images of each that are shown
	Queries int    `json:"queries"` // other images of each that are classified
}

// Images is the number of images of an episode.
func (e Episode) Images() int { return e.Way * (e.Shot + e.Queries) }

func (e Episode) check() error {
	if e.Way < 2 || e.Shot < 1 || e.Queries < 1 {
		return errors.New("an episode wants at least 2 classes, and an image of each to show and one to ask")
	}
	_, err := parseShotHead(e.Head)
	return err
}

// InEpisodes gives the settings for training in so many episodes an epoch. With the
// method sla the classes of an episode are joint ones, (class, transformation), in its
// support as in its queries (SLA paper, section 4.2); with baseline there is one view.
func (c Config) InEpisodes(e Episode, perEpoch int) Config {
	c.Episode, c.Episodes, c.Batch = e, perEpoch, e.Images()
	return c
}

// inEpisodes says whether a run is one in episodes.
func (c *Config) inEpisodes() bool { return c.Episode != Episode{} }

// checkEpisodes finds what does not go with episodes.
func (c *Config) checkEpisodes() error {
	if !c.inEpisodes() {
		return nil
	}
	if err := c.Episode.check(); err != nil {
		return err
	}
	plain := c.Mix == "" && c.Smoothing == 0 && c.Loss == "" && !c.Deferred && !c.SumViews && !c.StageHeads && c.Imbalance == 0
	switch {
	case c.Method != "baseline" && c.Method != "sla":
		return fmt.Errorf("method %q: episodes are for baseline and sla", c.Method)
	case c.Episodes < 1:
		return errors.New("the number of episodes an epoch must be at least 1")
	case c.Batch != c.Episode.Images():
		return fmt.Errorf("a batch of %d images, but an episode has %d", c.Batch, c.Episode.Images())
	case !plain:
		return errors.New("episodes go with neither mixed images, smoothed labels, stage heads nor losses for a long tail")
	}
	return nil
}

// A sampler draws episodes from images of these classes.
type sampler struct {
	Episode
	known   []int         // classes with images enough
	byClass map[int][]int // their images
}

func newSampler(e Episode, classes []int) (*sampler, error) {
	s := &sampler{e, nil, map[int][]int{}}
	for i, y := range classes {
		s.byClass[y] = append(s.byClass[y], i)
	}
	for y, images := range s.byClass {
		if len(images) >= e.Shot+e.Queries {
			s.known = append(s.known, y)
		}
	}
	if len(s.known) < e.Way {
		return nil, fmt.Errorf("%d classes have the %d images that an episode needs, want %d", len(s.known), e.Shot+e.Queries, e.Way)
	}
	slices.Sort(s.known)
	return s, nil
}

// draw gives the images of an episode that are shown and those that are asked, by class.
func (s *sampler) draw(rng *rand.Rand) (shown, asked [][]int) {
	rng.Shuffle(len(s.known), func(a, b int) { s.known[a], s.known[b] = s.known[b], s.known[a] })
	for _, y := range s.known[:s.Way] {
		images := s.byClass[y]
		rng.Shuffle(len(images), func(a, b int) { images[a], images[b] = images[b], images[a] })
		shown, asked = append(shown, slices.Clone(images[:s.Shot])), append(asked, slices.Clone(images[s.Shot:s.Shot+s.Queries]))
	}
	return shown, asked
}

// order gives the images of an epoch of episodes one after the other, of each those shown
// first.
func (c *Config) order(rng *rand.Rand, s *Split) ([]int, error) {
	episodes, err := newSampler(c.Episode, s.Classes)
	if err != nil {
		return nil, err
	}
	var order []int
	for range c.Episodes {
		shown, asked := episodes.draw(rng)
		order = append(append(order, slices.Concat(shown...)...), slices.Concat(asked...)...)
	}
	return order, nil
}

// holdOutClasses splits a fifth of the classes, at random, and at least way of them, off
// the training images. Labels become those of the others.
func (d *Dataset) holdOutClasses(way int, rng *rand.Rand) (train, held Split, err error) {
	n := max(way, len(d.Labels)/5)
	if len(d.Labels)-n < way {
		return Split{}, Split{}, fmt.Errorf("%d classes are too few for episodes of %d: %d are held out to choose the epoch by, and %d are to train on", len(d.Labels), way, n, way)
	}
	order := rng.Perm(len(d.Labels))
	kept := slices.Sorted(slices.Values(order[n:]))
	var trained, heldOut []int
	for i, y := range d.Train.Classes {
		if slices.Contains(kept, y) {
			trained = append(trained, i)
		} else {
			heldOut = append(heldOut, i)
		}
	}
	train, held = d.subset(&d.Train, trained), d.subset(&d.Train, heldOut)
	var labels []string
	for _, y := range kept {
		labels = append(labels, d.Labels[y])
	}
	for i, y := range train.Classes {
		train.Classes[i], _ = slices.BinarySearch(kept, y)
	}
	d.Labels = labels
	return train, held, nil
}

// validationEpisodes is how many episodes choose the epoch.
const validationEpisodes = 200

// validateEpisodes scores a model on episodes of the classes held out, and makes its head
// of the classes that it was trained on.
func (r *run) validateEpisodes(ctx context.Context, m *format.Model) ([]Score, error) {
	if err := r.setPrototypes(ctx, m); err != nil {
		return nil, err
	}
	directions, err := Directions(ctx, m, r.data, &r.held)
	if err != nil {
		return nil, err
	}
	e := r.config.Episode
	f := FewShot{Episode: e, Episodes: validationEpisodes, Seed: r.config.Seed}
	outcomes, err := f.play(directions, m.Views(), r.held.Classes)
	if err != nil {
		return nil, err
	}
	var truth Split
	for range f.Episodes {
		for y := range e.Way {
			truth.Classes = append(truth.Classes, slices.Repeat([]int{y}, e.Queries)...)
		}
	}
	var scores []Score
	for k, mode := range m.Modes() {
		scores = append(scores, score(mode, fmt.Sprintf("%d-way %d-shot validation", e.Way, e.Shot), &truth, e.Way, outcomes[k]))
	}
	return scores, nil
}

// setPrototypes makes the head of a model that was trained in episodes: of every class
// and view the mean direction of the first twenty training images.
func (r *run) setPrototypes(ctx context.Context, m *format.Model) error {
	const most = 20
	seen := make([]int, m.Classes())
	var indices []int
	for i, y := range r.train.Classes {
		if seen[y]++; seen[y] <= most {
			indices = append(indices, i)
		}
	}
	shown := r.data.subset(&r.train, indices)
	directions, err := Directions(ctx, m, r.data, &shown)
	if err != nil {
		return err
	}
	weight := m.Weights[len(m.Weights)-2] // (N*M, F), class-major
	clear(weight)
	for i, z := range directions {
		for k, v := range z {
			weight[shown.Classes[i]*len(z)+k] += v
		}
	}
	features := len(weight) / (m.Classes() * m.Views())
	unit := newNormaliseOp("", m.Classes()*m.Views(), features, 1)
	unit.rows(weight, weight)
	return nil
}

// episodeOp is the loss of an episode: the mean cross-entropy over its query rows. Its
// input is the directions (images*M, F) of the images, shown and asked, in the order of
// Config.order.
type episodeOp struct {
	op
	Episode
	views int
	head  shotHead
	grad  []float32
	lossDevice
}

func newEpisodeOp(name string, e Episode, views, features int) (*episodeOp, error) {
	head, err := parseShotHead(e.Head)
	return &episodeOp{op: newOp(name, []int{2}), Episode: e, views: views, head: head, grad: make([]float32, e.Images()*views*features)}, err
}

func (o *episodeOp) Do(v ...G.Value) (G.Value, error) {
	if o.dev != nil {
		return o.launchLoss(v)
	}
	loss, err := o.play(floats(v[0]))
	return G.NewF32(float32(loss)), err
}

// play computes the loss and its gradient.
func (o *episodeOp) play(directions []float32) (loss float64, err error) {
	rows := widened(directions)
	features := len(rows) / (o.Images() * o.views)
	joint := sla.Joint{Classes: o.Way, Views: o.views}
	support, queries := o.Way*o.Shot*o.views, o.Way*o.Queries*o.views
	shown := mat.NewDense(support, features, rows[:support*features])
	asked := mat.NewDense(queries, features, rows[support*features:])
	classes := make([]int, support)
	for r := range classes {
		classes[r] = joint.Index(r/o.views/o.Shot, r%o.views)
	}
	logits, back, err := o.head(shown, asked, classes, joint.Size())
	if err != nil {
		return 0, err
	}
	p := make([]float64, joint.Size())
	for r := range queries {
		row := logits.RawRowView(r)
		y := joint.Index(r/o.views/o.Queries, r%o.views)
		truth := row[y]
		loss += (softmax(p, row, 1) - truth) / float64(queries)
		p[y]--
		for k := range row {
			row[k] = p[k] / float64(queries)
		}
	}
	dShown, dAsked := back(logits)
	for i, d := range append(dShown.RawMatrix().Data, dAsked.RawMatrix().Data...) {
		o.grad[i] = float32(d)
	}
	return loss, nil
}

func (o *episodeOp) DiffWRT(int) []bool { return []bool{true} }

func (o *episodeOp) SymDiff(in G.Nodes, out, grad *G.Node) (G.Nodes, error) {
	d, err := o.lossGrad(o.grad, o.device(&o.op, len(o.grad), 1), in[0], out, grad)
	return G.Nodes{d}, err
}
