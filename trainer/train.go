package trainer

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/batch"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
	"github.com/quarterturn/quarterturn/trainer/fewshot"
	"github.com/quarterturn/quarterturn/trainer/graph"
	"github.com/quarterturn/quarterturn/trainer/optim"
)

// An Event tells how a run gets on: after each step, and, with Validation set,
// after each epoch.
type Event struct {
	Epoch, Epochs int // counted from 1
	Step, Steps   int // of the whole run, counted from 1
	BatchSize     int // images a step
	Loss          float64
	LR            float64
	Seconds       float64         // since the run began
	Validation    []format.Metric // every mode; only at the end of an epoch
}

// Tool is what a slab names as its maker.
const Tool = "quarterturn 0.1"

// ErrDiverged says that the loss was no longer a number.
var ErrDiverged = errors.New("training diverged")

// Train trains on a data set and returns the slab. A tenth of the training images
// is held out to choose the mode that the slab recommends and the epoch that it
// comes from, or a fifth of the classes for training in episodes; its manifest has every
// mode's score on them. report, if not nil, is called on the way.
//
// The steps of a run: batch, graph (forward, loss, gradients), solver; after
// each epoch the net is exported and evaluated as a slab, and kept if the mode
// that it would serve is the best yet.
func Train(ctx context.Context, d *dataset.Dataset, c Config, report func(Event)) (*format.Model, []byte, error) {
	r, err := newRun(d, c, nil)
	if err != nil {
		return nil, nil, err
	}
	defer r.graph.Close()
	if err := r.startFrom(ctx); err != nil {
		return nil, nil, err
	}
	if report == nil {
		report = func(Event) {}
	}
	for r.epochs < r.config.Epochs {
		if err := r.epoch(ctx, report); err != nil {
			return nil, nil, err
		}
	}
	return r.best.model, r.best.slab, nil
}

// A run is a training run under way.
type run struct {
	config        Config
	data          *dataset.Dataset
	train, held   dataset.Split
	manifest      format.Manifest // what does not change while training
	batcher       *batch.Batcher
	views         *batch.Views
	graph         *graph.Graph
	solver        *optim.SGD
	schedule      optim.Schedule
	balance       *graph.Balance    // of the loss
	teacher       *evaluate.Teacher // nil: none
	from          *format.Model     // that the net starts from; nil: nothing
	spec          graph.Spec        // of the graph
	stepsPerEpoch int
	dataHash      [32]byte // of the training images and their classes

	// What changes, and so is part of a checkpoint, beside the graph's params
	// and running statistics and the solver's velocities.
	source     *rand.PCG // the one source of randomness
	rng        *rand.Rand
	epochStart rand.PCG       // source as it was when the epoch began
	done       int            // steps
	epochs     int            // that were evaluated
	lossSum    float64        // of this epoch's steps
	seconds    float64        // spent training before this process
	average    *optim.Average // of the weights, or nil
	best       bestEpoch

	began   time.Time
	metrics []format.Metric // of the last whole epoch, on the held-out images
}

// bestEpoch is what a run keeps of the best epoch so far.
type bestEpoch struct {
	model *format.Model
	slab  []byte
}

func (r *run) steps() int {
	if r.config.Steps > 0 {
		return r.config.Steps
	}
	return r.stepsPerEpoch * r.config.Epochs
}

func newRun(data *dataset.Dataset, c Config, device *graph.Device) (*run, error) {
	if c.From == NoSlab {
		c.From = ""
	}
	if c.From != "" {
		c.Net = c.From // whose net it will be
	}
	if c.Minutes > 0 && c.Epochs == 0 {
		var err error
		if c, err = plan(data, c, device); err != nil {
			return nil, err
		}
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	d := *data
	r := &run{config: c, data: &d, source: rand.NewPCG(uint64(c.Seed), 0), began: time.Now(), solver: c.solver()}
	r.rng = rand.New(r.source)
	spec := graph.Spec{StageHeads: c.StageHeads, SumViews: c.SumViews, Temperature: c.Temperature, Beta: c.Beta,
		Cosine: c.Loss == graph.LDAM, NormMomentum: c.NormMomentum, Episode: c.Episode, Rng: r.rng, Device: device}
	var err error
	if spec.Method, err = graph.ParseMethod(c.Method); err != nil {
		return nil, err
	}
	if c.From != "" {
		if err := r.openFrom(device); err != nil {
			return nil, err
		}
	}
	spec.Input = newInput(d.Channels, d.Height, d.Width)
	if r.from != nil {
		spec.Input.Mean, spec.Input.Std = r.from.Input.Mean, r.from.Input.Std
		spec.Net, err = graph.NetOf(r.from, spec.Input)
	} else {
		spec.Net, err = graph.ParseNet(c.Net, spec.Input)
	}
	if err != nil {
		return nil, err
	}
	if r.schedule, err = optim.ParseSchedule(c.Schedule); err != nil {
		return nil, err
	}
	transforms, err := parseTransforms(&c, &spec.Method, d.Channels)
	if err != nil {
		return nil, err
	}
	if err := r.divide(len(transforms)); err != nil {
		return nil, err
	}
	spec.Images = r.config.BatchSize
	spec.Joint = sla.Joint{Classes: len(d.ClassNames), Views: len(transforms)}
	r.manifest = format.Manifest{
		Name: fmt.Sprintf("%s, %s, %s", d.Name, r.config.Net, c.Method), Labels: d.ClassNames, Transforms: transforms,
		Input: spec.Input, Layers: spec.Net.Layers(),
		Provenance: format.Provenance{Tool: Tool, Data: d.Name, Method: c.Method, Net: r.config.Net, Seed: c.Seed,
			Images: r.train.Len()},
	}
	r.views = batch.NewViews(spec.Input, transforms)
	if r.batcher, err = batch.New(c.batch(), spec.Input, spec.Joint.Classes, &r.train); err != nil {
		return nil, err
	}
	if r.balance, err = graph.NewBalance(c.Loss, c.DRW, r.train.Counts(spec.Joint.Classes)); err != nil {
		return nil, err
	}
	spec.Balance = r.balance
	if c.Teacher != "" {
		if r.teacher, r.config.TeacherSHA256, err = openTeacher(&c, &d); err != nil {
			return nil, err
		}
		spec.Taught = true
		r.manifest.Provenance.Method += ", taught by " + r.config.TeacherSHA256[:12]
	}
	if spec.Net.Whitens() && r.from == nil {
		if spec.Whitening, err = graph.NewWhitening(r.views, r.train.Pixels); err != nil {
			return nil, err
		}
	}
	if r.graph, err = graph.New(spec); err != nil {
		return nil, err
	}
	r.spec = spec
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

// openTeacher reads the slab that teaches, and returns its SHA-256 beside it.
func openTeacher(c *Config, d *dataset.Dataset) (*evaluate.Teacher, string, error) {
	b, err := os.ReadFile(c.Teacher)
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
		return fmt.Errorf("%d training images are too few: a tenth of each class is held out to choose the mode", d.Train.Len())
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
		c.BatchSize = fastBatch(r.train.Len(), views, d.Height*d.Width)
	}
	if r.stepsPerEpoch = r.train.Len() / c.BatchSize; r.stepsPerEpoch == 0 {
		return fmt.Errorf("a batch of %d images is more than the %d training images", c.BatchSize, r.train.Len())
	}
	if last := r.stepsPerEpoch * c.Epochs; c.Steps > last || c.Steps > 0 && c.Steps <= last-r.stepsPerEpoch {
		return fmt.Errorf("%d steps do not end in the last of %d epochs of %d steps", c.Steps, c.Epochs, r.stepsPerEpoch)
	}
	return nil
}

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

// epoch trains until the end of the epoch, from wherever in it the run stands,
// and evaluates. When ctx ends the run stays whole, between two steps.
func (r *run) epoch(ctx context.Context, report func(Event)) error {
	before := r.epochs * r.stepsPerEpoch
	if r.done == before {
		r.epochStart, r.lossSum = *r.source, 0
	}
	// The order of the images is drawn from the epoch's first random numbers, on
	// the side, so that it can be drawn once more in the middle of an epoch.
	drawn := r.epochStart
	order, err := r.order(rand.New(&drawn))
	if err != nil {
		return err
	}
	r.batcher.Epoch = r.epochs
	event := Event{Epoch: r.epochs + 1, Epochs: r.config.Epochs, Steps: r.steps(), BatchSize: r.config.BatchSize}
	tell := func(validation []format.Metric) {
		event.Step, event.Loss, event.LR = r.done, r.lossSum/float64(r.done-before), r.solver.LR
		event.Seconds, event.Validation = r.elapsed(), validation
		report(event)
	}
	for at := r.done - before; at < r.stepsPerEpoch && r.done < r.steps(); at++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if at == 0 {
			*r.source = drawn
		}
		loss, err := r.step(order[at*r.config.BatchSize : (at+1)*r.config.BatchSize])
		if err != nil {
			return fmt.Errorf("step %d: %w", r.done+1, err)
		}
		r.lossSum += loss
		r.done++
		tell(nil)
	}
	if err := r.snapshot(ctx); err != nil {
		return err
	}
	r.epochs++
	tell(r.metrics)
	return nil
}

// order draws the order of an epoch's images.
func (r *run) order(rng *rand.Rand) ([]int, error) {
	if !r.config.episodic() {
		return rng.Perm(r.train.Len()), nil
	}
	s, err := fewshot.NewSampler(r.config.Episode, r.train.Labels)
	if err != nil {
		return nil, err
	}
	return s.Order(r.config.Episodes, rng), nil
}

// elapsed is the time that the run has taken, in seconds.
func (r *run) elapsed() float64 { return r.seconds + time.Since(r.began).Seconds() }

// step trains on the images with the given indices.
func (r *run) step(indices []int) (float64, error) {
	at := (float64(r.done) + 0.5) / float64(r.steps())
	if r.config.DRW {
		r.balance.On = at >= graph.DRWStart
	}
	b := r.batcher.Next(indices, r.rng)
	if r.teacher != nil {
		b.Teacher = slices.Grow(b.Teacher[:0], len(b.Targets))[:len(b.Targets)]
		if err := r.teacher.Logits(b.Teacher, b.Images); err != nil {
			return 0, fmt.Errorf("the teacher: %w", err)
		}
	}
	r.graph.Load(r.views, b)
	loss, err := r.graph.Run()
	if err != nil {
		return 0, err
	}
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return 0, fmt.Errorf("%w: the loss is %v; try a lower learning rate", ErrDiverged, loss)
	}
	r.solver.LR = r.config.LR * r.schedule(at)
	if err := r.graph.Step(r.solver); err != nil {
		return 0, err
	}
	if r.average != nil {
		if err := r.graph.Pull(r.solver); err != nil {
			return 0, err
		}
		r.average.Add(r.graph.State())
	}
	return loss, nil
}

// checkServed finds out whether the net will have the mode to serve.
func (r *run) checkServed() error {
	modes := r.graph.Export(&r.manifest).Modes()
	if serve := r.config.ServedMode; serve != auto && !slices.Contains(modes, serve) {
		return fmt.Errorf("serve %q: a slab of method %s has %s, or auto", serve, r.config.Method, strings.Join(modes, ", "))
	}
	return nil
}

// snapshot exports the net as it is, with averaged weights if there are any,
// evaluates it on the held-out images and keeps it if it is the best.
func (r *run) snapshot(ctx context.Context) error {
	if err := r.graph.Pull(r.solver); err != nil {
		return err
	}
	var model *format.Model
	export := func() { model = r.graph.Export(&r.manifest) }
	if r.average != nil {
		r.average.With(r.graph.State(), export)
	} else {
		export()
	}
	scores, err := r.validate(ctx, model)
	if err != nil {
		return err
	}
	model.Metrics = evaluate.Metrics(scores)
	r.metrics = model.Metrics
	if model.Recommended = r.config.ServedMode; model.Recommended == auto {
		model.Recommended = recommend(&model.Manifest, model.Metrics)
	}
	if r.best.model != nil && servedAccuracy(model) < servedAccuracy(r.best.model) {
		return nil
	}
	model.Provenance.Epochs, model.Provenance.Steps = r.epochs+1, r.done
	slab, err := evaluate.EncodeWithSelfTest(model)
	if err != nil {
		return err
	}
	r.best = bestEpoch{model, slab}
	return nil
}

// validationEpisodes is how many episodes choose the epoch.
const validationEpisodes = 200

// validate scores a model on what was held out. In episodes those are other classes, and
// the model's head is made of the classes that it was trained on.
func (r *run) validate(ctx context.Context, m *format.Model) ([]evaluate.Score, error) {
	if !r.config.episodic() {
		return evaluate.Evaluate(ctx, evaluate.Ensemble{m}, r.data, &r.held, "validation", 0, nil)
	}
	if err := fewshot.SetPrototypes(ctx, m, r.data, &r.train); err != nil {
		return nil, err
	}
	features, err := fewshot.Features(ctx, m, r.data, &r.held)
	if err != nil {
		return nil, err
	}
	e := fewshot.Evaluation{Episode: r.config.Episode, Episodes: validationEpisodes, Seed: r.config.Seed}
	return e.Scores(m.Modes(), features, m.Views(), r.held.Labels)
}
