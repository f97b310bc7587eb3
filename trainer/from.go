package trainer

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/readfile"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/backbone"
	"github.com/quarterturn/quarterturn/trainer/batch"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
	"github.com/quarterturn/quarterturn/trainer/graph"
	"github.com/quarterturn/quarterturn/trainer/optim"
)

// FromBackbone is what Config.From says to start from the slab that comes along.
const FromBackbone = "backbone"

// firstLayerRate is the learning rate of the first layer of a net that starts from a slab,
// over that of the heads.
const firstLayerRate = 0.1

// How many views of images the heads of such a net are fitted to, at most.
const headRows = 8000

// OpenFrom reads the slab that Config.From names, and returns its SHA-256 beside it.
func OpenFrom(from string) (*format.Model, string, error) {
	b := backbone.Slab
	if from != FromBackbone {
		var err error
		if b, err = readfile.Slab(from); err != nil {
			return nil, "", fmt.Errorf("the slab to start from: %w", err)
		}
	}
	m, err := format.Decode(b)
	if err != nil {
		return nil, "", fmt.Errorf("the slab to start from, %s: %w", from, err)
	}
	return m, fmt.Sprintf("%x", sha256.Sum256(b)), nil
}

// openFrom reads the slab that a run starts from and makes the data set what it wants: grey
// images become colours if it is of colours.
func (r *run) openFrom(device *graph.Device) (err error) {
	c := &r.config
	sum := c.FromSHA256
	if r.from, c.FromSHA256, err = OpenFrom(c.From); err != nil {
		return err
	}
	if sum != "" && sum != c.FromSHA256 {
		return fmt.Errorf("the slab to start from, %s, has changed since the run began: its SHA-256 was %s and is %s", c.From, sum, c.FromSHA256)
	}
	if device != nil {
		return fmt.Errorf("a run that starts from a slab is for the processor; leave out --device, or give --from none")
	}
	if c.episodic() {
		return fmt.Errorf("training in episodes does not start from a slab")
	}
	c.Net = r.from.Provenance.Net
	switch in := r.from.Input; {
	case in.Channels == r.data.Channels:
	case in.Channels == 3:
		r.data.Colour()
	default:
		return fmt.Errorf("the slab to start from takes grey images and %s is in colour; give another slab, or --from none", r.data.Name)
	}
	return nil
}

// startFrom gives the graph the weights of the slab that the run starts from: first the
// backbone, then, on its features, heads in closed form. Without such a slab it does nothing.
func (r *run) startFrom(ctx context.Context) error {
	if r.from == nil {
		return nil
	}
	spec := r.spec
	rng := rand.New(rand.NewPCG(uint64(r.config.Seed), 1)) // on the side: the run's own is for the run
	spec.Images = min(r.train.Len(), max(2, 32/spec.Joint.Views))
	spec.Rng = rng
	small, err := graph.New(spec)
	if err != nil {
		return err
	}
	defer small.Close()
	plain, err := batch.New(batch.Config{Augment: "none"}, spec.Input, spec.Joint.Classes, &r.train)
	if err != nil {
		return err
	}
	small.Load(r.views, plain.Next(rng.Perm(r.train.Len())[:spec.Images], rng))
	if err := small.Import(ctx, r.from); err != nil {
		return fmt.Errorf("starting from %s: %w", r.config.From, err)
	}
	images := rng.Perm(r.train.Len())
	images = images[:min(len(images), headRows/spec.Joint.Views)]
	slices.Sort(images)
	some := r.data.Subset(&r.train, images)
	features, err := viewFeatures(ctx, r.from, r.manifest.Transforms, r.data, &some)
	if err != nil {
		return err
	}
	if err := small.StartHeads(ctx, features, some.Labels); err != nil {
		return fmt.Errorf("starting from %s: %w", r.config.From, err)
	}
	state := r.graph.State()
	for i, v := range small.State() {
		copy(state[i], v)
	}
	if r.config.EMADecay > 0 {
		r.average = optim.NewAverage(r.config.EMADecay, state)
	}
	return nil
}

// viewFeatures returns the features of images under each view, (n, M*F), as a slab computes
// them: the logits of a joint head whose weights are the identity.
func viewFeatures(ctx context.Context, m *format.Model, transforms []format.Transform, d *dataset.Dataset, s *dataset.Split) ([][]float32, error) {
	shapes := m.Shapes()
	width := shapes[len(shapes)-1].Channels
	views := len(transforms)
	probe := *m
	probe.Transforms, probe.Exits = transforms, nil
	probe.Labels = make([]string, width)
	for i := range probe.Labels {
		probe.Labels[i] = fmt.Sprint(i)
	}
	kind, mode := format.HeadJoint, sla.Aggregated
	if views == 1 {
		kind, mode = format.HeadClass, sla.Baseline
	}
	weight := make([]float32, width*views*width)
	for y := range width {
		for j := range views {
			weight[(y*views+j)*width+y] = 1
		}
	}
	probe.Heads = []format.Head{{Kind: kind}}
	probe.Weights = append(slices.Clip(m.Weights[:len(m.Weights)-2*len(m.Heads)]), weight, make([]float32, width*views))
	probe.Input.Height, probe.Input.Width = d.Height, d.Width
	features := make([][]float32, s.Len())
	return features, evaluate.EachImage(ctx, &probe, d, s, func(c *sla.Classifier, i int) error {
		r, err := c.Run(mode)
		if err != nil {
			return err
		}
		z := r.Views
		if views == 1 {
			z = r.Logits
		}
		features[i] = slices.Clone(z)
		return nil
	})
}
