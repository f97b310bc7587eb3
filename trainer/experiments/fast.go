package experiments

import (
	"fmt"
	"strings"

	"github.com/quarterturn/quarterturn/trainer"
	"github.com/quarterturn/quarterturn/trainer/dataset"
)

// fast lists what the fast nets learn in so many minutes of the machine that runs it: its
// speed chooses net and epochs.
func fast(p DataPaths) []Experiment {
	minutes := func(m float64, more ...string) way { // more augmentations than the recipe's
		return way{strings.Join(append([]string{fmt.Sprint(m, " minutes")}, more...), ", "), 3, func(c *trainer.Config) {
			*c = trainer.FastConfig()
			c.Method, c.Net, c.Epochs, c.Minutes = "baseline", "", 0, m
			c.Augment = strings.Join(append([]string{c.Augment}, more...), ",")
		}}
	}
	return []Experiment{
		{Name: "fast", About: "the fast nets on CIFAR-10, in 5, 15 and 30 minutes", data: dataset.Source{Data: "cifar10:" + p.CIFAR10}, ways: []way{minutes(5), minutes(15), minutes(30), minutes(30, "cutout")}},
		{Name: "fast-cifar100", About: "the same on CIFAR-100, in 30 minutes", data: dataset.Source{Data: "cifar100:" + p.CIFAR100}, ways: []way{minutes(30)}},
		{Name: "fast-fashion", About: "the same on all of Fashion-MNIST, in 5 minutes", data: dataset.Source{Data: "fashion:" + p.Fashion}, ways: []way{minutes(5)}},
	}
}
