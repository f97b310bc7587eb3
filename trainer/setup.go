package trainer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/readfile"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/batch"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
	"github.com/quarterturn/quarterturn/trainer/fewshot"
	"github.com/quarterturn/quarterturn/trainer/graph"
	"github.com/quarterturn/quarterturn/trainer/loss"
	"github.com/quarterturn/quarterturn/trainer/nets"
	"github.com/quarterturn/quarterturn/trainer/optim"
	"github.com/quarterturn/quarterturn/trainer/start"
)

// newRun makes a run of a data set, which stays as it is, on a device, nil being the
// processor. It takes the first numbers of the random source: for what is held out, then for
// the initial weights.
func newRun(ctx context.Context, data *dataset.Dataset, c Config, device *graph.Device) (*run, error) {
	c, err := settle(ctx, data, c, device)
	if err != nil {
		return nil, err
	}
	d := *data
	r := &run{config: c, data: &d, source: rand.NewPCG(uint64(c.Seed), 0), began: time.Now(), solver: c.solver(len(d.ClassNames))}
	r.rng = rand.New(r.source)
	if r.schedule, err = optim.ParseSchedule(c.Schedule); err != nil {
		return nil, err
	}
	if err := r.specify(device); err != nil {
		return nil, err
	}
	if err := r.equip(); err != nil {
		return nil, err
	}
	if r.graph, err = graph.New(r.spec); err != nil {
		return nil, err
	}
	if r.from != nil {
		r.graph.SlowDown(firstLayerRate)
	}
	if err := r.checkServed(); err != nil {
		return nil, errors.Join(err, r.graph.Close())
	}
	if c.EMADecay > 0 {
		r.average = optim.NewAverage(c.EMADecay, r.graph.State())
	}
	return r, nil
}

// settle plans what Config.Minutes leaves open, and finds what is wrong with a Config.
func settle(ctx context.Context, data *dataset.Dataset, c Config, device *graph.Device) (Config, error) {
	if c.From == NoSlab {
		c.From = ""
	}
	if c.From != "" {
		c.Net = c.From // whose net it will be
	}
	if c.Minutes > 0 && c.Epochs == 0 {
		var err error
		if c, err = plan(ctx, data, c, device); err != nil {
			return c, err
		}
	}
	return c, c.check()
}

// specify says what the graph is made from, divides the images and begins the manifest.
func (r *run) specify(device *graph.Device) (err error) {
	c, d, spec := &r.config, r.data, &r.spec
	*spec = graph.Spec{StageHeads: c.StageHeads, SumViews: c.SumViews, Temperature: c.Temperature, Beta: c.Beta,
		Cosine: c.Loss == loss.LDAM, NormMomentum: c.NormMomentum, Episode: c.Episode, Rng: r.rng, Device: device}
	if spec.Method, err = graph.ParseMethod(c.Method); err != nil {
		return err
	}
	if c.From != "" {
		if err := r.openFrom(device); err != nil {
			return err
		}
	}
	spec.Input = newInput(d.Channels, d.Height, d.Width)
	if r.from != nil {
		spec.Input.Mean, spec.Input.Std = r.from.Input.Mean, r.from.Input.Std
		spec.Net, err = nets.Of(r.from, spec.Input)
	} else {
		spec.Net, err = nets.Parse(c.Net, spec.Input)
	}
	if err != nil {
		return err
	}
	transforms, err := parseTransforms(c, &spec.Method, d.Channels)
	if err != nil {
		return err
	}
	if err := r.divide(len(transforms)); err != nil {
		return err
	}
	spec.Images = c.BatchSize
	spec.Joint = sla.Joint{Classes: len(d.ClassNames), Views: len(transforms)}
	r.manifest = format.Manifest{
		Name: fmt.Sprintf("%s, %s, %s", d.Name, c.Net, c.Method), Labels: d.ClassNames, Transforms: transforms,
		Input: spec.Input, Layers: spec.Net.Layers(),
		Provenance: format.Provenance{Tool: Tool, Data: d.Name, Method: c.Method, Net: c.Net, Seed: c.Seed,
			Images: r.train.Len()},
	}
	return nil
}

// equip makes what stands around the graph: batches and views, the balance of the loss, a
// teacher, a whitening.
func (r *run) equip() (err error) {
	c, spec := &r.config, &r.spec
	r.views = batch.NewViews(spec.Input, r.manifest.Transforms)
	if r.batcher, err = batch.New(c.batch(), spec.Input, spec.Joint.Classes, &r.train); err != nil {
		return err
	}
	if r.balance, err = loss.NewBalance(c.Loss, c.DRW, r.train.Counts(spec.Joint.Classes)); err != nil {
		return err
	}
	spec.Balance = r.balance
	if c.Teacher != "" {
		if r.teacher, c.TeacherSHA256, err = openTeacher(c, r.data); err != nil {
			return err
		}
		spec.Taught = true
		r.manifest.Provenance.Method += ", taught by " + c.TeacherSHA256[:12]
	}
	if spec.Net.IsFast() && r.from == nil {
		spec.Whitening, err = start.NewWhitening(r.views, r.train.Pixels)
	}
	return err
}

// openTeacher reads the slab that teaches, and returns its SHA-256 beside it.
func openTeacher(c *Config, d *dataset.Dataset) (*evaluate.Teacher, string, error) {
	b, err := readfile.Slab(c.Teacher)
	if err != nil {
		return nil, "", fmt.Errorf("the teacher: %w", err)
	}
	sum := fmt.Sprintf("%x", sha256.Sum256(b))
	if c.TeacherSHA256 != "" && c.TeacherSHA256 != sum {
		return nil, "", fmt.Errorf("the teacher %s has changed since the run began: its SHA-256 was %s and is %s", c.Teacher, c.TeacherSHA256, sum)
	}
	m, err := format.Decode(b)
	if err != nil {
		return nil, "", fmt.Errorf("the teacher %s: %w", c.Teacher, err)
	}
	t, err := evaluate.NewTeacher(m, d)
	if err != nil {
		return nil, "", fmt.Errorf("%s: %w", c.Teacher, err)
	}
	return t, sum, nil
}

// parseTransforms returns the transformations of a batch: for a method without views the
// identity alone.
func parseTransforms(c *Config, m *graph.Method, channels int) ([]format.Transform, error) {
	transforms, err := sla.ParseTransforms(c.Transform, channels)
	if err != nil {
		return nil, err
	}
	if !m.Views {
		return transforms[:1], nil
	}
	if len(transforms) < 2 {
		return nil, fmt.Errorf("method %s needs at least two transformations, %q has one", c.Method, c.Transform)
	}
	return transforms, nil
}

// divide finds what is trained on and what is held out, and how many steps that makes.
func (r *run) divide(views int) (err error) {
	c, d := &r.config, r.data
	if r.train, r.held, err = divide(d, c, r.rng); err != nil {
		return err
	}
	r.dataHash = d.Train.Hash()
	if r.held.Len() == 0 {
		return fmt.Errorf("%d training images are too few: of each class a tenth is held out to choose the mode by, and at least one class must have 4 images for that; add images", d.Train.Len())
	}
	if c.episodic() {
		r.stepsPerEpoch = c.Episodes
		if _, err := fewshot.NewSampler(c.Episode, r.held.Labels); err != nil {
			return err
		}
		_, err = fewshot.NewSampler(c.Episode, r.train.Labels)
		return err
	}
	if c.BatchSize == 0 {
		stride := max(1, r.spec.Net.Stem.Stride) // a chain says it in its layers
		c.BatchSize = fastBatch(r.train.Len(), views, d.Height/stride*d.Width/stride)
	}
	if r.stepsPerEpoch = r.train.Len() / c.BatchSize; r.stepsPerEpoch == 0 {
		return fmt.Errorf("a batch of %d images is more than the %d training images", c.BatchSize, r.train.Len())
	}
	if last := r.stepsPerEpoch * c.Epochs; c.Steps > last || c.Steps > 0 && c.Steps <= last-r.stepsPerEpoch {
		return fmt.Errorf("%w: %d, and there are %d epochs of %d", errSteps, c.Steps, c.Epochs, r.stepsPerEpoch)
	}
	return nil
}

// errSteps is what a plan does not make, but a plan for other images.
var errSteps = errors.New("the number of steps does not end in the last epoch")

// divide makes what a run trains on and what it holds out, with the first numbers of
// its random source; d.Train becomes both together, and d.ClassNames those of what is
// trained on.
func divide(d *dataset.Dataset, c *Config, rng *rand.Rand) (train, held dataset.Split, err error) {
	if err := d.Limit(c.TrainPerClass, c.Imbalance, rng); err != nil {
		return train, held, err
	}
	if c.episodic() {
		return d.HoldOutClasses(c.Episode.Way, rng)
	}
	train, held = d.HoldOut(c.HeldOut, rng)
	// Where rare classes matter, the epoch and the mode are chosen by their scores too.
	held.Balanced = c.Balanced || c.Imbalance > 1 || c.Loss != "" && c.Loss != "ce" || c.DRW
	return train, held, nil
}
