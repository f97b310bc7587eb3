package experiments

import (
	"fmt"

	"github.com/quarterturn/quarterturn/trainer"
	"github.com/quarterturn/quarterturn/trainer/batch"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/fewshot"
	"github.com/quarterturn/quarterturn/trainer/loss"
)

// The experiments of this file train until the baseline has learned what its images can
// teach, which is where the SLA paper measures; they take hours.

// arms adds to an experiment the ways that a claim about SLA is judged by, at equal steps
// and at equal computation, after a prefix of their names. configure sets what they share.
//
// The net that is taught offline is shown mixed images, about which its teacher's answers say
// more than about those that the teacher knows by heart (Beyer et al. 2022, "Knowledge
// distillation: A good teacher is patient and consistent"); what the mixing does by itself is
// told beside it. A shorter teacher and its net, with the share of the epochs that
// trainer.TeacherShare gives the teacher of the time, cost together what SLA+SD does.
func (e *Experiment) arms(prefix string, seeds, epochs int, configure func(c *trainer.Config)) {
	type arm struct {
		method, mix string
		sum         bool // the joint loss over the views, as trainer.OfflineMethod has it for its teacher
	}
	add := func(name string, a arm, epochs int) {
		e.ways = append(e.ways, way{prefix + name, seeds, func(c *trainer.Config) {
			configure(c)
			c.Method, c.Mix, c.SumViews, c.Epochs = a.method, a.mix, a.sum, epochs
		}})
	}
	if e.teachers == nil {
		e.teachers = map[string]string{}
	}
	pair := func(teacher, mix, student string, epochs int) {
		add(teacher, arm{"sla+sd", mix, true}, epochs)
		add(student, arm{method: "baseline", mix: batch.Mixup}, epochs)
		e.teachers[prefix+student] = prefix + teacher
	}
	add("baseline", arm{method: "baseline"}, epochs)
	add("sla", arm{method: "sla"}, epochs)
	add("sla+sd, mean of the views", arm{method: "sla+sd"}, epochs)
	add("sla+sd, mean of the views, mixed images", arm{method: "sla+sd", mix: batch.Mixup}, epochs)
	pair("sla+sd", "", "taught by sla+sd, mixed images", epochs)
	shorter := int(trainer.TeacherShare * float64(epochs))
	pair("sla+sd, shorter", "", "taught by sla+sd, shorter, mixed images", shorter)
	pair("sla+sd, shorter, mixed images", batch.Mixup, "taught by that, mixed images", shorter)
	add("baseline, mixed images", arm{method: "baseline", mix: batch.Mixup}, epochs)
	add("sla+sd, mixed images", arm{"sla+sd", batch.Mixup, true}, epochs)
	add("baseline, 4x the steps", arm{method: "baseline"}, 4*epochs)
	add("baseline, mixed images, 4x the steps", arm{method: "baseline", mix: batch.Mixup}, 4*epochs)
}

// losses adds to an experiment with a tail of 1:100 the two losses that a claim about SLA is judged by there, at equal
// steps, and the better of them at equal computation. sum is of SLA+SD's loss over the views; configure sets what
// all share.
func (e *Experiment) losses(seeds, epochs int, sum bool, configure func(c *trainer.Config)) {
	add := func(name, method, loss string, epochs int) {
		e.ways = append(e.ways, way{name, seeds, func(c *trainer.Config) {
			configure(c)
			c.Imbalance, c.Method, c.SumViews, c.Epochs = 100, method, sum && method == "sla+sd", epochs
			c.Loss, c.DRW = loss, loss != ""
		}})
	}
	for _, method := range []string{"baseline", "sla+sd"} {
		add("ce, "+method, method, "", epochs)
		add("ldam, drw, "+method, method, loss.LDAM, epochs)
	}
	add("ldam, drw, baseline, 4x the steps", "baseline", loss.LDAM, 4*epochs)
}

// long lists the long experiments.
func long(p DataPaths) []Experiment {
	cifar10, cifar100 := dataset.Source{Data: "cifar10:" + p.CIFAR10}, dataset.Source{Data: "cifar100:" + p.CIFAR100}

	// Weight decay decides how strong a baseline is that sees its images hundreds of times, so
	// it is chosen first, for each method by itself, on held-out images.
	decays := []float64{5e-4, 2e-3, 4e-3, 8e-3}
	fewLabelsTuning := Experiment{Name: "few-labels-tuning", About: "the weight decay of few-labels, chosen on held-out images", data: cifar10, validation: true}
	for _, method := range []string{"baseline", "sla", "sla+sd"} {
		for _, decay := range decays {
			fewLabelsTuning.ways = append(fewLabelsTuning.ways, way{fmt.Sprintf("%s, weight decay %v", method, decay), 1, func(c *trainer.Config) {
				c.TrainPerClass, c.Method, c.SumViews, c.Epochs, c.WeightDecay = 500, method, method == "sla+sd", 112, decay
			}})
		}
	}
	fewLabels := Experiment{Name: "few-labels", About: "500 and 250 labels a class of CIFAR-10, trained to saturation", data: cifar10}
	for _, perClass := range []int{500, 250} {
		fewLabels.arms(fmt.Sprint(perClass, " a class, "), 3, 448*500/perClass, func(c *trainer.Config) {
			c.TrainPerClass, c.WeightDecay = perClass, 4e-3
		})
	}

	// The same with a fast net, which needs a tenth of the computation.
	fewLabelsFast := Experiment{Name: "few-labels-fast", About: "100 labels a class of CIFAR-10, fast32, trained to saturation", data: cifar10}
	fewLabelsFast.arms("", 3, 200, func(c *trainer.Config) {
		*c = trainer.ConfigFor("fast32")
		c.TrainPerClass, c.LR = 100, 0.1
	})

	// The same with a hundred classes. Learning rate, decay and the head's rate are those that served
	// the baseline best among four, four and five, on training images that no run sees.
	fewLabelsHundred := Experiment{Name: "few-labels-fast-cifar100", About: "20 labels a class of CIFAR-100, fast32, trained to saturation", data: cifar100}
	fewLabelsHundred.arms("", 3, 100, func(c *trainer.Config) {
		*c = trainer.ConfigFor("fast32")
		c.TrainPerClass, c.LR, c.WeightDecay, c.HeadLR = 20, 0.2, 0.03, 0.0095
	})

	// The published protocol of long tails (Cao et al. 2019, "Learning Imbalanced Datasets with
	// Label-Distribution-Aware Margin Loss"): 200 epochs, deferred weights in the last fifth.
	tail := Experiment{Name: "long-tail-200", About: "CIFAR-10 with a tail of 1:100, 200 epochs, as published: losses with and without SLA+SD", data: cifar10, tail: true}
	tail.losses(1, 200, true, func(c *trainer.Config) { c.Net, c.WeightDecay = "resnet20", 2e-4 })
	// The same epochs with a fast net, its recipe without smoothed labels, which no published one has.
	tailFast := Experiment{Name: "long-tail-fast", About: "CIFAR-10 with a tail of 1:100, 200 epochs, fast32: losses with and without SLA+SD", data: cifar10, tail: true}
	configureFast := func(c *trainer.Config) {
		*c = trainer.ConfigFor("fast32")
		c.LabelSmoothing = 0
	}
	tailFast.losses(3, 200, true, configureFast)
	// And a thirteenth of them, by when a fast net has learned the most of what it will.
	tailShort := Experiment{Name: "long-tail-fast-15", About: "the same after 15 epochs, SLA+SD with the mean of the views", data: cifar10, tail: true}
	tailShort.losses(3, 15, false, configureFast)

	hundred := Experiment{Name: "cifar100", About: "CIFAR-100, all its labels and 100 a class", data: cifar100}
	hundred.arms("all, ", 1, 60, func(c *trainer.Config) {
		c.Net, c.WeightDecay, c.DecayWeights, c.Nesterov = "resnet20", 5e-4, true, true
	})
	hundred.arms("100 a class, ", 3, 40, func(c *trainer.Config) {
		c.Net, c.TrainPerClass, c.BatchSize, c.LR = "resnet8w32", 100, 64, 0.05
		c.WeightDecay, c.DecayWeights, c.Nesterov = 5e-4, true, true
	})

	episodes := Experiment{Name: "cifar-fs", About: "CIFAR-FS, 5-way: ResNet-12 trained in episodes, with and without joint classes",
		data: dataset.Source{Data: "cifar-fs:" + p.CIFAR100}, novel: dataset.Source{Data: "cifar-fs-new:" + p.CIFAR100}}
	for _, head := range []string{"proto", "ridge"} {
		for _, arm := range []struct {
			name, method string
			epochs       int
		}{{"baseline", "baseline", 20}, {"sla", "sla", 20}, {"baseline, 4x the steps", "baseline", 80}} {
			episodes.ways = append(episodes.ways, way{head + ", " + arm.name, 2, func(c *trainer.Config) {
				c.Net, c.Method, c.Epochs, c.WeightDecay = "resnet12w16", arm.method, arm.epochs, 5e-4
				*c = c.InEpisodes(fewshot.Episode{Head: head, Way: 5, Shot: 5, Queries: 6}, 200)
			}})
		}
	}
	// The same classes learned as labels, by the net of a page, for a gallery of others.
	labels := Experiment{Name: "cifar-fs-labels", About: "CIFAR-FS, 5- and 20-way: fast64 trained on the labels of 80 classes, with and without SLA+SD",
		data: episodes.data, novel: episodes.novel}
	for _, arm := range []struct {
		name, method string
		epochs       int
	}{{"baseline", "baseline", 10}, {"sla+sd", "sla+sd", 10}, {"baseline, 4x the steps", "baseline", 40}} {
		labels.ways = append(labels.ways, way{arm.name, 1, func(c *trainer.Config) {
			*c = trainer.FastConfig()
			c.Method, c.SumViews, c.Epochs, c.BatchSize = arm.method, arm.method == "sla+sd", arm.epochs, 128
		}})
	}
	return []Experiment{fewLabelsTuning, fewLabels, fewLabelsFast, fewLabelsHundred, tail, tailFast, tailShort, hundred, episodes, labels}
}
