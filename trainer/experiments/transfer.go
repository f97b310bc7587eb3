package experiments

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/image/draw"
	"gonum.org/v1/gonum/stat"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/format/atomicfile"
	"github.com/quarterturn/quarterturn/trainer"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
	"github.com/quarterturn/quarterturn/trainer/fewshot"
	"github.com/quarterturn/quarterturn/trainer/report"
)

// A photoSet is an image folder of classes that the backbone has not seen: some of the twenty
// that CIFAR-FS tests on.
type photoSet struct {
	classes, each int     // images of each class to train on
	minutes       float64 // that training may take
}

var photoSets = []photoSet{{6, 60, 1}, {20, 5, 1}, {20, 20, 1}, {20, 60, 2}, {20, 400, 5}}

func (s photoSet) String() string { return fmt.Sprintf("%d classes of %d", s.classes, s.each) }

// photoWays are the ways to train on them, each with seeds 1, 2 and 3.
var photoWays = []struct{ name, from, method string }{
	{"sla+sd, from the backbone", trainer.FromBackbone, "sla+sd"},
	{"baseline, from the backbone", trainer.FromBackbone, "baseline"},
	{"sla+sd, from nothing", trainer.NoSlab, "sla+sd"},
	{"baseline, from nothing", trainer.NoSlab, "baseline"},
}

const (
	photoSeeds = 3
	photoTests = 100 // test images of a class, at most
)

// tabulateTransfer makes the table of accuracies on photos, trained as train PHOTOS does with
// so many minutes, beside those of a gallery of five photos a class that needs no training.
func (r *running) tabulateTransfer(ctx context.Context) error {
	all, err := r.data.Load(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintln(r.out, "| photos | training | minutes | seeds | mode | passes | accuracy, % | spread |\n| --- | --- | --- | --- | --- | --- | --- | --- |")
	for _, s := range photoSets {
		var folders []string
		for seed := 1; seed <= photoSeeds; seed++ {
			folder := filepath.Join(r.dir, "photos", fmt.Sprintf("%v, seed %d", s, seed))
			if err := s.write(folder, all, seed); err != nil {
				return err
			}
			folders = append(folders, folder)
		}
		for _, w := range photoWays {
			if err := r.trainOnPhotos(ctx, s, folders, w.name, w.from, w.method); err != nil {
				return err
			}
		}
		if err := r.showPhotos(ctx, s, folders); err != nil {
			return err
		}
	}
	return nil
}

// write makes the folder: JPEG files of many sizes, of classes and images that the seed
// draws.
func (s photoSet) write(folder string, all *dataset.Dataset, seed int) error {
	done := folder + ".complete"
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	rng := rand.New(rand.NewPCG(uint64(seed), uint64(1000*s.classes+s.each)))
	classes := rng.Perm(len(all.ClassNames))[:s.classes]
	slices.Sort(classes)
	for _, y := range classes {
		var images []int
		for i, label := range all.Test.Labels {
			if label == y {
				images = append(images, i)
			}
		}
		rng.Shuffle(len(images), func(a, b int) { images[a], images[b] = images[b], images[a] })
		for k, i := range images[:min(len(images), s.each+photoTests)] {
			part := "train"
			if k >= s.each {
				part = "test"
			}
			dir := filepath.Join(folder, part, all.ClassNames[y])
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return err
			}
			small := all.Image(&all.Test, i)
			side := 48 + rng.IntN(153)
			photo := image.NewRGBA(image.Rect(0, 0, side, side))
			draw.CatmullRom.Scale(photo, photo.Rect, small, small.Rect, draw.Src, nil)
			var b bytes.Buffer
			if err := jpeg.Encode(&b, photo, &jpeg.Options{Quality: 92}); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.jpg", k)), b.Bytes(), 0o644); err != nil {
				return err
			}
		}
	}
	return atomicfile.Write(done, nil)
}

// trainOnPhotos trains what is missing of a way and writes its rows.
func (r *running) trainOnPhotos(ctx context.Context, s photoSet, folders []string, name, from, method string) error {
	var modes []string
	scores := map[string][]evaluate.Score{}
	seeds := 0
	for i, folder := range folders {
		run := fmt.Sprintf("%v, %s, seed %d", s, name, i+1)
		dir := filepath.Join(r.dir, run)
		if r.leaves(run) {
			continue
		}
		found, err := r.photoScores(ctx, dir, folder, s.minutes, from, method, i+1, func(e trainer.Event) { r.progress(run, e) })
		if err != nil {
			return fmt.Errorf("%s: %w", run, err)
		}
		seeds++
		for _, x := range found {
			if scores[x.Mode] == nil {
				modes = append(modes, x.Mode)
			}
			scores[x.Mode] = append(scores[x.Mode], x)
			r.records = append(r.records, record{Training: fmt.Sprintf("%v, %s", s, name), Seed: i + 1, Mode: x.Mode, Passes: x.Passes, Accuracy: x.Accuracy, NLL: x.NLL, ECE: x.ECE})
		}
	}
	for _, mode := range modes {
		var accuracy []float64
		for _, x := range scores[mode] {
			accuracy = append(accuracy, 100*x.Accuracy)
		}
		r.photoRow(s, name, fmt.Sprint(s.minutes), seeds, mode, scores[mode][0].Passes, accuracy)
	}
	return nil
}

func (r *running) photoRow(s photoSet, name, minutes string, seeds int, mode string, passes float64, accuracy []float64) {
	mean, spread := stat.MeanStdDev(accuracy, nil)
	width := ""
	if len(accuracy) > 1 {
		width = fmt.Sprintf("%.2f", spread)
	}
	fmt.Fprintf(r.out, "| %v | %s | %s | %d | %s | %.3g | %.2f | %s |\n", s, name, minutes, seeds, mode, passes, mean, width)
	r.points = append(r.points, report.ChartPoint{Row: fmt.Sprintf("%v, %s", s, name), Series: mode, Values: accuracy})
}

// photoScores trains on an image folder, unless it is done, and returns the scores on its
// test images.
func (r *running) photoScores(ctx context.Context, dir, folder string, minutes float64, from, method string, seed int, progress func(trainer.Event)) ([]evaluate.Score, error) {
	if _, err := os.Stat(filepath.Join(dir, trainer.SlabFile)); err == nil {
		return testScores(dir)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var f *trainer.RunDir
	_, err := os.Stat(filepath.Join(dir, trainer.ConfigFile))
	if err == nil {
		f, err = trainer.Resume(ctx, dir, 0, nil)
	} else {
		source := dataset.Source{Data: "folder:" + folder}
		given := func(flag string) bool { return slices.Contains([]string{"from", "minutes", "method", "seed"}, flag) }
		var d *dataset.Dataset
		if d, err = trainer.LoadFolder(ctx, &source, from, given); err != nil {
			return nil, err
		}
		c, _ := trainer.Choose(d, trainer.Config{From: from, Minutes: minutes}, given)
		c.Method, c.Seed = method, seed
		f, err = trainer.Start(ctx, dir, source, c, nil)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	_, scores, err := f.Run(ctx, progress, nil)
	return scores, err
}

// showPhotos writes the row of galleries: five photos of each class are shown to the
// backbone, and others are compared with them, in a hundred draws.
func (r *running) showPhotos(ctx context.Context, s photoSet, folders []string) error {
	m, _, err := trainer.OpenFrom(trainer.FromBackbone)
	if err != nil {
		return err
	}
	accuracy := map[int][]float64{}
	for i, folder := range folders {
		d, err := dataset.Source{Data: "folder:" + folder, Size: m.Input.Width}.Load(ctx)
		if err != nil {
			return err
		}
		probe := format.Model{Manifest: m.Manifest, Weights: m.Weights}
		probe.Exits = nil
		features, err := fewshot.Features(ctx, &probe, d, &d.Test)
		if err != nil {
			return err
		}
		e := fewshot.Evaluation{Episode: fewshot.Episode{Head: "proto", Way: s.classes, Shot: 5, Queries: 15}, Episodes: 100, Seed: i + 1}
		estimates, err := e.Estimate(features, m.Views(), d.Test.Labels)
		if err != nil {
			return err
		}
		for _, x := range estimates {
			accuracy[x.Views] = append(accuracy[x.Views], 100*x.Accuracy)
			r.records = append(r.records, record{Training: fmt.Sprintf("%v, gallery of 5 a class", s), Seed: i + 1, Views: x.Views, Accuracy: x.Accuracy})
		}
	}
	for _, views := range []int{1, m.Views()} {
		r.photoRow(s, "none: a gallery of 5 a class", "0", len(folders), fmt.Sprintf("matched, %d views", views), float64(views), accuracy[views])
	}
	return nil
}

// testScores reads what a run that is complete scored on its test images.
func testScores(dir string) ([]evaluate.Score, error) {
	log, err := os.Open(filepath.Join(dir, trainer.LogFile))
	if err != nil {
		return nil, err
	}
	defer log.Close()
	for lines := json.NewDecoder(log); ; {
		var event struct {
			Event   string
			Metrics []evaluate.Score
		}
		if err := lines.Decode(&event); err != nil {
			return nil, fmt.Errorf("%s: no test: %w", trainer.LogFile, err)
		}
		if event.Event == "test" {
			return event.Metrics, nil
		}
	}
}
