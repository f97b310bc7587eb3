package trainer

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/format"
	"github.com/quarterturn/quarterturn/trainer/dataset"
	"github.com/quarterturn/quarterturn/trainer/evaluate"
	"github.com/quarterturn/quarterturn/trainer/report"
)

// stopped starts a run in a new folder and stops it after a step; 0: never.
func stopped(t *testing.T, c Config, step int) (dir string) {
	t.Helper()
	return stoppedOn(t, mini, c, step)
}

// stoppedOn is stopped on other data.
func stoppedOn(t *testing.T, source dataset.Source, c Config, step int) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "run")
	f, err := Start(t.Context(), dir, source, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.Data.Test = f.Data.Subset(&f.Data.Test, []int{0, 1, 2, 3})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, _, err = f.Run(ctx, func(e Event) {
		if e.Step == step {
			cancel()
		}
	}, nil)
	if step > 0 && !errors.Is(err, context.Canceled) || step == 0 && err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

func quickConfig() Config {
	c := smallConfig()
	c.TrainPerClass, c.Method = 10, "baseline"
	return c
}

// A run that is complete is no failure, and becomes longer on purpose alone: with the
// schedule of the longer run from where it stood.
func TestFieldLongerRuns(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	dir := stopped(t, quickConfig(), 0)
	for _, epochs := range []int{0, 1, 2} {
		if _, err := Resume(t.Context(), dir, epochs, nil); !errors.Is(err, ErrComplete) || !strings.Contains(err.Error(), "all 2 epochs") {
			t.Errorf("%d epochs: %v", epochs, err)
		}
	}
	f, err := Resume(t.Context(), dir, 4, nil)
	if err != nil {
		t.Fatal(err)
	}
	f.Data.Test = f.Data.Subset(&f.Data.Test, []int{0, 1, 2, 3})
	model, _, err := f.Run(t.Context(), nil, nil)
	if err = errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	if len(f.epochs) != 4 || f.Config.Epochs != 4 || model.Provenance.Epochs > 4 || f.epochs[3].LR >= f.epochs[2].LR || f.epochs[2].LR == 0 {
		t.Errorf("%d epochs, rates %v, %v", len(f.epochs), f.epochs[2].LR, f.epochs[3].LR)
	}
	slab, err := os.ReadFile(filepath.Join(dir, SlabFile))
	if err != nil {
		t.Fatal(err)
	}
	read, err := format.Decode(slab)
	if err != nil {
		t.Fatal(err)
	}
	if m := read.Metrics; len(m) != 2 || m[0].Split != "validation" || m[1].Split != "test" || m[1].N != 4 {
		t.Errorf("the slab has the scores %+v", m)
	}
	c, err := readConfig(dir)
	if err != nil || c.Epochs != 4 {
		t.Errorf("%s has %d epochs, %v", ConfigFile, c.Epochs, err)
	}
	partly := stopped(t, quickConfig(), 7)
	if f, err = Resume(t.Context(), partly, 1, nil); err == nil {
		defer f.Close()
		t.Error("a run with an epoch and two steps behind it became one of an epoch")
	}
}

// The slab of a complete run that was damaged is made again, as is one that is missing; the run with a whole
// one is complete.
func TestFieldDamagedSlab(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	dir := stopped(t, quickConfig(), 0)
	name := filepath.Join(dir, SlabFile)
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Clone(whole)
	changed[len(changed)-9] ^= 1
	for what, b := range map[string][]byte{"cut": whole[:1000], "empty": {}, "changed": changed, "another file": []byte("<html>"), "missing": nil} {
		err := os.Remove(name)
		if b != nil {
			err = os.WriteFile(name, b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		f, err := Resume(t.Context(), dir, 0, nil)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if (f.Damaged == nil) != (b == nil) || b != nil && !strings.Contains(f.Damaged.Error(), name) {
			t.Errorf("%s: %v", what, f.Damaged)
		}
		f.Data.Test = f.Data.Subset(&f.Data.Test, []int{0, 1, 2, 3})
		_, _, err = f.Run(t.Context(), nil, nil)
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, whole) {
			t.Errorf("%s: the slab is not what it was, %v", what, err)
		}
		if _, err := Resume(t.Context(), dir, 0, nil); !errors.Is(err, ErrComplete) {
			t.Errorf("%s, made again: %v", what, err)
		}
	}
	newer := bytes.Clone(whole)
	newer[8] = 2
	if err := os.WriteFile(name, newer, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Resume(t.Context(), dir, 0, nil); !errors.Is(err, ErrComplete) {
		t.Errorf("with the slab of a newer version: %v", err)
	}
}

// Two processes do not train in one folder.
func TestFieldLock(t *testing.T) {
	dir := stopped(t, quickConfig(), 2)
	f, err := Resume(t.Context(), dir, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Resume(t.Context(), dir, 0, nil); err == nil || !strings.Contains(err.Error(), "another process is training in") {
		t.Errorf("a second time: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if f, err = Resume(t.Context(), dir, 0, nil); err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// A log that was emptied, cut or lost is as it was at the checkpoint.
func TestFieldLog(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	dir := stopped(t, quickConfig(), 7)
	name := filepath.Join(dir, LogFile)
	want, err := os.ReadFile(name)
	if err != nil || len(want) == 0 {
		t.Fatal(err)
	}
	for what, spoil := range map[string]func() error{
		"emptied": func() error { return os.Truncate(name, 0) },
		"cut":     func() error { return os.Truncate(name, 9) },
		"lost":    func() error { return os.Remove(name) },
		"another": func() error { return os.WriteFile(name, []byte("\x00\x00{"), 0o644) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		f, err := Resume(t.Context(), dir, 0, nil)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		f.Close()
		if got, err := os.ReadFile(name); err != nil || string(got) != string(want) {
			t.Errorf("%s: the log is %q, want %q (%v)", what, got, want, err)
		}
	}
}

// Stopped between the last step of an epoch and its record, a run logs the learning rate of
// that step.
func TestFieldRateAfterAStop(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	straight := stopped(t, quickConfig(), 0)
	c, err := readConfig(straight)
	if err != nil {
		t.Fatal(err)
	}
	dir := stopped(t, c.Config, 5) // the first epoch's last step
	f, err := Resume(t.Context(), dir, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if f.Step()%f.run.stepsPerEpoch != 0 {
		t.Fatalf("the run stopped at step %d of %d an epoch", f.Step(), f.run.stepsPerEpoch)
	}
	f.Data.Test = f.Data.Subset(&f.Data.Test, []int{0, 1, 2, 3})
	if _, _, err := f.Run(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if f.epochs[0].LR == 0 {
		t.Error("the log has a learning rate of 0")
	}
}

// A checkpoint of another program or format is refused in words, as is a key of config.json
// that is none.
func TestFieldVersions(t *testing.T) {
	dir := stopped(t, quickConfig(), 2)
	name := filepath.Join(dir, CheckpointFile)
	for want, change := range map[string]func(c *checkpoint){
		"of format 3, written by quarterturn":  func(c *checkpoint) { c.Format++ },
		"written by quarterturn 9.9, and this": func(c *checkpoint) { c.Program = "quarterturn 9.9" },
		"written by an older program":          func(c *checkpoint) { c.Format, c.Program = 0, "" },
	} {
		c, err := readCheckpoint(name)
		if err != nil {
			t.Fatal(err)
		}
		change(c)
		other := filepath.Join(t.TempDir(), "checkpoint")
		if err := c.write(other); err != nil {
			t.Fatal(err)
		}
		if c, err = readCheckpoint(other); err != nil {
			t.Fatal(err)
		}
		f, err := Resume(t.Context(), dir, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.run.restore(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q, have %v", want, err)
		}
		f.Close()
	}
	config := filepath.Join(dir, ConfigFile)
	b, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(config, []byte(strings.Replace(string(b), `"lr"`, `"learning_rate"`, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Resume(t.Context(), dir, 0, nil); err == nil || !strings.Contains(err.Error(), `unknown field "learning_rate"`) {
		t.Errorf("an unknown key: %v", err)
	}
}

// A net that guesses is called so, one whose test is too small to tell is not, and neither
// is a good one, nor one whose answers got worse by what nobody sees.
func TestFieldVerdict(t *testing.T) {
	model := &format.Model{Manifest: format.Manifest{Labels: []string{"cat", "dog"}, Recommended: "single"}}
	score := func(cats, catsRight, dogs, dogsRight int) []evaluate.Score {
		n := cats + dogs
		return []evaluate.Score{{Metric: format.Metric{Mode: "single", N: n, Accuracy: float64(catsRight+dogsRight) / float64(n)},
			Classes: []evaluate.Tally{{Images: cats, Right: catsRight}, {Images: dogs, Right: dogsRight}}}}
	}
	balanced := func(s []evaluate.Score) []evaluate.Score {
		s[0].Split, s[0].Accuracy = "class-balanced test", .85
		return s
	}
	epochs := func(nll ...float64) (all []report.Epoch) {
		for i, x := range nll {
			all = append(all, report.Epoch{Epoch: i + 1, Metrics: []format.Metric{{Mode: "single", NLL: x}}})
		}
		return all
	}
	rising := epochs(.9, .5, .7, .8)
	for _, c := range []struct {
		name    string
		scores  []evaluate.Score
		epochs  []report.Epoch
		useless bool
		want    string
	}{
		{"good", score(100, 90, 100, 85), rising[:2], false, ""},
		{"chance", score(100, 50, 100, 53), nil, true, "The net guesses: 51.5 % of 200 test images are right, and always answering cat makes 50.0 %"},
		{"one answer", score(30, 0, 100, 100), nil, true, "always answering dog makes 76.9 %"},
		{"balanced", balanced(score(100, 90, 10, 8)), nil, false, ""},
		{"few", score(2, 2, 2, 1), nil, false, "too few images to say much: 4"},
		{"one class tested", score(8, 8, 0, 0), nil, false, "The test has no image of dog, so"},
		{"no test", []evaluate.Score{{Metric: format.Metric{Mode: "single", Accuracy: 1}}}, nil, false, "There are no test images, so the accuracies are those of the images held out"},
		{"by heart", score(100, 90, 100, 85), rising, false, "After epoch 2 the net learned its training images by heart"},
		{"easy", score(100, 100, 100, 100), epochs(.2, .001, .002, .004), false, ""},
		{"nearly as easy", score(100, 99, 100, 100), epochs(.2, .06, .09, .15), false, ""},
		{"not easy", score(100, 90, 100, 95), epochs(.3, .2, .25, .31), false, "rose from 0.20 to 0.31"},
	} {
		f := &RunDir{Config: DefaultConfig(), Data: &dataset.Dataset{Test: dataset.Split{Labels: make([]int, c.scores[0].N)}}, epochs: c.epochs}
		if v := f.Verdict(model, c.scores); v.Useless != c.useless || (v.Text == "") != (c.want == "") || !strings.Contains(v.Text, c.want) {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
}

// A net whose loss is still a number, but whose answers to the images held out are not, has diverged; no
// slab is blamed, since there is none.
func TestFieldDivergedAnswers(t *testing.T) {
	r, err := newRun(t.Context(), small(t), quickConfig(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.graph.Close()
	for _, weights := range r.graph.State() {
		for i := range weights {
			weights[i] = 1e30
		}
	}
	err = r.snapshot(t.Context())
	if !errors.Is(err, ErrDiverged) || strings.Contains(err.Error(), "slab") || !strings.Contains(err.Error(), "validation images are not finite; try a lower learning rate (--lr)") {
		t.Errorf("%v", err)
	}
}
