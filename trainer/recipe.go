package trainer

import (
	"math"

	"github.com/quarterturn/quarterturn/trainer/loss"
	"github.com/quarterturn/quarterturn/trainer/nets"
)

// FastConfig returns the recipe of the fast nets, after airbench94_muon.py (Jordan 2024,
// "94% on CIFAR-10 in 3.29 Seconds on a Single GPU") with its learning rates for batches of
// rows as these, and for losses that are means: there they are sums over the batch.
func FastConfig() Config {
	c := DefaultConfig()
	c.Net, c.Epochs, c.BatchSize, c.HeldOut = "fast64", 10, 0, 1000
	c.Optimizer, c.LR, c.Schedule = muon, 0.1, "linear"
	c.Momentum, c.Nesterov = 0.85, true
	c.BiasLR, c.HeadLR = 100, 0.3
	c.WeightDecay, c.Decoupled = 0.1, true
	c.NormMomentum, c.LabelSmoothing = 0.4, 0.1
	c.Augment = "crop-reflect,flip-alternate"
	return c
}

// headScale returns what Config.HeadLR is multiplied by for a number of classes. A class's row of a
// head has its gradient from the images of that class, the fewer the more classes there are, while
// decay takes the same from each. With ten classes any multiple from 0.3 to 10 serves the fast nets;
// with a hundred, 10 is far better than 0.3 in short runs and little worse in long ones
// (docs/performance.md). In between it is interpolated.
func headScale(classes int) float64 {
	return math.Pow(float64(min(max(classes, 10), 100))/10, 1.5)
}

// sideRates returns what the rates of biases and heads beside Muon's are multiplied by. Muon's steps are as long
// whatever the gradients; those of biases and heads were chosen for plain logits, and behind
// classifiers that see angles, of the loss ldam, gradients are CosineScale times as large: without this
// the fast nets learn nothing with it (docs/performance.md).
func (c *Config) sideRates() float64 {
	if c.Optimizer == muon && c.Loss == loss.LDAM {
		return 1. / loss.CosineScale
	}
	return 1
}

// ConfigFor returns the settings that go with a net: FastConfig for the fast ones, for the
// others DefaultConfig.
func ConfigFor(net string) Config {
	c := DefaultConfig()
	if nets.IsFast(net) {
		c = FastConfig()
	}
	c.Net = net
	return c
}

// Reopened returns a Config with what like leaves open, for a plan to settle, left open.
func (c Config) Reopened(like Config) Config {
	if like.Minutes > 0 && like.Epochs == 0 {
		c.Epochs, c.Steps = 0, 0
	}
	if like.Net == "" {
		c.Net = ""
	}
	if like.BatchSize == 0 {
		c.BatchSize = 0
	}
	return c
}

// fastBatch is how many images a batch has if nothing is said: as many as make 512 rows of
// 32x32 pixels behind the stem with their views, fewer of larger images, whose maps take more
// memory, and no more than make twenty steps an epoch.
func fastBatch(images, views, pixels int) int {
	rows := min(512, max(128, 512*32*32/pixels))
	return max(8, min(rows/views, images/20)/8*8)
}
