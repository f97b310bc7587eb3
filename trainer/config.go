package trainer

import (
	"errors"
	"fmt"
	"math"

	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/batch"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/fewshot"
	"github.com/quarterturn/quarterturn/trainer/graph"
	"github.com/quarterturn/quarterturn/trainer/loss"
	"github.com/quarterturn/quarterturn/trainer/nets"
	"github.com/quarterturn/quarterturn/trainer/optim"
)

// A Config says how to train. Start from DefaultConfig.
type Config struct {
	Method     string `json:"method"`                // see graph.MethodHelp, or OfflineMethod
	Transform  string `json:"transform"`             // see sla.ParseTransforms
	SumViews   bool   `json:"sum_views,omitempty"`   // the joint loss is the sum over the views, not the mean
	StageHeads bool   `json:"stage_heads,omitempty"` // joint heads behind every stage, for training alone
	Net        string `json:"net"`                   // see nets.Parse; that of From, if there is one
	From       string `json:"from,omitempty"`        // the file of a slab to start from, or FromBackbone; empty: nothing
	FromSHA256 string `json:"from_sha256,omitempty"` // of that slab, filled in when a run starts
	ServedMode string `json:"serve"`                 // the mode that the slab recommends, or auto

	// Minutes that a run is to take, with the test at its end. Then Net, BatchSize and Epochs,
	// if they are empty or 0, are chosen by the speed of the machine: see plan. In the
	// config.json of a run they have been.
	Minutes float64 `json:"minutes,omitempty"`

	Epochs    int `json:"epochs"`
	MaxEpochs int `json:"max_epochs,omitempty"` // how many Minutes may make at most; 0: any
	Steps     int `json:"steps,omitempty"`      // if it is not 0, the run ends with this step of its last epoch
	BatchSize int `json:"batch"`                // images a step; a method with views takes M rows an image; 0: see fastBatch

	Optimizer    string  `json:"optimizer,omitempty"` // sgd, which empty means too, or muon: see optim.Muon
	LR           float64 `json:"lr"`                  // the peak of the schedule
	BiasLR       float64 `json:"bias_lr,omitempty"`   // that of biases is so many times LR; 0: once
	HeadLR       float64 `json:"head_lr,omitempty"`   // and that of classifiers, times headScale
	Schedule     string  `json:"schedule"`            // see optim.ScheduleNames
	Momentum     float64 `json:"momentum"`            // of SGD; Muon's is muonMomentum
	Nesterov     bool    `json:"nesterov,omitempty"`
	WeightDecay  float64 `json:"weight_decay"`
	DecayWeights bool    `json:"decay_weights_only,omitempty"` // no decay of normalisation and biases
	Decoupled    bool    `json:"decoupled_decay,omitempty"`    // see optim.SGD
	NormMomentum float64 `json:"norm_momentum,omitempty"`      // of running statistics, the last batch's share; 0: 0.1
	ClipNorm     float64 `json:"clip,omitempty"`               // the largest norm of all gradients together; 0: any
	EMADecay     float64 `json:"ema,omitempty"`                // decay of the averaged weights; 0: none are kept

	Augment        string  `json:"augment"`                   // see batch.AugmentHelp
	Mix            string  `json:"mix,omitempty"`             // mixup or cutmix
	MixAlpha       float64 `json:"mix_alpha"`                 // a mixture's share is drawn from Beta(alpha, alpha)
	LabelSmoothing float64 `json:"label_smoothing,omitempty"` // the share of a label spread over all classes

	Loss string `json:"loss,omitempty"` // ce, which empty means too, cb-rw, cb-focal or ldam; see loss.Balance
	DRW  bool   `json:"drw,omitempty"`  // deferred re-weighting: rare classes weigh more, but only late in the run

	Episode  fewshot.Episode `json:"episode,omitzero"`   // if it is not zero, every batch is one: see InEpisodes
	Episodes int             `json:"episodes,omitempty"` // an epoch

	Temperature float64 `json:"temperature"` // T of the self-distillation, T² KL(s/T || u/T) + Beta CE(u, y)
	Beta        float64 `json:"beta"`        // the weight of its cross-entropy

	Teacher       string `json:"teacher,omitempty"`        // the file of a slab whose answers a baseline learns
	TeacherSHA256 string `json:"teacher_sha256,omitempty"` // of that file, filled in when a run starts

	Seed          int     `json:"seed"`
	HeldOut       int     `json:"held_out,omitempty"`        // hold out a tenth of the training images, but about so many at most; 0: any
	TrainPerClass int     `json:"train_per_class,omitempty"` // 0: all images
	Imbalance     float64 `json:"imbalance,omitempty"`       // of the largest class to the smallest; 0: as they are
	Balanced      bool    `json:"balanced,omitempty"`        // scores count every class alike, however many images it has
}

// DefaultConfig returns the settings of the SLA paper where they do not depend on
// the length of the run.
func DefaultConfig() Config {
	return Config{
		Method: "sla+sd", Transform: "rotation", Net: "resnet8", ServedMode: auto, Epochs: 10, BatchSize: 128, LR: 0.1, Schedule: "warmup-cosine",
		Momentum: 0.9, WeightDecay: 1e-4, Augment: "crop,flip", MixAlpha: 1, Temperature: 1, Beta: 1, Seed: 1,
	}
}

// auto leaves the choice of the served mode to the validation images.
const auto = "auto"

// InEpisodes returns the settings for training in so many episodes an epoch. With the
// method sla the classes of an episode are joint ones, (class, transformation), in its
// support as in its queries (SLA paper, section 4.2); with baseline there is one view.
func (c Config) InEpisodes(e fewshot.Episode, perEpoch int) Config {
	c.Episode, c.Episodes, c.BatchSize = e, perEpoch, e.Images()
	return c
}

// episodic says whether a run is one in episodes.
func (c *Config) episodic() bool { return c.Episode != fewshot.Episode{} }

// batch is what a Batcher is told.
func (c *Config) batch() batch.Config {
	return batch.Config{Augment: c.Augment, Mix: c.Mix, MixAlpha: c.MixAlpha, LabelSmoothing: c.LabelSmoothing}
}

// solver makes the solver, for so many classes.
func (c *Config) solver(classes int) *optim.SGD {
	scale := c.sideRates()
	s := &optim.SGD{BiasLR: c.BiasLR * scale, HeadLR: c.HeadLR * scale * headScale(classes), Momentum: c.Momentum, Nesterov: c.Nesterov,
		WeightDecay: c.WeightDecay, DecayAll: !c.DecayWeights, Decoupled: c.Decoupled, ClipNorm: c.ClipNorm}
	if c.Optimizer == muon {
		s.Muon = &optim.Muon{Momentum: muonMomentum}
	}
	return s
}

// The optimizers.
const (
	sgd  = "sgd"
	muon = "muon"

	muonMomentum = 0.6
)

// Check finds which settings are wrong by themselves, whatever the data and the other settings:
// also before Minutes and AutoMethod have been planned.
func (c Config) Check() error {
	if c.Minutes > 0 && c.Epochs == 0 {
		c.Epochs = 1
	}
	for _, x := range []struct {
		ok   bool
		what string
	}{
		{c.Minutes >= 0 && c.Minutes <= math.MaxFloat64, "the number of minutes cannot be negative or infinite"},
		{c.Epochs >= 1, "the number of epochs must be at least 1"},
		{c.Steps >= 0, "the number of steps cannot be negative"},
		{c.BatchSize == 0 || c.BatchSize >= 2, "a batch must have at least 2 images"},
		{c.Optimizer == "" || c.Optimizer == sgd || c.Optimizer == muon, fmt.Sprintf("optimizer %q: want %s or %s", c.Optimizer, sgd, muon)},
		{c.BiasLR >= 0 && c.HeadLR >= 0, "the learning rates of biases and heads cannot be negative"},
		{c.NormMomentum >= 0 && c.NormMomentum <= 1, "the momentum of normalisation must be between 0 and 1"},
		{c.HeldOut >= 0, "the number of images to hold out cannot be negative"},
		{c.LR > 0 && c.LR <= 100, "the learning rate must be above 0 and at most 100"},
		{c.Momentum >= 0 && c.Momentum < 1, "the momentum must be at least 0 and below 1"},
		{c.WeightDecay >= 0, "the weight decay cannot be negative"},
		{c.ClipNorm >= 0, "the norm to clip gradients to cannot be negative"},
		{c.EMADecay >= 0 && c.EMADecay < 1, "the decay of averaged weights must be at least 0 and below 1"},
		{c.Temperature > 0, "the temperature must be above 0"},
		{c.Beta >= 0, "beta cannot be negative"},
		{c.Seed >= 0, "the seed cannot be negative"},
		{c.TrainPerClass >= 0, "the number of training images a class cannot be negative"},
		{c.Imbalance == 0 || c.Imbalance >= 1, "the imbalance must be at least 1"},
	} {
		if !x.ok {
			return errors.New(x.what)
		}
	}
	if c.Method != AutoMethod && c.Method != OfflineMethod {
		if _, err := graph.ParseMethod(c.Method); err != nil {
			return fmt.Errorf("%w or %s", err, OfflineMethod)
		}
	}
	if _, err := optim.ParseSchedule(c.Schedule); err != nil {
		return err
	}
	const colours = 3 // of grey images, too: what there is for them depends on the data
	if c.Net != "" && (c.From == "" || c.From == NoSlab) {
		if _, err := nets.Parse(c.Net, newInput(colours, dataset.MaxSize, dataset.MaxSize)); err != nil {
			return err
		}
	}
	if _, err := sla.ParseMode(c.ServedMode); err != nil {
		return fmt.Errorf("serve %q: %w", c.ServedMode, err)
	}
	if _, err := sla.ParseTransforms(c.Transform, colours); err != nil {
		return err
	}
	if _, err := loss.NewBalance(c.Loss, c.DRW, []int{1}); err != nil {
		return err
	}
	if err := c.batch().Check(); err != nil {
		return err
	}
	if c.episodic() {
		return c.Episode.Check()
	}
	return nil
}

// check finds what is wrong with a Config that leaves nothing open.
func (c *Config) check() error {
	if err := c.Check(); err != nil {
		return err
	}
	if c.Method == OfflineMethod {
		return fmt.Errorf("method %s is two runs, one behind the other, which need a folder", OfflineMethod)
	}
	m, err := graph.ParseMethod(c.Method)
	if err != nil {
		return err
	}
	if (c.SumViews || c.StageHeads) && !m.Joint() {
		return fmt.Errorf("method %s has no joint loss to sum over the views or to put behind every stage", c.Method)
	}
	if c.Teacher != "" && (c.Method != "baseline" || c.episodic()) {
		return errors.New("a teacher is for the method baseline, without episodes: its answers are about images in one view")
	}
	return c.checkEpisodes()
}

// checkEpisodes finds what does not go with episodes.
func (c *Config) checkEpisodes() error {
	if !c.episodic() {
		return nil
	}
	if c.Minutes > 0 {
		return errors.New("training in episodes has no plan by minutes; give the number of epochs")
	}
	plain := c.Mix == "" && c.LabelSmoothing == 0 && c.Loss == "" && !c.DRW && !c.SumViews && !c.StageHeads && c.Imbalance == 0
	switch {
	case c.Method != "baseline" && c.Method != "sla":
		return fmt.Errorf("method %q: episodes are for baseline and sla", c.Method)
	case c.Episodes < 1:
		return errors.New("the number of episodes an epoch must be at least 1")
	case c.BatchSize != c.Episode.Images():
		return fmt.Errorf("a batch of %d images, but an episode has %d", c.BatchSize, c.Episode.Images())
	case !plain:
		return errors.New("episodes go with neither mixed images, smoothed labels, stage heads nor losses for a long tail")
	}
	return nil
}
