package experiments

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/quarterturn/quarterturn/trainer"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/fewshot"
)

// An Experiment is some ways of training on one data set.
type Experiment struct {
	Name   string
	About  string // a line for people
	data   dataset.Source
	tail   bool           // the table has the classes of a long tail apart
	exits  bool           // nets with a distilled head are calibrated, for the mode adaptive
	novel  dataset.Source // if it is set, the table is of few-shot episodes of these classes
	ways   []way
	photos bool // the ways are photoWays, on photos of these classes

	teachers   map[string]string // ways that learn from a slab, and the ways that make it with the same seed
	validation bool              // the table is of the images held out, for choosing settings

	FinishedOnly bool           // train nothing: the table is of the runs that are complete
	Only         *regexp.Regexp // if it is set, train only runs with such a name: "5 minutes, seed 1"
}

// A way of training, done with seeds 1, 2, ...
type way struct {
	name   string
	seeds  int
	change change
}

// DataPaths says where data sets are.
type DataPaths struct {
	CIFAR10  string // the binary files
	CIFAR100 string // likewise
	Fashion  string // the four IDX files of Fashion-MNIST
	Omniglot string // the two smaller archives
}

// A change makes a Config that of a way.
type change = func(c *trainer.Config)

// All lists the experiments.
func All(p DataPaths) []Experiment {
	return slices.Concat(long(p), fast(p), []Experiment{
		clothesMini(), fiveMethods(p), clothes(p),
		{Name: "transfer", About: "photos of classes that no net here has seen, trained for a minute or a few, from the backbone and from nothing",
			data: dataset.Source{Data: "cifar-fs-new:" + p.CIFAR100}, photos: true},
		limited(p), transformations(p), longTail(p), characters(p), episodes(p),
	})
}

func clothesMini() Experiment {
	small := func(net, method string, epochs int) change {
		return func(c *trainer.Config) {
			c.Net, c.Method, c.Epochs, c.BatchSize, c.WeightDecay = net, method, epochs, 32, 5e-4
		}
	}
	return Experiment{Name: "fashion-mini", About: "the built-in pictures of clothes: small nets, short runs", data: dataset.Source{Data: "fashion-mini"}, ways: []way{
		{"resnet8, baseline", 3, small("resnet8", "baseline", 14)},
		{"resnet8, sla+sd", 3, small("resnet8", "sla+sd", 14)},
		{"resnet8, baseline, 4x the steps", 3, small("resnet8", "baseline", 56)},
		{"resnet8w8, baseline", 3, small("resnet8w8", "baseline", 30)},
		{"resnet8w8, sla+sd", 3, small("resnet8w8", "sla+sd", 30)},
		{"resnet8w8, baseline, 4x the steps", 3, small("resnet8w8", "baseline", 120)},
	}}
}

func fiveMethods(p DataPaths) Experiment {
	cifar := func(method string, epochs int) change {
		return func(c *trainer.Config) { c.Method, c.Epochs = method, epochs }
	}
	return Experiment{Name: "cifar10", About: "the five methods with equal steps, and the baseline with four times as many", data: dataset.Source{Data: "cifar10:" + p.CIFAR10}, ways: []way{
		{"baseline", 1, cifar("baseline", 15)},
		{"da", 1, cifar("da", 15)},
		{"mt", 1, cifar("mt", 15)},
		{"sla", 1, cifar("sla", 15)},
		{"sla+sd", 1, cifar("sla+sd", 15)},
		{"baseline, 4x the steps", 1, cifar("baseline", 60)},
	}}
}

func clothes(p DataPaths) Experiment {
	narrow := func(method string, epochs int) change {
		return func(c *trainer.Config) { c.Net, c.Method, c.Epochs, c.WeightDecay = "resnet8w8", method, epochs, 5e-4 }
	}
	return Experiment{Name: "fashion", About: "all of Fashion-MNIST: the five methods, ensembles of four nets, adaptive inference", data: dataset.Source{Data: "fashion:" + p.Fashion}, exits: true, ways: []way{
		{"baseline", 4, narrow("baseline", 2)},
		{"da", 3, narrow("da", 2)},
		{"mt", 3, narrow("mt", 2)},
		{"sla", 4, narrow("sla", 2)},
		{"sla+sd", 4, narrow("sla+sd", 2)},
		{"baseline, 4x the steps", 3, narrow("baseline", 8)},
	}}
}

func limited(p DataPaths) Experiment {
	x := Experiment{Name: "limited", About: "few images a class: the gain of SLA+SD against the amount of data",
		data: dataset.Source{Data: "cifar10:" + p.CIFAR10}}
	for _, size := range []struct{ perClass, epochs int }{{100, 140}, {500, 28}, {2000, 7}} { // about as many steps of each
		few := func(method string, times int) change {
			return func(c *trainer.Config) {
				c.TrainPerClass, c.Method, c.Epochs = size.perClass, method, times*size.epochs
			}
		}
		name := fmt.Sprint(size.perClass, " a class, ")
		x.ways = append(x.ways,
			way{name + "baseline", 3, few("baseline", 1)},
			way{name + "sla+sd", 3, few("sla+sd", 1)},
			way{name + "baseline, 4x the steps", 3, few("baseline", 4)})
		if size.perClass == 500 { // is it steps that SLA lacks there?
			x.ways = append(x.ways,
				way{name + "sla+sd, 4x the steps", 3, few("sla+sd", 4)},
				way{name + "baseline, 16x the steps", 3, few("baseline", 16)})
		}
	}
	return x
}

func transformations(p DataPaths) Experiment {
	views := func(method, transform string) change {
		return func(c *trainer.Config) {
			c.Net, c.TrainPerClass, c.Method, c.Epochs, c.Transform = "resnet8w8", 100, method, 24, transform
		}
	}
	x := Experiment{Name: "transformations", About: "which transformations are worth their passes",
		data: dataset.Source{Data: "cifar10:" + p.CIFAR10}, ways: []way{{"none (baseline)", 3, views("baseline", "rotation")}}}
	for _, list := range []string{"rotation", "color3", "color", "rotation2xcolor3", "rotationxcolor3", "rotationxcolor"} {
		x.ways = append(x.ways, way{list, 3, views("sla+sd", list)})
	}
	return x
}

func longTail(p DataPaths) Experiment {
	x := Experiment{Name: "long-tail", About: "classes of unequal numbers of images: losses for them, with and without SLA+SD",
		data: dataset.Source{Data: "cifar10:" + p.CIFAR10}, tail: true}
	for _, tail := range []struct {
		ratio  float64
		epochs int // for about 1,000 steps
	}{{10, 7}, {100, 12}} {
		for _, loss := range []struct {
			name, loss string
			deferred   bool
		}{{"ce", "", false}, {"cb-rw", "cb-rw", false}, {"ldam, drw", "ldam", true}} {
			for _, method := range []string{"baseline", "sla+sd"} {
				x.ways = append(x.ways, way{fmt.Sprintf("1:%v, %s, %s", tail.ratio, loss.name, method), 3, func(c *trainer.Config) {
					c.Imbalance, c.Epochs, c.Method, c.Loss, c.DRW = tail.ratio, tail.epochs, method, loss.loss, loss.deferred
				}})
			}
		}
	}
	return x
}

func characters(p DataPaths) Experiment {
	drawn := func(method string, epochs int) change {
		return func(c *trainer.Config) {
			c.Method, c.Epochs, c.BatchSize, c.WeightDecay, c.Augment = method, epochs, 32, 5e-4, "crop"
		}
	}
	return Experiment{Name: "omniglot", About: "new characters told apart by a few drawings of each", data: dataset.Source{Data: "omniglot:" + p.Omniglot},
		novel: dataset.Source{Data: "omniglot-new:" + p.Omniglot}, ways: []way{
			{"baseline", 3, drawn("baseline", 30)},
			{"sla", 3, drawn("sla", 30)},
			{"sla+sd", 3, drawn("sla+sd", 30)},
			{"baseline, 4x the steps", 3, drawn("baseline", 120)},
		}}
}

func episodes(p DataPaths) Experiment {
	// 5-way 5-shot, five images of each class being asked.
	five := func(head, method string, epochs int) change {
		return func(c *trainer.Config) {
			c.Net, c.Method, c.Epochs, c.WeightDecay, c.Augment = "conv4", method, epochs, 5e-4, "crop"
			*c = c.InEpisodes(fewshot.Episode{Head: head, Way: 5, Shot: 5, Queries: 5}, 100)
		}
	}
	return Experiment{Name: "episodes", About: "the same, but Conv-4 trained in episodes", data: dataset.Source{Data: "omniglot:" + p.Omniglot},
		novel: dataset.Source{Data: "omniglot-new:" + p.Omniglot}, ways: []way{
			{"proto, baseline", 3, five("proto", "baseline", 6)},
			{"proto, sla", 3, five("proto", "sla", 6)},
			{"proto, baseline, 4x the steps", 3, five("proto", "baseline", 24)},
			{"ridge, baseline", 3, five("ridge", "baseline", 6)},
			{"ridge, sla", 3, five("ridge", "sla", 6)},
			{"ridge, baseline, 4x the steps", 3, five("ridge", "baseline", 24)},
		}}
}
