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
	"github.com/quarterturn/quarterturn/trainer/batch"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
	"github.com/quarterturn/quarterturn/trainer/fewshot"
	"github.com/quarterturn/quarterturn/trainer/graph"
	"github.com/quarterturn/quarterturn/trainer/loss"
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

// ErrDiverged says that the loss, or what the net answers, was no longer a number.
var ErrDiverged = errors.New("training diverged")

// Train trains on a data set and returns the slab. A tenth of the training images
// is held out to choose the mode that the slab recommends and the epoch that it
// comes from, or a fifth of the classes for training in episodes; its manifest has every
// mode's score and temperature on them. report, if not nil, is called on the way.
//
// The steps of a run: batch, graph (forward, loss, gradients), solver; after
// each epoch the net is exported and evaluated as a slab, and kept if the mode
// that it would serve is the best yet.
func Train(ctx context.Context, d *dataset.Dataset, c Config, report func(Event)) (*format.Model, []byte, error) {
	r, err := newRun(ctx, d, c, nil)
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
	m, err := r.tempered(ctx)
	if err != nil {
		return nil, nil, err
	}
	slab, err := evaluate.EncodeWithSelfTest(m)
	return m, slab, err
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
	balance       *loss.Balance     // of the loss
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

// bestEpoch is what a run keeps of the best epoch so far: see snapshot.
type bestEpoch struct {
	model   *format.Model
	slab    []byte
	highest float64 // served accuracy of any epoch
}

func (r *run) steps() int {
	if r.config.Steps > 0 {
		return r.config.Steps
	}
	return r.stepsPerEpoch * r.config.Epochs
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
		r.balance.On = at >= loss.DRWStart
	}
	b := r.batcher.Next(indices, r.rng)
	if r.teacher != nil {
		b.Teacher = slices.Grow(b.Teacher[:0], len(b.Targets))[:len(b.Targets)]
		if err := r.teacher.Logits(b.Teacher, b.Mixed(r.views.Input)); err != nil {
			return 0, fmt.Errorf("the teacher: %w", err)
		}
	}
	r.graph.Load(r.views, b)
	loss, err := r.graph.Run()
	if err != nil {
		return 0, err
	}
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return 0, fmt.Errorf("%w: the loss is %v; %s", ErrDiverged, loss, lower)
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

// lower is what to do about a run that diverged.
const lower = "try a lower learning rate (--lr)"

// diverged says of a net whose answers to some images are not finite what became of its training: nobody
// has a slab of it yet that could be broken.
func diverged(err error, images string) error {
	if errors.Is(err, sla.ErrNotFinite) {
		return fmt.Errorf("%w: the net's answers to the %s images are not finite; %s", ErrDiverged, images, lower)
	}
	return err
}

// checkServed finds out whether the net will have the mode to serve.
func (r *run) checkServed() error {
	modes := r.graph.Export(&r.manifest).Modes()
	if serve := r.config.ServedMode; serve != auto && !slices.Contains(modes, serve) {
		return fmt.Errorf("serve %q: a slab of method %s has %s, or auto", serve, r.config.Method, strings.Join(modes, ", "))
	}
	return nil
}

// snapshot exports the net as it is, with averaged weights if there are any, evaluates it on
// the held-out images and keeps it if it is the best, or no worse than chance may make it:
// the luckiest of many epochs would be one of any time, and the last, at the lowest learning
// rate, is better. Chance is the standard error of an accuracy on so few images (the rule of
// one standard error, Breiman et al. 1984, "Classification and Regression Trees", 3.4.3).
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
		return diverged(err, evaluate.Validation)
	}
	model.Metrics = evaluate.Metrics(scores)
	r.metrics = model.Metrics
	if model.Recommended = r.config.ServedMode; model.Recommended == auto {
		model.Recommended = recommend(&model.Manifest, model.Metrics)
	}
	p := r.best.highest
	if accuracy := servedAccuracy(model); accuracy > p {
		r.best.highest = accuracy
	} else if accuracy < p-math.Sqrt(p*(1-p)/float64(r.held.Len())) {
		return nil
	}
	model.Provenance.Epochs, model.Provenance.Steps = r.epochs+1, r.done
	slab, err := evaluate.EncodeWithSelfTest(model)
	if err != nil {
		return err
	}
	r.best.model, r.best.slab = model, slab
	return nil
}

// heldOut are the images held out, as the net sees them.
func (r *run) heldOut() evaluate.Images {
	return evaluate.HeldOutImages(r.data, &r.held)
}

// tempered returns the model of the best epoch, with temperatures fitted to the images held out. In
// episodes these are of other classes than the model's, and it has none.
func (r *run) tempered(ctx context.Context) (*format.Model, error) {
	if r.config.episodic() {
		return r.best.model, nil
	}
	m, _, err := evaluate.Temper(ctx, r.best.model, r.heldOut())
	return m, err
}

// validationEpisodes is how many episodes choose the epoch.
const validationEpisodes = 200

// validate scores a model on what was held out. In episodes those are other classes, and
// the model's head is made of the classes that it was trained on.
func (r *run) validate(ctx context.Context, m *format.Model) ([]evaluate.Score, error) {
	if !r.config.episodic() {
		return evaluate.Evaluate(ctx, evaluate.Ensemble{m}, r.heldOut(), nil)
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
