package trainer

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
	"github.com/quarterturn/quarterturn/trainer/graph"
	"github.com/quarterturn/quarterturn/trainer/nets"
)

// How a plan measures and what it leaves for what it did not foresee.
const (
	warmUpSteps   = 2
	measuredShare = 0.02 // of the time, for measuring a net's speed
	measuredLeast = 3 * time.Second
	measuredMost  = 30 * time.Second // a speed is known by then, however long the run
	planReserve   = 0.04             // of the time
	leastSteps    = 10
)

// AutoMethod is what Config.Method says for Start to choose between baseline, sla+sd and
// OfflineMethod, by what there is time for in Config.Minutes.
const AutoMethod = "auto"

// How often a baseline sees each image, in the time that there is, for other methods to make
// more of that time: see "When does it help?" in docs/results.md.
const (
	Saturated     = 400           // SLA+SD
	SaturatedTail = 60            // SLA+SD, where classes have a long tail
	Teachable     = 2 * Saturated // OfflineMethod
)

// longTail is how many times the images of the rarest class the commonest has for SaturatedTail, which was measured
// where it has a hundred.
const longTail = 10

// methodFor is the method for the time in which a baseline sees each image so often; saturated is Saturated or
// SaturatedTail.
func methodFor(epochs, saturated int) string {
	switch {
	case epochs >= Teachable:
		return OfflineMethod
	case epochs >= saturated:
		return "sla+sd"
	}
	return "baseline"
}

// saturation returns how often a baseline sees each image until SLA+SD makes more of the time, by the training images of
// each class before any are held out.
func saturation(counts []int, c *Config) int {
	least, most := slices.Min(counts), slices.Max(counts)
	if c.TrainPerClass > 0 {
		least, most = min(least, c.TrainPerClass), min(most, c.TrainPerClass)
	}
	if most >= longTail*max(1, least) || c.Imbalance >= longTail {
		return SaturatedTail
	}
	return Saturated
}

// Saturation returns which of Saturated and SaturatedTail holds for a run.
func (f *RunDir) Saturation() int {
	return saturation(f.Data.Train.Counts(len(f.Data.ClassNames)), &f.Config)
}

// planNets are the nets that a plan chooses from: the largest with which every image comes
// by so many times, in so many steps, out of so many images. The last one needs nothing.
var planNets = []struct {
	name                  string
	epochs, steps, images int
}{
	{"fast64-256", 16, 800, 10_000},
	{"fast64", 6, 400, 0},
	{"fast32", 0, 0, 0},
}

// measured is the speed of a net.
type measured struct {
	config        Config
	stepsPerEpoch int
	step          float64 // seconds
	validation    float64 // seconds, at the end of an epoch
	test          float64 // and all else behind the last epoch
	macs          int     // multiply-adds of a pass
}

// chooseMethod settles AutoMethod: it returns the plan of a baseline or of SLA+SD, or OfflineMethod, whose
// two runs have plans of their own.
func chooseMethod(ctx context.Context, d *dataset.Dataset, c Config, device *graph.Device) (Config, error) {
	baseline := c
	if baseline.Method = "baseline"; c.MaxEpochs > 0 {
		baseline.MaxEpochs = max(c.MaxEpochs, Teachable)
	}
	planned, err := plan(ctx, d, baseline, device)
	if err != nil {
		return c, err
	}
	switch c.Method = methodFor(planned.Epochs, saturation(d.Train.Counts(len(d.ClassNames)), &c)); c.Method {
	case baseline.Method:
		planned.MaxEpochs = c.MaxEpochs
		return planned, nil
	case OfflineMethod:
		return c, nil
	}
	return plan(ctx, d, c, device)
}

// plan settles what Config.Minutes leaves open, net, batch size, epochs and steps, by the speed
// that this machine shows in a few seconds of training. What a run trains then is a function of
// its Config alone, as always.
func plan(ctx context.Context, d *dataset.Dataset, c Config, device *graph.Device) (Config, error) {
	began := time.Now()
	left := func() float64 { return 60*c.Minutes*(1-planReserve) - time.Since(began).Seconds() }
	if c.Net != "" {
		m, err := measure(ctx, d, c, device)
		if err != nil {
			return c, err
		}
		return m.plan(left())
	}
	suffix := ""
	if min(d.Height, d.Width) >= dataset.LargeSide { // their nets have a stem with a stride of 2
		suffix = nets.Halved
	}
	c.Net = planNets[1].name + suffix
	known, err := measure(ctx, d, c, device)
	if err != nil {
		return c, err
	}
	for _, n := range planNets {
		c.Net = n.name + suffix
		if d.Train.Len() < n.images {
			continue
		}
		guess := *known
		if err := guess.scale(d, c.Net); err != nil {
			return c, err
		}
		if e := guess.epochs(left()); e < float64(n.epochs) || e*float64(guess.stepsPerEpoch) < float64(n.steps) {
			continue
		}
		if c.Net == known.config.Net {
			return known.plan(left())
		}
		break
	}
	m, err := measure(ctx, d, c, device)
	if err != nil {
		return c, err
	}
	return m.plan(left())
}

// scale guesses the speed of another net by its multiply-adds.
func (m *measured) scale(d *dataset.Dataset, net string) error {
	macs, err := macs(net, d)
	if err != nil {
		return err
	}
	ratio := float64(macs) / float64(m.macs)
	m.step, m.validation, m.test = m.step*ratio, m.validation*ratio, m.test*ratio
	return nil
}

func macs(net string, d *dataset.Dataset) (int, error) {
	input := newInput(d.Channels, d.Height, d.Width)
	n, err := nets.Parse(net, input)
	if err != nil {
		return 0, err
	}
	return (&format.Manifest{Input: input, Layers: n.Layers()}).MACs(), nil
}

// measuring is how long a net's speed is measured for a run of so many minutes.
func measuring(minutes float64) time.Duration {
	seconds := min(60*measuredShare*minutes, measuredMost.Seconds()) // before it is too many nanoseconds
	return max(measuredLeast, time.Duration(seconds*float64(time.Second)))
}

// measure trains for a few seconds with a Config, on a run that is thrown away.
func measure(ctx context.Context, d *dataset.Dataset, c Config, device *graph.Device) (*measured, error) {
	budget := measuring(c.Minutes)
	c.Epochs = 1
	r, err := newRun(ctx, d, c, device)
	if err != nil {
		return nil, err
	}
	defer r.graph.Close()
	order, err := r.order(r.rng)
	if err != nil {
		return nil, err
	}
	m := &measured{config: r.config, stepsPerEpoch: r.stepsPerEpoch}
	m.macs = r.manifest.MACs()
	var began time.Time
	steps := 0
	for ; steps < warmUpSteps+1 || time.Since(began) < budget; steps++ {
		if steps == warmUpSteps {
			began = time.Now()
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		at := steps % r.stepsPerEpoch * r.config.BatchSize
		if _, err := r.step(order[at : at+r.config.BatchSize]); err != nil {
			return nil, err
		}
	}
	m.step = time.Since(began).Seconds() / float64(steps-warmUpSteps)
	if err := r.graph.Pull(r.solver); err != nil {
		return nil, err
	}
	model := r.graph.Export(&r.manifest)
	const asked = 200
	began = time.Now()
	images := r.heldOut()
	images.Limit = asked
	if _, err := evaluate.Evaluate(ctx, evaluate.Ensemble{model}, images, nil); err != nil {
		return nil, err
	}
	image := time.Since(began).Seconds() / float64(min(asked, r.held.Len()))
	m.validation = image * float64(r.held.Len())
	m.test = image*float64(r.data.Test.Len()) + 2*m.validation // fitting temperatures, and scoring with them
	if r.from != nil {                                         // see run.startFrom
		m.test += image*float64(min(r.train.Len(), headRows/r.spec.Joint.Views)) + 10*m.step
	}
	return m, nil
}

// epochs is how many there are in so many seconds.
func (m *measured) epochs(seconds float64) float64 {
	return (seconds - m.test) / (float64(m.stepsPerEpoch)*m.step + m.validation)
}

// plan fits the epochs, and the steps of the last one, into so many seconds.
func (m *measured) plan(seconds float64) (Config, error) {
	c := m.config
	epochs := min(m.epochs(seconds), 1<<30) // so that steps can be counted
	if epochs < 1 && c.MaxEpochs > 0 {      // it was chosen for people: a part of an epoch, not nothing
		steps := int((seconds - m.test - m.validation) / m.step)
		c.Epochs, c.Steps = 1, min(m.stepsPerEpoch, max(leastSteps, steps))
		return c, nil
	}
	if epochs < 1 {
		need := c.Minutes + (m.test+float64(m.stepsPerEpoch)*m.step+m.validation-seconds)/60/(1-planReserve)
		return c, fmt.Errorf("%.3g minutes are too short for one epoch of %s here, which takes about %.2g with the test at the end: give the run more, or --net, --method or --train-per-class less to do", c.Minutes, c.Net, need)
	}
	if most := c.MaxEpochs; most > 0 && epochs > float64(most) {
		c.Epochs, c.Steps = most, 0
		return c, nil
	}
	whole := math.Floor(epochs)
	steps := int(whole) * m.stepsPerEpoch
	if rest := (epochs-whole)*(float64(m.stepsPerEpoch)*m.step+m.validation) - m.validation; rest >= m.step {
		steps += int(rest / m.step)
	}
	c.Epochs, c.Steps = (steps+m.stepsPerEpoch-1)/m.stepsPerEpoch, steps
	return c, nil
}
