package trainer

import (
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/sla"
)

// A Config says how to train. Start from DefaultConfig.
type Config struct {
	Method        string  `json:"method"`    // baseline, da, mt, sla or sla+sd
	Transform     string  `json:"transform"` // see sla.ParseTransforms
	Net           string  `json:"net"`       // resnetD or resnetDwW
	Epochs        int     `json:"epochs"`
	Batch         int     `json:"batch"`    // images a step; a method with views takes M rows an image
	Rate          float64 `json:"lr"`       // the peak of the schedule
	Schedule      string  `json:"schedule"` // one-cycle, cosine or step
	Momentum      float64 `json:"momentum"`
	Nesterov      bool    `json:"nesterov,omitempty"`
	Decay         float64 `json:"weight_decay"`
	Clip          float64 `json:"clip,omitempty"`            // the largest norm of all gradients together; 0: any
	Smoothing     float64 `json:"label_smoothing,omitempty"` // the share of a label spread over all classes
	Temperature   float64 `json:"temperature"`               // T of the distillation
	Beta          float64 `json:"beta"`                      // weight of its cross-entropy
	Seed          int     `json:"seed"`
	TrainPerClass int     `json:"train_per_class,omitempty"` // 0: all images
}

// DefaultConfig gives the settings of the SLA paper where they do not depend on
// the length of the run.
func DefaultConfig() Config {
	return Config{
		Method: "sla+sd", Transform: "rotation", Net: "resnet8", Epochs: 10, Batch: 128, Rate: 0.1, Schedule: "one-cycle",
		Momentum: 0.9, Decay: 1e-4, Temperature: 1, Beta: 1, Seed: 1,
	}
}

// check finds what is wrong with a Config in itself.
func (c *Config) check() error {
	for _, x := range []struct {
		ok   bool
		what string
	}{
		{c.Epochs >= 1, "the number of epochs must be at least 1"},
		{c.Batch >= 2, "a batch must have at least 2 images"},
		{c.Rate > 0 && c.Rate <= 100, "the learning rate must be above 0"},
		{c.Momentum >= 0 && c.Momentum < 1, "the momentum must be at least 0 and below 1"},
		{c.Decay >= 0, "the weight decay cannot be negative"},
		{c.Clip >= 0, "the norm to clip gradients to cannot be negative"},
		{c.Smoothing >= 0 && c.Smoothing < 1, "label smoothing must be at least 0 and below 1"},
		{c.Temperature > 0, "the temperature must be above 0"},
		{c.Beta >= 0, "beta cannot be negative"},
		{c.Seed >= 0, "the seed cannot be negative"},
		{c.TrainPerClass >= 0, "the number of training images a class cannot be negative"},
	} {
		if !x.ok {
			return errors.New(x.what)
		}
	}
	return nil
}

// An Event tells how a run gets on: after each step, and, with Validation set,
// after each epoch.
type Event struct {
	Epoch, Epochs int // counted from 1
	Step, Steps   int // of the whole run, counted from 1
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
// is held out to choose the mode that the slab recommends; the slab's manifest
// has every mode's score on it. report, if not nil, is called on the way.
//
// The steps of a run: batch, graph (forward, loss, gradients), solver; after
// each epoch the net is exported and evaluated as a slab.
func Train(ctx context.Context, d *Dataset, c Config, report func(Event)) (*format.Model, []byte, error) {
	r, err := newRun(d, c)
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
	slab, err := seal(r.model)
	return r.model, slab, err
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

	began time.Time
	model *format.Model // as of the last whole epoch
}

func (r *run) steps() int { return r.stepsPerEpoch * r.config.Epochs }

func newRun(data *Dataset, c Config) (*run, error) {
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
	if c.TrainPerClass > 0 {
		if err := d.limitPerClass(c.TrainPerClass, r.rng); err != nil {
			return nil, err
		}
	}
	r.dataHash = d.Train.hash()
	r.train, r.held = d.holdOut(r.rng)
	if r.held.Len() == 0 {
		return nil, fmt.Errorf("%d training images are too few: a tenth of each class is held out to choose the mode", d.Train.Len())
	}
	if r.stepsPerEpoch = r.train.Len() / c.Batch; r.stepsPerEpoch == 0 {
		return nil, fmt.Errorf("a batch of %d images is more than the %d training images", c.Batch, r.train.Len())
	}
	half := []float32{0.5, 0.5, 0.5}[:d.Channels]
	input := format.Input{Channels: d.Channels, Height: d.Height, Width: d.Width, Mean: half, Std: half}
	r.manifest = format.Manifest{
		Name: fmt.Sprintf("%s, %s, %s", d.Name, c.Net, c.Method), Labels: d.Labels, Transforms: transforms,
		Input: input, Layers: net.layers(),
		Provenance: format.Provenance{Tool: Tool, Data: d.Name, Method: c.Method, Net: c.Net, Seed: c.Seed,
			Images: r.train.Len(), Epochs: c.Epochs, Steps: r.steps()},
	}
	joint := sla.Joint{Classes: len(d.Labels), Views: len(transforms)}
	r.batcher = newBatcher(input, transforms, joint.Classes, c.Smoothing, &r.train)
	r.graph, err = newGraph(graphSpec{net: net, input: input, joint: joint, images: c.Batch, method: m,
		temperature: c.Temperature, beta: c.Beta, rng: r.rng})
	if err != nil {
		return nil, err
	}
	r.solver = &sgd{momentum: c.Momentum, nesterov: c.Nesterov, decay: c.Decay, clip: c.Clip}
	r.schedule = schedule
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
	order := rand.New(&drawn).Perm(r.train.Len())
	event := Event{Epoch: r.epochs + 1, Epochs: r.config.Epochs, Steps: r.steps()}
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
	tell(r.model.Metrics)
	return nil
}

// elapsed is the time that the run has taken, in seconds.
func (r *run) elapsed() float64 { return r.seconds + time.Since(r.began).Seconds() }

// step trains on the images with the given indices.
func (r *run) step(indices []int) (float64, error) {
	r.batcher.fill(r.graph.inputs, r.graph.targets, indices, r.rng)
	loss, err := r.graph.run()
	if err != nil {
		return 0, err
	}
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return 0, fmt.Errorf("%w: the loss is %v; try a lower learning rate", ErrDiverged, loss)
	}
	r.solver.rate = r.config.Rate * r.schedule((float64(r.done)+0.5)/float64(r.steps()))
	return loss, r.solver.Step(r.graph.valueGrads())
}

// snapshot exports the net as it is and evaluates it on the held-out images.
func (r *run) snapshot(ctx context.Context) error {
	model := r.graph.export(&r.manifest)
	metrics, err := Evaluate(ctx, model, r.data, &r.held, "validation", 0, nil)
	if err != nil {
		return err
	}
	model.Metrics = metrics
	model.Recommended = recommend(&model.Manifest, metrics)
	r.model = model
	return nil
}
