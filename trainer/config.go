package trainer

import (
	"errors"
	"fmt"
)

// A Config says how to train. Start from DefaultConfig.
type Config struct {
	Method     string `json:"method"`                // baseline, da, mt, sla or sla+sd
	Transform  string `json:"transform"`             // see sla.ParseTransforms
	SumViews   bool   `json:"sum_views,omitempty"`   // the joint loss is the sum over the views, not the mean
	StageHeads bool   `json:"stage_heads,omitempty"` // joint heads behind every stage, for training alone
	Net        string `json:"net"`                   // see parseNet
	Serve      string `json:"serve"`                 // the mode that the slab recommends, or auto

	Epochs int `json:"epochs"`
	Batch  int `json:"batch"` // images a step; a method with views takes M rows an image

	Rate         float64 `json:"lr"`       // the peak of the schedule
	Schedule     string  `json:"schedule"` // one-cycle, cosine or step
	Momentum     float64 `json:"momentum"`
	Nesterov     bool    `json:"nesterov,omitempty"`
	Decay        float64 `json:"weight_decay"`
	DecayWeights bool    `json:"decay_weights_only,omitempty"` // no decay of normalisation and biases
	Clip         float64 `json:"clip,omitempty"`               // the largest norm of all gradients together; 0: any
	Average      float64 `json:"ema,omitempty"`                // decay of the averaged weights; 0: none are kept

	Augment   string  `json:"augment"`                   // see AugmentHelp
	Mix       string  `json:"mix,omitempty"`             // mixup or cutmix
	MixAlpha  float64 `json:"mix_alpha"`                 // of the Beta distribution of a mixture
	Smoothing float64 `json:"label_smoothing,omitempty"` // the share of a label spread over all classes

	Loss     string `json:"loss,omitempty"` // ce, which empty means too, cb-rw, cb-focal or ldam; see balance
	Deferred bool   `json:"drw,omitempty"`  // rare classes weigh more, but only late in the run

	Episode  Episode `json:"episode,omitzero"`   // if it is not zero, every batch is one: see InEpisodes
	Episodes int     `json:"episodes,omitempty"` // an epoch

	Temperature float64 `json:"temperature"` // T of the distillation
	Beta        float64 `json:"beta"`        // weight of its cross-entropy

	Seed          int     `json:"seed"`
	TrainPerClass int     `json:"train_per_class,omitempty"` // 0: all images
	Imbalance     float64 `json:"imbalance,omitempty"`       // of the largest class to the smallest; 0: as they are
}

// DefaultConfig gives the settings of the SLA paper where they do not depend on
// the length of the run.
func DefaultConfig() Config {
	return Config{
		Method: "sla+sd", Transform: "rotation", Net: "resnet8", Serve: auto, Epochs: 10, Batch: 128, Rate: 0.1, Schedule: "one-cycle",
		Momentum: 0.9, Decay: 1e-4, Augment: "crop,flip", MixAlpha: 1, Temperature: 1, Beta: 1, Seed: 1,
	}
}

// auto leaves the choice of the served mode to the validation images.
const auto = "auto"

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
		{c.Average >= 0 && c.Average < 1, "the decay of averaged weights must be at least 0 and below 1"},
		{c.Smoothing >= 0 && c.Smoothing < 1, "label smoothing must be at least 0 and below 1"},
		{c.Mix == "" || c.MixAlpha > 0, "alpha of the mixture must be above 0"},
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
	m, err := parseMethod(c.Method)
	if err != nil {
		return err
	}
	if _, err := newBalance(c.Loss, c.Deferred, []int{1}); err != nil {
		return err
	}
	if c.Mix != "" && c.Mix != mixup && c.Mix != cutmix {
		return fmt.Errorf("mix %q: want %s or %s", c.Mix, mixup, cutmix)
	}
	if (c.SumViews || c.StageHeads) && !m.joint() {
		return fmt.Errorf("method %s has no joint loss to sum over the views or to put behind every stage", c.Method)
	}
	return c.checkEpisodes()
}
