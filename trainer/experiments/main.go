// Command experiments makes the tables of docs/results.md: it trains what they
// list, evaluates it, and prints them.
//
//	go run ./trainer/experiments -out DIR fashion-mini
//	go run ./trainer/experiments -out DIR -cifar10 DIR cifar10
//
// Every run is a folder under -out, made by the trainer as the command line would
// make it. What is there is not done again, and a run that was stopped goes on.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"

	"gonum.org/v1/gonum/stat"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer"
)

// An experiment is some ways of training on one data set.
type experiment struct {
	name string
	data trainer.Source
	ways       []way
}

// A way of training, done with seeds 1, 2, ...
type way struct {
	name   string
	seeds  int
	change func(c *trainer.Config)
}

func experiments(cifar10 string) []experiment {
	small := func(net, method string, epochs int) func(c *trainer.Config) {
		return func(c *trainer.Config) {
			c.Net, c.Method, c.Epochs, c.Batch, c.Decay = net, method, epochs, 32, 5e-4
		}
	}
	cifar := func(method string, epochs int) func(c *trainer.Config) {
		return func(c *trainer.Config) { c.Method, c.Epochs = method, epochs }
	}
	// The copy of the data set that these results are from was re-encoded as JPEG.
	jpegCopy := trainer.Source{Data: "cifar10:" + cifar10, Name: "CIFAR-10 (JPEG copy)"}
	return []experiment{
		{"fashion-mini", trainer.Source{Data: "fashion-mini"}, []way{
			{"resnet8, baseline", 3, small("resnet8", "baseline", 14)},
			{"resnet8, sla+sd", 3, small("resnet8", "sla+sd", 14)},
			{"resnet8, baseline, 4x the steps", 3, small("resnet8", "baseline", 56)},
			{"resnet8w8, baseline", 3, small("resnet8w8", "baseline", 30)},
			{"resnet8w8, sla+sd", 3, small("resnet8w8", "sla+sd", 30)},
			{"resnet8w8, baseline, 4x the steps", 3, small("resnet8w8", "baseline", 120)},
		}},
		{"cifar10", jpegCopy, []way{
			{"baseline", 1, cifar("baseline", 15)},
			{"da", 1, cifar("da", 15)},
			{"mt", 1, cifar("mt", 15)},
			{"sla", 1, cifar("sla", 15)},
			{"sla+sd", 1, cifar("sla+sd", 15)},
			{"baseline, 4x the steps", 1, cifar("baseline", 60)},
		}},
		{"cifar10-page", jpegCopy, []way{
			{"resnet8w32, sla+sd", 1, func(c *trainer.Config) {
				c.Net, c.Epochs, c.Decay, c.DecayWeights, c.Nesterov = "resnet8w32", 15, 5e-4, true, true
			}},
		}},
	}
}

func main() {
	out := flag.String("out", "", "folder of the runs")
	cifar10 := flag.String("cifar10", "", "folder of CIFAR-10's binary files")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *out, *cifar10, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "experiments:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out, cifar10 string, names []string) error {
	all := experiments(cifar10)
	var known []string
	for _, e := range all {
		known = append(known, e.name)
	}
	if out == "" || len(names) == 0 {
		return fmt.Errorf("give -out and one or more of: %s", strings.Join(known, ", "))
	}
	for _, name := range names {
		i := slices.Index(known, name)
		if i < 0 {
			return fmt.Errorf("no experiment %q; there are: %s", name, strings.Join(known, ", "))
		}
		e := all[i]
		if strings.HasSuffix(e.data.Data, ":") {
			return fmt.Errorf("%s needs -cifar10", name)
		}
		if err := e.run(ctx, filepath.Join(out, e.name)); err != nil {
			return err
		}
	}
	return nil
}

// run trains what is missing and prints the table.
func (e *experiment) run(ctx context.Context, dir string) error {
	fmt.Println("| training | epochs | seeds | mode | passes | accuracy, % | spread | NLL |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, w := range e.ways {
		var models trainer.Ensemble
		scores := map[string][]format.Metric{} // by mode, one a seed
		c := trainer.DefaultConfig()
		w.change(&c)
		for c.Seed = 1; c.Seed <= w.seeds; c.Seed++ {
			run := filepath.Join(dir, fmt.Sprintf("%s, seed %d", w.name, c.Seed))
			model, metrics, err := train(ctx, run, e.data, c)
			if err != nil {
				return fmt.Errorf("%s: %w", run, err)
			}
			models = append(models, model)
			for _, m := range metrics {
				scores[m.Mode] = append(scores[m.Mode], m)
			}
		}
		begin := fmt.Sprintf("| %s | %d | %d ", w.name, c.Epochs, w.seeds)
		for _, mode := range models[0].Modes() {
			row(begin, mode, models[0].Passes(mode), scores[mode])
			begin = "| | | "
		}
		if len(models) > 1 {
			if err := e.ensemble(ctx, w, models); err != nil {
				return err
			}
		}
	}
	return nil
}

// row prints what one mode scored.
func row(begin, mode string, passes int, scores []format.Metric) {
	var accuracy, nll []float64
	for _, m := range scores {
		accuracy, nll = append(accuracy, 100*m.Accuracy), append(nll, m.NLL)
	}
	mean, spread := stat.MeanStdDev(accuracy, nil)
	width := ""
	if len(scores) > 1 {
		width = fmt.Sprintf("%.2f", spread)
	}
	fmt.Printf("%s| %s | %d | %.2f | %s | %.3f |\n", begin, mode, passes, mean, width, stat.Mean(nll, nil))
}

// ensemble prints what the nets of all seeds score together (the paper's IE).
func (e *experiment) ensemble(ctx context.Context, w way, models trainer.Ensemble) error {
	d, err := e.data.Load()
	if err != nil {
		return err
	}
	metrics, err := trainer.Evaluate(ctx, models, d, &d.Test, "test", 0, nil)
	if err != nil {
		return err
	}
	begin := fmt.Sprintf("| %d nets of %s together | | ", len(models), w.name)
	for _, m := range metrics {
		row(begin, m.Mode, models.Passes(m.Mode), []format.Metric{m})
		begin = "| | | "
	}
	return nil
}

// train gives the model of a run and its scores on the test images, training
// what is missing.
func train(ctx context.Context, dir string, data trainer.Source, c trainer.Config) (*format.Model, []format.Metric, error) {
	slab, err := os.ReadFile(filepath.Join(dir, trainer.SlabFile))
	if err == nil {
		return finished(dir, slab, c)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	var f *trainer.Folder
	if _, err := os.Stat(filepath.Join(dir, trainer.ConfigFile)); err == nil {
		f, err = trainer.Resume(dir)
		if err != nil {
			return nil, nil, err
		}
	} else if f, err = trainer.Start(dir, data, c); err != nil {
		return nil, nil, err
	}
	defer f.Close()
	fmt.Fprintln(os.Stderr, dir)
	return f.Run(ctx, func(e trainer.Event) {
		if e.Validation != nil {
			fmt.Fprintf(os.Stderr, "  epoch %d of %d, %.0f s\n", e.Epoch, e.Epochs, e.Seconds)
		}
	}, nil)
}

// finished reads a run that is complete.
func finished(dir string, slab []byte, c trainer.Config) (*format.Model, []format.Metric, error) {
	b, err := os.ReadFile(filepath.Join(dir, trainer.ConfigFile))
	if err != nil {
		return nil, nil, err
	}
	var was trainer.Config
	if err := json.Unmarshal(b, &was); err != nil {
		return nil, nil, err
	}
	if was != c {
		return nil, nil, errors.New("the run that is there has other settings")
	}
	model, err := format.Decode(slab)
	if err != nil {
		return nil, nil, err
	}
	log, err := os.Open(filepath.Join(dir, trainer.LogFile))
	if err != nil {
		return nil, nil, err
	}
	defer log.Close()
	for lines := json.NewDecoder(log); ; {
		var event struct {
			Event   string
			Metrics []format.Metric
		}
		if err := lines.Decode(&event); err != nil {
			return nil, nil, fmt.Errorf("%s: no test: %w", trainer.LogFile, err)
		}
		if event.Event == "test" {
			return model, event.Metrics, nil
		}
	}
}
