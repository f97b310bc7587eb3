package experiments

import (
	"fmt"

	"github.com/quarterturn/quarterturn/trainer"
	"github.com/quarterturn/quarterturn/trainer/dataset"
)

// fast lists what the fast nets learn in so many minutes of the machine that runs it: its
// speed chooses net and epochs.
func fast(p DataPaths) []Experiment {
	minutes := func(n ...float64) (ways []way) {
		for _, m := range n {
			ways = append(ways, way{fmt.Sprint(m, " minutes"), 3, func(c *trainer.Config) {
				*c = trainer.FastConfig()
				c.Method, c.Net, c.Epochs, c.Minutes = "baseline", "", 0, m
			}})
		}
		return ways
	}
	cutout := minutes(30)
	cutout[0].name += ", cutout"
	plain := cutout[0].change
	cutout[0].change = func(c *trainer.Config) {
		plain(c)
		c.Augment += ",cutout"
	}
	return []Experiment{
		{Name: "fast", About: "the fast nets on CIFAR-10, in 5, 15 and 30 minutes", data: dataset.Source{Data: "cifar10:" + p.CIFAR10}, ways: append(minutes(5, 15, 30), cutout...)},
		{Name: "fast-cifar100", About: "the same on CIFAR-100, in 30 minutes", data: dataset.Source{Data: "cifar100:" + p.CIFAR100}, ways: minutes(30)},
		{Name: "fast-fashion", About: "the same on all of Fashion-MNIST, in 5 minutes", data: dataset.Source{Data: "fashion:" + p.Fashion}, ways: minutes(5)},
	}
}
