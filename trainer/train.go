package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
)

// An Event tells how a run gets on: after each step, and, with Validation set,
// after each epoch.
type Event struct {
	Epoch, Epochs int // counted from 1
	Step, Steps   int // of the whole run, counted from 1
	Batch         int // images a step
	Loss          float64
	Rate          float64
	Seconds       float64         // since the run began
	Validation    []format.Metric // every mode; only at the end of an epoch
}

// Tool is what a slab names as its maker.
const Tool = "quarterturn 0.1"

// ErrDiverged says that the loss was no longer a number.
var ErrDiverged = errors.New("training diverged")

// Train trains on a data set and gives the slab. A tenth of the training images
// is held out to choose the mode that the slab recommends and the epoch that it
// comes from, or a fifth of the classes for training in episodes; its manifest has every
// mode's score on them. report, if not nil, is
// called on the way.
//
// The steps of a run: batch, graph (forward, loss, gradients), solver; after
// each epoch the net is exported and evaluated as a slab, and kept if the mode
// that it would serve is the best yet.
func Train(ctx context.Context, d *Dataset, c Config, report func(Event)) (*format.Model, []byte, error) {
	r, err := newRun(d, c, nil)
	if err != nil {
		return nil, nil, err
	}
	defer r.graph.close()
	if report == nil {
		report = func(Event) {}
	}
	for r.epochs < c.Epochs {
		if err := r.epoch(ctx, report); err != nil {
			return nil, nil, err
		}
	}
	return r.best.model, r.best.slab, nil
}

// A run is a training run under way.
type run struct {
	config        Config
	data          *Dataset
	train, held   Split
	manifest      format.Manifest // what does not change while training
	batcher       *batcher
	graph         *graph
	solver        *sgd
	schedule      func(at float64) float64
	balance       *balance // of the loss
	stepsPerEpoch int
	dataHash      [32]byte // of the training images and their classes

	// What changes, and so is part of a checkpoint, beside the graph's params
	// and running statistics and the solver's velocities.
	source     *rand.PCG // the one source of randomness
	rng        *rand.Rand
	epochStart rand.PCG // source as it was when the epoch began
	done       int      // steps
	epochs     int      // that were evaluated
	lossSum    float64  // of this epoch's steps
	seconds    float64  // spent training before this process
	average    *average // of the weights, or nil
	best       kept     // the best epoch

	began   time.Time
	metrics []format.Metric // of the last whole epoch, on the held-out images
}

// kept is what a run keeps of an epoch.
type kept struct {
	model *format.Model
	slab  []byte
}

func (r *run) steps() int { return r.stepsPerEpoch * r.config.Epochs }

func newRun(data *Dataset, c Config, device *Device) (*run, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	m, err := parseMethod(c.Method)
	if err != nil {
		return nil, err
	}
	net, err := parseNet(c.Net)
	if err != nil {
		return nil, err
	}
	schedule, err := parseSchedule(c.Schedule)
	if err != nil {
		return nil, err
	}
	transforms, err := sla.ParseTransforms(c.Transform, data.Channels)
	if err != nil {
		return nil, err
	}
	if !m.views {
		transforms = transforms[:1]
	} else if len(transforms) < 2 {
		return nil, fmt.Errorf("method %s needs at least two transformations, %q has one", c.Method, c.Transform)
	}

	d := *data
	r := &run{config: c, data: &d, source: rand.NewPCG(uint64(c.Seed), 0), began: time.Now()}
	r.rng = rand.New(r.source)
	if r.train, r.held, err = d.divide(c, r.rng); err != nil {
		return nil, err
	}
	r.dataHash = d.Train.hash()
	if r.held.Len() == 0 {
		return nil, fmt.Errorf("%d training images are too few: a tenth of each class is held out to choose the mode", d.Train.Len())
	}
	if r.stepsPerEpoch = r.train.Len() / c.Batch; c.inEpisodes() {
		r.stepsPerEpoch = c.Episodes
		for _, s := range []*Split{&r.train, &r.held} {
			if _, err := newSampler(c.Episode, s.Classes); err != nil {
				return nil, err
			}
		}
	} else if r.stepsPerEpoch == 0 {
		return nil, fmt.Errorf("a batch of %d images is more than the %d training images", c.Batch, r.train.Len())
	}
	input := newInput(d.Channels, d.Height, d.Width)
	r.manifest = format.Manifest{
		Name: fmt.Sprintf("%s, %s, %s", d.Name, c.Net, c.Method), Labels: d.Labels, Transforms: transforms,
		Input: input, Layers: net.layers(),
		Provenance: format.Provenance{Tool: Tool, Data: d.Name, Method: c.Method, Net: c.Net, Seed: c.Seed,
			Images: r.train.Len()},
	}
	joint := sla.Joint{Classes: len(d.Labels), Views: len(transforms)}
	if r.batcher, err = newBatcher(c, input, net.border(), transforms, joint.Classes, &r.train); err != nil {
		return nil, err
	}
	if r.balance, err = newBalance(c.Loss, c.Deferred, r.train.counts(joint.Classes)); err != nil {
		return nil, err
	}
	r.graph, err = newGraph(graphSpec{net: net, input: input, joint: joint, images: c.Batch, method: m,
		stageHeads: c.StageHeads, sumViews: c.SumViews, temperature: c.Temperature, beta: c.Beta,
		balance: r.balance, cosine: c.Loss == ldam, episode: c.Episode, rng: r.rng, device: device})
	if err != nil {
		return nil, err
	}
	if err := r.checkServed(); err != nil {
		return nil, errors.Join(err, r.graph.close())
	}
	r.solver = &sgd{momentum: c.Momentum, nesterov: c.Nesterov, decay: c.Decay, decayAll: !c.DecayWeights, clip: c.Clip}
	r.schedule = schedule
	if c.Average > 0 {
		r.average = newAverage(c.Average, r.graph.state())
	}
	return r, nil
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
	var order []int
	if rng := rand.New(&drawn); r.config.inEpisodes() {
		var err error
		if order, err = r.config.order(rng, &r.train); err != nil {
			return err
		}
	} else {
		order = rng.Perm(r.train.Len())
	}
	event := Event{Epoch: r.epochs + 1, Epochs: r.config.Epochs, Steps: r.steps(), Batch: r.config.Batch}
	tell := func(validation []format.Metric) {
		event.Step, event.Loss, event.Rate = r.done, r.lossSum/float64(r.done-before), r.solver.rate
		event.Seconds, event.Validation = r.elapsed(), validation
		report(event)
	}
	for at := r.done - before; at < r.stepsPerEpoch; at++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		if at == 0 {
			*r.source = drawn
		}
		loss, err := r.step(order[at*r.config.Batch : (at+1)*r.config.Batch])
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

// elapsed is the time that the run has taken, in seconds.
func (r *run) elapsed() float64 { return r.seconds + time.Since(r.began).Seconds() }

// step trains on the images with the given indices.
func (r *run) step(indices []int) (float64, error) {
	at := (float64(r.done) + 0.5) / float64(r.steps())
	if r.config.Deferred {
		r.balance.on = at >= deferredFor
	}
	r.batcher.fill(r.graph, indices, r.rng)
	loss, err := r.graph.run()
	if err != nil {
		return 0, err
	}
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return 0, fmt.Errorf("%w: the loss is %v; try a lower learning rate", ErrDiverged, loss)
	}
	r.solver.rate = r.config.Rate * r.schedule(at)
	if err := r.graph.step(r.solver); err != nil {
		return 0, err
	}
	if r.average != nil {
		if err := r.graph.pull(r.solver); err != nil {
			return 0, err
		}
		r.average.add(r.graph.state())
	}
	return loss, nil
}

// checkServed finds out whether the net will have the mode to serve.
func (r *run) checkServed() error {
	modes := r.graph.export(&r.manifest).Modes()
	if serve := r.config.Serve; serve != auto && !slices.Contains(modes, serve) {
		return fmt.Errorf("serve %q: a slab of method %s has %s, or auto", serve, r.config.Method, strings.Join(modes, ", "))
	}
	return nil
}

// snapshot exports the net as it is, with averaged weights if there are any,
// evaluates it on the held-out images and keeps it if it is the best.
func (r *run) snapshot(ctx context.Context) error {
	if err := r.graph.pull(r.solver); err != nil {
		return err
	}
	var model *format.Model
	export := func() { model = r.graph.export(&r.manifest) }
	if r.average != nil {
		r.average.with(r.graph.state(), export)
	} else {
		export()
	}
	scores, err := r.validate(ctx, model)
	if err != nil {
		return err
	}
	model.Metrics = metricsOf(scores)
	r.metrics = model.Metrics
	if model.Recommended = r.config.Serve; model.Recommended == auto {
		model.Recommended = recommend(&model.Manifest, model.Metrics)
	}
	if r.best.model != nil && served(model) < served(r.best.model) {
		return nil
	}
	model.Provenance.Epochs, model.Provenance.Steps = r.epochs+1, r.done
	slab, err := seal(model)
	if err != nil {
		return err
	}
	r.best = kept{model, slab}
	return nil
}

// validate scores a model on what was held out.
func (r *run) validate(ctx context.Context, m *format.Model) ([]Score, error) {
	if r.config.inEpisodes() {
		return r.validateEpisodes(ctx, m)
	}
	return Evaluate(ctx, Ensemble{m}, r.data, &r.held, "validation", 0, nil)
}

// served is the validation accuracy of the mode that a slab recommends.
func served(m *format.Model) float64 {
	for _, x := range m.Metrics {
		if x.Mode == m.Recommended {
			return x.Accuracy
		}
	}
	return 0
}
