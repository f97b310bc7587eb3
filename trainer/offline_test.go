package trainer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/quarterturn/quarterturn/trainer/fewshot"
)

// offlineConfig is that of two short runs.
func offlineConfig() Config {
	c := smallConfig()
	c.Method, c.TrainPerClass = OfflineMethod, 20
	return c
}

// Offline distillation is what two commands make, one behind the other, and resumes in either.
func TestOffline(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	dir := t.TempDir()
	first, second := smallConfig(), smallConfig()
	first.SumViews, first.TrainPerClass = true, 20
	slab := func(name string, c Config, stop int) string {
		t.Helper()
		b, err := slabOf(t, filepath.Join(dir, name), c, stop)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	teacher := slab("first", first, 0)
	second.Method, second.TrainPerClass, second.Mix = "baseline", 20, "mixup"
	second.Teacher = filepath.Join(dir, "first", SlabFile)
	want := slab("second", second, 0)

	if slab("both", offlineConfig(), 0) != want {
		t.Error("the slab is not that of two runs, one behind the other")
	}
	if got, err := os.ReadFile(filepath.Join(dir, "both", TeacherDir, SlabFile)); err != nil || string(got) != teacher {
		t.Errorf("the teacher is not that of a run by itself (%v)", err)
	}
	if slab("stopped", offlineConfig(), 3) != want {
		t.Error("stopped and resumed, the slab differs")
	}
	if _, err := Resume(t.Context(), filepath.Join(dir, "both"), 0, nil); !errors.Is(err, ErrComplete) {
		t.Errorf("a complete run: %v", err)
	}

	// Stopped between the settings of both and those of the teacher, and again between the two runs.
	f, err := Start(t.Context(), filepath.Join(dir, "between"), mini, offlineConfig(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Close(), os.RemoveAll(f.Dir)); err != nil {
		t.Fatal(err)
	}
	if f, err = Resume(t.Context(), f.Student, 0, nil); err != nil {
		t.Fatal(err)
	}
	finish(t, f)
	if _, err := Resume(t.Context(), f.Student, 5, nil); err == nil || !strings.Contains(err.Error(), "teacher still") {
		t.Errorf("more epochs between the runs: %v", err)
	}
	if f, err = Resume(t.Context(), f.Student, 0, nil); err != nil {
		t.Fatal(err)
	}
	if f.Student != "" || f.Config.Method != "baseline" || f.Steps() != 22 {
		t.Errorf("between the runs comes %+v", f.Config)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}

	// The folder moves, and the teacher with it.
	moved := filepath.Join(dir, "moved")
	if err := os.Rename(filepath.Join(dir, "between"), moved); err != nil {
		t.Fatal(err)
	}
	if f, err = Resume(t.Context(), moved, 0, nil); err != nil {
		t.Fatal(err)
	}
	f.Data.Test = f.Data.Subset(&f.Data.Test, []int{0, 1, 2, 3}) // as slabOf does
	if _, _, err := f.Run(t.Context(), nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(filepath.Join(moved, SlabFile)); err != nil || string(b) != want {
		t.Errorf("the slab of a run that moved differs (%v)", err)
	}
}

// Whatever is wrong with either run is found before anything is written.
func TestOfflineRefuses(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"a teacher of its own":     func(c *Config) { c.Teacher = "x" },
		"has baseline alone":       func(c *Config) { c.ServedMode = "aggregated" },
		"mixture":                  func(c *Config) { c.Mix = "mixture" },
		"at least two":             func(c *Config) { c.Transform = "none" },
		"epochs must be at least":  func(c *Config) { c.Epochs = -1 },
		"for the method baseline,": func(c *Config) { *c = c.InEpisodes(fewshot.Episode{Head: "proto", Way: 3, Shot: 2, Queries: 2}, 3) },
	} {
		c := offlineConfig()
		change(&c)
		dir := filepath.Join(t.TempDir(), "run")
		if _, err := Start(t.Context(), dir, mini, c, nil); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
		if _, err := os.Stat(dir); err == nil {
			t.Errorf("%q: something was written", want)
		}
	}
	d := small(t)
	if _, _, err := Train(t.Context(), d, offlineConfig(), nil); err == nil || !strings.Contains(err.Error(), "need a folder") {
		t.Errorf("without a folder: %v", err)
	}
}

// A run that has begun in the folder while another was planned for it stays.
func TestFieldOfflineInATakenFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	c := offlineConfig()
	c.Method = "sla"
	f, err := Start(t.Context(), dir, mini, c, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	before, err := os.ReadFile(filepath.Join(dir, ConfigFile))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := startTeacher(t.Context(), dir, mini, offlineConfig(), nil); err == nil || !strings.Contains(err.Error(), "holds a run already") {
		t.Errorf("in a folder that was taken meanwhile: %v", err)
	}
	if after, err := os.ReadFile(filepath.Join(dir, ConfigFile)); err != nil || string(after) != string(before) {
		t.Errorf("the other run's settings became %s (%v)", after, err)
	}
}
