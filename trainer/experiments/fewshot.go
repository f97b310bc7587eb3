package experiments

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"gonum.org/v1/gonum/stat"

	"github.com/quarterturn/quarterturn/sla"
	"github.com/quarterturn/quarterturn/trainer/fewshot"
	"github.com/quarterturn/quarterturn/trainer/report"
)

// settings are the episodes of the tables.
var settings = []fewshot.Episode{
	{Head: "proto", Way: 5, Shot: 1, Queries: 15}, {Head: "proto", Way: 5, Shot: 5, Queries: 15},
	{Head: "proto", Way: 20, Shot: 1, Queries: 15}, {Head: "proto", Way: 20, Shot: 5, Queries: 15},
}

// tabulateFewShot makes the table of accuracies in episodes, with the spread over seeds, or of
// one seed with the 95 % interval over episodes. All nets look at the views of rotation, those
// too that were trained without.
func (r *running) tabulateFewShot(ctx context.Context) error {
	d, err := r.novel.Load(ctx)
	if err != nil {
		return err
	}
	rotation, err := sla.ParseTransforms("rotation", d.Channels)
	if err != nil {
		return err
	}
	var columns []string
	head, rule := "| training | epochs | seeds | views |", "| --- | --- | --- | --- |"
	for _, s := range settings {
		column := fmt.Sprintf("%d-way %d-shot", s.Way, s.Shot)
		columns = append(columns, column)
		head, rule = head+" "+column+", % |", rule+" --- |"
	}
	fmt.Fprintln(r.out, head+"\n"+rule)
	for _, w := range r.ways {
		runs, c, err := r.train(ctx, w)
		if err != nil {
			return err
		}
		scores := map[int][]episodeScores{} // by views, one for each setting
		for _, done := range runs {
			turned := *done.model
			turned.Transforms, turned.Exits = rotation, nil
			directions, err := fewshot.Features(ctx, &turned, d, &d.Test)
			if err != nil {
				return err
			}
			for k, s := range settings {
				if c.Episode.Head != "" {
					s.Head = c.Episode.Head
				}
				estimates, err := fewshot.Evaluation{Episode: s, Episodes: 600, Seed: 1}.Estimate(directions, len(rotation), d.Test.Labels)
				if err != nil {
					return err
				}
				for _, x := range estimates {
					if scores[x.Views] == nil {
						scores[x.Views] = make([]episodeScores, len(settings))
					}
					scores[x.Views][k].add(x)
					r.records = append(r.records, record{Training: w.name, Seed: done.seed, Views: x.Views, Episode: columns[k], Accuracy: x.Accuracy})
				}
			}
		}
		begin := fmt.Sprintf("| %s | %d | %d ", w.name, c.Epochs, len(runs))
		for _, views := range slices.Sorted(maps.Keys(scores)) {
			line := fmt.Sprintf("%s| %d |", begin, views)
			for k, s := range scores[views] {
				r.points = append(r.points, report.ChartPoint{Row: fmt.Sprintf("%s, views: %d", w.name, views), Series: columns[k], Values: s.accuracies})
				line += fmt.Sprintf(" %v |", s)
			}
			fmt.Fprintln(r.out, line)
			begin = "| | | "
		}
	}
	return nil
}

// episodeScores are the accuracies in episodes of one setting and the halves of their 95 %
// intervals, in percent, one of each a seed.
type episodeScores struct{ accuracies, intervals []float64 }

func (s *episodeScores) add(e fewshot.Estimate) {
	s.accuracies, s.intervals = append(s.accuracies, 100*e.Accuracy), append(s.intervals, 100*e.Interval)
}

// String returns the mean and the spread over seeds, or of one seed its interval.
func (s episodeScores) String() string {
	mean, spread := stat.MeanStdDev(s.accuracies, nil)
	if len(s.accuracies) == 1 {
		spread = s.intervals[0]
	}
	return fmt.Sprintf("%.2f ± %.2f", mean, spread)
}
