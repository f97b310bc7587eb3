package experiments

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"gonum.org/v1/gonum/stat"

	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer"
)

// settings are the episodes of the tables.
var settings = []trainer.Episode{
	{Head: "proto", Way: 5, Shot: 1, Queries: 15}, {Head: "proto", Way: 5, Shot: 5, Queries: 15},
	{Head: "proto", Way: 20, Shot: 1, Queries: 15}, {Head: "proto", Way: 20, Shot: 5, Queries: 15},
}

// runFewShot is Run for an experiment with new classes. All nets look at the views of
// rotation, those too that were trained without.
func (e *Experiment) runFewShot(ctx context.Context, out io.Writer, dir string, report func(run string, e trainer.Event)) error {
	d, err := e.novel.Load()
	if err != nil {
		return err
	}
	rotation, err := sla.ParseTransforms("rotation", d.Channels)
	if err != nil {
		return err
	}
	head, rule := "| training | epochs | seeds | views |", "| --- | --- | --- | --- |"
	for _, s := range settings {
		head, rule = head+fmt.Sprintf(" %d-way %d-shot, %% |", s.Way, s.Shot), rule+" --- |"
	}
	fmt.Fprintln(out, head+"\n"+rule)
	for _, w := range e.ways {
		models, _, c, err := e.train(ctx, w, dir, report)
		if err != nil {
			return err
		}
		accuracy := map[int][][]float64{} // by views: a list for each setting, one a seed
		for _, m := range models {
			turned := *m
			turned.Transforms, turned.Exits = rotation, nil
			directions, err := trainer.Directions(ctx, &turned, d, &d.Test)
			if err != nil {
				return err
			}
			for k, s := range settings {
				if c.Episode.Head != "" {
					s.Head = c.Episode.Head
				}
				estimates, err := trainer.FewShot{Episode: s, Episodes: 600, Seed: 1}.Estimate(directions, len(rotation), d.Test.Classes)
				if err != nil {
					return err
				}
				for _, x := range estimates {
					if accuracy[x.Views] == nil {
						accuracy[x.Views] = make([][]float64, len(settings))
					}
					accuracy[x.Views][k] = append(accuracy[x.Views][k], 100*x.Accuracy)
				}
			}
		}
		begin := fmt.Sprintf("| %s | %d | %d ", w.name, c.Epochs, w.seeds)
		for _, views := range slices.Sorted(maps.Keys(accuracy)) {
			line := fmt.Sprintf("%s| %d |", begin, views)
			for _, a := range accuracy[views] {
				mean, spread := stat.MeanStdDev(a, nil)
				line += fmt.Sprintf(" %.2f ± %.2f |", mean, spread)
			}
			fmt.Fprintln(out, line)
			begin = "| | | "
		}
	}
	return nil
}
